import type { Clock } from './clock.ts'
import type { Steps } from './ring/steps.ts'

/**
 * How long a turn of the event loop may be spent on steps, in milliseconds. Whoever comes meanwhile, such as a look-up, waits for
 * the turn to end.
 */
const TURN_MS = 0.15

/**
 * Takes steps: at once those that fit in a turn of the event loop, the others in later ones.
 *
 * @param pause - Called before each later turn, with what cancels that turn and all after it.
 */
export function takeInTurns(clock: Clock, steps: Steps<void>, pause: (cancel: () => void) => void): void {
  const startMs = clock.now()
  while (steps.next().done !== true) {
    if (clock.now() - startMs < TURN_MS) continue
    pause(clock.after(0, () => takeInTurns(clock, steps, pause)))
    return
  }
}
