import type { Clock } from '../../clock.ts'
import type { Steps } from '../../ring/steps.ts'
import { takeInTurns } from '../../turns.ts'
import type { StreamDecoder, StreamResult } from './wire/stream-decoder.ts'

interface Message {
  readonly decoder: StreamDecoder
  /** Whether nobody waits for the result any more. */
  readonly isOver: () => boolean
  readonly take: (result: StreamResult) => void
}

/**
 * Decodes messages that are there whole in turns of the event loop, so that look-ups do not wait for large ones: one after the
 * other, because each may take as much memory as a message can.
 */
export class DecodingTurns {
  readonly #clock: Clock
  readonly #first: Message[] = []
  readonly #others: Message[] = []
  #isRunning = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @param isFirst - Whether it comes before others, as what a member sent does before what strangers did. */
  add(message: Message, isFirst: boolean): void {
    const waiting = isFirst ? this.#first : this.#others
    waiting.push(message)
    if (this.#isRunning) return
    this.#isRunning = true
    takeInTurns(this.#clock, this.#steps(), () => {})
  }

  *#steps(): Steps<void> {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const { decoder, isOver, take } = next
      while (!isOver()) {
        const result = decoder.step()
        yield
        if (result === undefined) continue
        take(result)
        break
      }
    }
    this.#isRunning = false
  }

  #next(): Message | undefined {
    return this.#first.shift() ?? this.#others.shift()
  }
}
