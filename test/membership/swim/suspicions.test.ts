import { describe, expect, test } from 'vitest'
import { Suspicions } from '../../../src/membership/swim/suspicions.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

function setUp(stalledSince: (sinceMs: number) => boolean = () => false) {
  const clock = new VirtualClock()
  const expired: string[] = []
  const suspicions = new Suspicions({
    clock,
    timeoutMs: () => 1000,
    stalledSince,
    graceMs: 100,
    onExpired: (host, incarnation) => expired.push(`${host} ${incarnation} at ${clock.now()}`),
  })
  return { clock, expired, suspicions }
}

describe('a suspicion', () => {
  test('ends in death, counted from the first one of the incarnation', async () => {
    const { clock, expired, suspicions } = setUp()
    suspicions.begin('a', 5)
    await clock.advance(600)
    suspicions.begin('a', 5)
    suspicions.begin('a', 4)
    await clock.advance(600)
    expect(expired).toEqual(['a 5 at 1000'])
    expect(clock.pendingTimers).toBe(0)
  })

  test('of a later incarnation begins anew', async () => {
    const { clock, expired, suspicions } = setUp()
    suspicions.begin('a', 5)
    await clock.advance(600)
    suspicions.begin('a', 6)
    await clock.advance(2000)
    expect(expired).toEqual(['a 6 at 1600'])
  })

  test('that is cleared has no consequence, and one may follow', async () => {
    const { clock, expired, suspicions } = setUp()
    suspicions.begin('a', 5)
    suspicions.clear('a')
    suspicions.clear('b')
    await clock.advance(500)
    suspicions.begin('a', 5)
    await clock.advance(5000)
    expect(expired).toEqual(['a 5 at 1500'])
  })

  test('of one host leaves the others alone', async () => {
    const { clock, expired, suspicions } = setUp()
    suspicions.begin('a', 1)
    await clock.advance(10)
    suspicions.begin('b', 1)
    suspicions.clear('a')
    await clock.advance(5000)
    expect(expired).toEqual(['b 1 at 1010'])
  })

  test('waits a little longer after a stall, and can be cleared then', async () => {
    let stalled = true
    const { clock, expired, suspicions } = setUp((sinceMs) => {
      expect(sinceMs).toBe(clock.now() - 100)
      return stalled
    })
    suspicions.begin('a', 1)
    suspicions.begin('b', 1)
    await clock.advance(1050)
    stalled = false
    suspicions.clear('b')
    await clock.advance(5000)
    expect(expired).toEqual(['a 1 at 1100'])
  })

  test('does not wait for ever where stalls do not end', async () => {
    const { clock, expired, suspicions } = setUp(() => true)
    suspicions.begin('a', 1)
    await clock.advance(60_000)
    expect(expired).toEqual(['a 1 at 1300'])
  })

  test('stops with the rest', async () => {
    const { clock, expired, suspicions } = setUp()
    suspicions.begin('a', 1)
    suspicions.begin('b', 1)
    suspicions.stop()
    expect(clock.pendingTimers).toBe(0)
    await clock.advance(5000)
    expect(expired).toEqual([])
  })
})
