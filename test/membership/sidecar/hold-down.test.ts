import { describe, expect, test } from 'vitest'
import { HoldDown } from '../../../src/membership/sidecar/hold-down.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

function held(capacity = 50, holdDownMs = 5000) {
  const clock = new VirtualClock()
  const applied: [atMs: number, item: string, folded: number][] = []
  let current = ''
  const holdDown = new HoldDown<string>({
    clock,
    holdDownMs,
    capacity,
    apply(item, folded) {
      applied.push([clock.now(), item, folded])
      const changed = item !== current
      current = item
      return changed
    },
  })
  return { clock, applied, holdDown }
}

describe('HoldDown', () => {
  test('applies the first at once, and the newest of a burst when the hold-down ends', async () => {
    const { clock, applied, holdDown } = held()
    holdDown.offer('a')
    expect(applied).toEqual([[0, 'a', 0]])
    await clock.advance(1000)
    holdDown.offer('b')
    await clock.advance(1000)
    holdDown.offer('c')
    expect(holdDown.waitingCount).toBe(2)
    await clock.advance(2999)
    expect(applied).toHaveLength(1)
    await clock.advance(1)
    expect(applied).toEqual([
      [0, 'a', 0],
      [5000, 'c', 1],
    ])
    expect(holdDown.waitingCount).toBe(0)
  })

  test('two changes are never closer than the hold-down, however items come', async () => {
    const { clock, applied, holdDown } = held()
    for (let n = 0; n < 100; n++) {
      holdDown.offer(`item ${n}`)
      await clock.advance(700)
    }
    await clock.advance(5000)
    const times = applied.map(([atMs]) => atMs)
    for (let n = 1; n < times.length; n++)
      expect((times[n] ?? 0) - (times[n - 1] ?? 0)).toBeGreaterThanOrEqual(5000)
    expect(applied.at(-1)?.[1]).toBe('item 99')
    expect(applied.reduce((sum, [, , folded]) => sum + folded + 1, 0)).toBe(100)
  })

  test('after a quiet hold-down the next is applied at once', async () => {
    const { clock, applied, holdDown } = held()
    holdDown.offer('a')
    await clock.advance(5000)
    expect(clock.pendingTimers).toBe(0)
    await clock.advance(100)
    holdDown.offer('b')
    expect(applied.at(-1)).toEqual([5100, 'b', 0])
  })

  test('what changes nothing begins no hold-down', () => {
    const { clock, applied, holdDown } = held()
    holdDown.offer('')
    expect(clock.pendingTimers).toBe(0)
    holdDown.offer('a')
    expect(applied.map(([, item]) => item)).toEqual(['', 'a'])
  })

  test('a full queue waits no longer, and nothing is lost', async () => {
    const { clock, applied, holdDown } = held(3)
    for (const item of ['a', 'b', 'c']) holdDown.offer(item)
    expect(applied).toHaveLength(1)
    holdDown.offer('d')
    expect(applied.at(-1)).toEqual([0, 'd', 2])
    expect(clock.pendingTimers).toBe(1)
    holdDown.offer('e')
    await clock.advance(5000)
    expect(applied.at(-1)).toEqual([5000, 'e', 0])
  })

  test('a full queue that changes nothing does not end the hold-down', () => {
    const { applied, holdDown } = held(2)
    holdDown.offer('a')
    holdDown.offer('b')
    holdDown.offer('a')
    expect(applied.at(-1)).toEqual([0, 'a', 1])
    holdDown.offer('c')
    expect(applied).toHaveLength(2)
  })

  test('without a hold-down each is applied at once', () => {
    const { clock, applied, holdDown } = held(50, 0)
    for (const item of ['a', 'b', 'c']) holdDown.offer(item)
    expect(applied).toHaveLength(3)
    expect(clock.pendingTimers).toBe(0)
  })

  test('close forgets what waits', async () => {
    const { clock, applied, holdDown } = held()
    holdDown.offer('a')
    holdDown.offer('b')
    holdDown.close()
    expect(clock.pendingTimers).toBe(0)
    await clock.advance(10_000)
    expect(applied).toHaveLength(1)
  })
})
