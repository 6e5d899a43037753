import type { Steps } from '../../src/ring/steps.ts'

/** Does all of it, and says how many steps that took. */
export function countSteps<Result>(steps: Steps<Result>): {
  readonly steps: number
  readonly result: Result
} {
  for (let taken = 1; ; taken++) {
    const step = steps.next()
    if (step.done === true) return { steps: taken, result: step.value }
  }
}
