import { describe, expect, test } from 'vitest'
import { parseState } from '../../../src/membership/sidecar/catalog.ts'
import { selectInstances } from '../../../src/membership/sidecar/instances.ts'
import { StateLedger } from '../../../src/membership/sidecar/state-ledger.ts'
import { stateJson, tick } from './sidecar-fixtures.ts'

function entry(n: number, ...ips: readonly string[]) {
  const { lastChanged, services } = parseState(
    stateJson(
      tick(n),
      ips.map((ip) => ({ id: ip, ip })),
    ),
    'some-svc',
  )
  return { lastChanged, selection: selectInstances(services, 9999) }
}

describe('StateLedger', () => {
  test('of posted states only the newer counts', () => {
    const ledger = new StateLedger()
    expect(ledger.offerPosted(entry(5, 'a'))).toBe('accepted')
    expect(ledger.offerPosted(entry(5, 'b'))).toBe('not-newer')
    expect(ledger.offerPosted(entry(4, 'b'))).toBe('not-newer')
    expect(ledger.offerPosted(entry(4, 'b'))).toBe('not-newer')
    expect(ledger.newest?.instances.map(({ address }) => address)).toEqual(['a'])
    expect(ledger.offerPosted(entry(6, 'b'))).toBe('accepted')
    expect(ledger.newest?.instances.map(({ address }) => address)).toEqual(['b'])
    expect(ledger.version).toBe(2)
  })

  test('a present state that is newer counts at once, one that says the same confirms', () => {
    const ledger = new StateLedger()
    expect(ledger.offerPresent(entry(5, 'a'), 0)).toBe('accepted')
    expect(ledger.offerPresent(entry(5, 'a'), 1)).toBe('confirmed')
    expect(ledger.offerPresent(entry(3, 'a'), 1)).toBe('confirmed')
    expect(ledger.offerPresent(entry(6, 'b'), 1)).toBe('accepted')
  })

  test('a present state that is not newer counts when it is said twice', () => {
    const ledger = new StateLedger()
    ledger.offerPosted(entry(9, 'a', 'b'))
    expect(ledger.offerPresent(entry(4, 'a'), 1)).toBe('doubtful')
    expect(ledger.newest?.instances).toHaveLength(2)
    expect(ledger.offerPresent(entry(4, 'a'), 1)).toBe('accepted')
    expect(ledger.newest?.instances).toHaveLength(1)
    expect(ledger.offerPosted(entry(5, 'c'))).toBe('accepted')
  })

  test('two doubtful states that differ do not confirm each other', () => {
    const ledger = new StateLedger()
    ledger.offerPosted(entry(9, 'a', 'b'))
    expect(ledger.offerPresent(entry(4, 'a'), 1)).toBe('doubtful')
    expect(ledger.offerPresent(entry(5, 'a'), 1)).toBe('doubtful')
    expect(ledger.offerPresent(entry(5, 'b'), 1)).toBe('doubtful')
    expect(ledger.offerPresent(entry(9, 'a', 'b'), 1)).toBe('confirmed')
    expect(ledger.offerPresent(entry(5, 'b'), 1)).toBe('doubtful')
  })

  test('a present state that was overtaken by a posted one on its way does not count', () => {
    const ledger = new StateLedger()
    ledger.offerPresent(entry(5, 'a'), 0)
    const askedAt = ledger.version
    ledger.offerPosted(entry(7, 'a', 'b'))
    expect(ledger.offerPresent(entry(5, 'a'), askedAt)).toBe('not-newer')
    expect(ledger.offerPresent(entry(5, 'a'), ledger.version)).toBe('doubtful')
  })
})
