import { expect, test } from 'vitest'
import { systemClock } from '../src/clock.ts'
import type { Steps } from '../src/ring/steps.ts'
import { takeInTurns } from '../src/turns.ts'
import { VirtualClock } from './support/virtual-clock.ts'

/** A clock by which each step takes six hundredths of a millisecond. */
class SteppingClock extends VirtualClock {
  #stepsMs = 0

  override now(): number {
    return super.now() + this.#stepsMs
  }

  *steps(count: number, taken: number[]): Steps<void> {
    for (let i = 0; i < count; i++) {
      this.#stepsMs += 0.06
      taken.push(i)
      yield
    }
  }
}

test('steps that fit in a turn are taken at once', () => {
  const clock = new SteppingClock()
  const taken: number[] = []
  takeInTurns(clock, clock.steps(2, taken), () => {
    throw new Error('it took more than one turn')
  })
  expect(taken).toEqual([0, 1])
  expect(clock.pendingTimers).toBe(0)
})

test('the others are taken in later turns, until they are cancelled', async () => {
  const clock = new SteppingClock()
  const taken: number[] = []
  const pauses: number[] = []
  let cancel = () => {}
  takeInTurns(clock, clock.steps(100, taken), (cancelThem) => {
    pauses.push(taken.length)
    cancel = cancelThem
    if (pauses.length === 3) cancel()
  })
  expect(pauses).toEqual([3])
  await clock.advance(0)
  expect(pauses).toEqual([3, 6, 9])
  expect(taken).toHaveLength(9)
  expect(clock.pendingTimers).toBe(0)
})

test('what the clock of the process is to do at once comes in the next turn, after what has arrived', async () => {
  const order: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  systemClock.after(0, () => {
    order.push('next turn')
    resolve()
  })
  const cancel = systemClock.after(0, () => order.push('cancelled'))
  cancel()
  queueMicrotask(() => order.push('microtask'))
  order.push('this turn')
  await promise
  expect(order).toEqual(['this turn', 'microtask', 'next turn'])
})
