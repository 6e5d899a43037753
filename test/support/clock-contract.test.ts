import { describe, expect, test } from 'vitest'
import { holdingClock, systemClock, type Clock } from '../../src/clock.ts'
import { TurnClock } from './turn-clock.ts'
import { VirtualClock } from './virtual-clock.ts'

interface Case {
  readonly name: string
  readonly clock: Clock
  readonly pass: (ms: number) => Promise<void>
}

const really = (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms))
const virtual = new VirtualClock()
const turning = new TurnClock()

describe.each<Case>([
  { name: 'systemClock', clock: systemClock, pass: really },
  { name: 'holdingClock', clock: holdingClock, pass: really },
  { name: 'TurnClock', clock: turning, pass: (ms) => turning.advance(ms) },
  { name: 'VirtualClock', clock: virtual, pass: (ms) => virtual.advance(ms) },
])('$name keeps the promises of a clock', ({ clock, pass }) => {
  test('calls once, in order of due time, never at once', async () => {
    const calls: string[] = []
    for (const [name, delayMs] of [
      ['third', 60],
      ['first', 0],
      ['second', 20],
    ] as const) {
      clock.after(delayMs, () => void calls.push(name))
    }
    expect(calls).toEqual([])
    await pass(150)
    expect(calls).toEqual(['first', 'second', 'third'])
  })

  test('does not call what was cancelled, and takes a cancel after the call', async () => {
    const calls: string[] = []
    const cancel = clock.after(10, () => void calls.push('cancelled'))
    const cancelLate = clock.after(10, () => void calls.push('called'))
    cancel()
    await pass(60)
    cancelLate()
    cancelLate()
    expect(calls).toEqual(['called'])
  })

  test('does not go back, and takes a wait of 49 days for no shorter one', async () => {
    const before = clock.now()
    let called = false
    const cancel = clock.after(2 ** 32, () => {
      called = true
    })
    await pass(20)
    cancel()
    expect(called).toBe(false)
    expect(clock.now() - before).toBeGreaterThanOrEqual(19)
  })
})
