import { describe, expect, test } from 'vitest'
import { collectionsOf } from '../../../../lab/sim/collections.ts'
import { Contacts } from '../../../../src/membership/memberlist/protocol/contacts.ts'
import { endpointOf } from './machine.ts'

const HOUR_MS = 3_600_000
const place = endpointOf(2)
const elsewhere = endpointOf(3)

/** What IP and UDP add to a packet. */
const HEADER_BYTES = 28

describe('a place that answered', () => {
  test('is reached for an hour', () => {
    const contacts = new Contacts(10)
    expect(contacts.isReached(place, 0)).toBe(false)
    contacts.answered(place, 'a', 1000)
    expect(contacts.isReached(place, 1000)).toBe(true)
    expect(contacts.isReached(elsewhere, 1000)).toBe(false)
    expect(contacts.isReached(place, 1000 + HOUR_MS)).toBe(true)
    expect(contacts.isReached(place, 1001 + HOUR_MS)).toBe(false)
  })

  test('answered for the name that was asked, at that time', () => {
    const contacts = new Contacts(10)
    contacts.answered(place, 'a', 1000)
    expect(contacts.hasAnswered(place, 'a', 1000)).toBe(true)
    expect(contacts.hasAnswered(place, 'a', 1001)).toBe(false)
    expect(contacts.hasAnswered(place, 'b', 0)).toBe(false)
    expect(contacts.hasAnswered(elsewhere, 'a', 0)).toBe(false)
    contacts.answered(place, 'b', 2000)
    expect(contacts.hasAnswered(place, 'a', 0)).toBe(false)
  })

  test('was heard when its last packet came; another was not', () => {
    const contacts = new Contacts(10)
    contacts.received(place, 10, 500)
    expect(contacts.heardMs(place)).toBe(-Infinity)
    contacts.answered(place, 'a', 1000)
    expect(contacts.heardMs(place)).toBe(1000)
    contacts.received(place, 10, 1000 + HOUR_MS)
    expect(contacts.heardMs(place)).toBe(1000 + HOUR_MS)
    // It has to answer again.
    contacts.received(place, 10, 1001 + HOUR_MS)
    expect(contacts.heardMs(place)).toBe(1000 + HOUR_MS)
  })

  test('gets any packet, on no account', () => {
    const contacts = new Contacts(10)
    contacts.answered(place, 'a', 0)
    for (let i = 0; i < 100; i++) expect(contacts.spend(place, 1400, 'answer', 0)).toBe(true)
    expect(contacts.spend(elsewhere, 8192 - HEADER_BYTES, 'probe', 0)).toBe(true)
    expect(contacts.mayProbe(place, 0)).toBe(true)
    expect(contacts.mayProbe(elsewhere, 0)).toBe(false)
  })
})

describe('a place that did not answer', () => {
  test('gets an answer as large as what it sent', () => {
    const contacts = new Contacts(10)
    expect(contacts.spend(place, 1, 'answer', 0)).toBe(false)
    contacts.received(place, 100, 0)
    contacts.received(place, 50, 0)
    expect(contacts.spend(place, 150 + HEADER_BYTES + 1, 'answer', 0)).toBe(false)
    expect(contacts.spend(place, 100, 'answer', 0)).toBe(true)
    expect(contacts.spend(place, 50, 'answer', 0)).toBe(true)
    expect(contacts.spend(place, 0, 'answer', 0)).toBe(false)
  })

  test('has no more than 8 KiB of it', () => {
    const contacts = new Contacts(10)
    for (let i = 0; i < 10; i++) contacts.received(place, 1400, 0)
    expect(contacts.spend(place, 8193 - HEADER_BYTES, 'answer', 0)).toBe(false)
    expect(contacts.spend(place, 8192 - HEADER_BYTES, 'answer', 0)).toBe(true)
  })

  test('has nothing of it left once it answered, and answers no more', () => {
    const contacts = new Contacts(10)
    contacts.received(place, 1400, 0)
    contacts.answered(place, 'a', 0)
    expect(contacts.spend(place, 100, 'answer', HOUR_MS + 1)).toBe(false)
  })

  test.each(['probe', 'relay'] as const)('shares 8 KiB at once and 2 KiB a second for each %s', (purpose) => {
    const contacts = new Contacts(10)
    const full = 8192 - HEADER_BYTES
    expect(contacts.spend(place, full + 1, purpose, 0)).toBe(false)
    expect(contacts.spend(place, full, purpose, 0)).toBe(true)
    expect(contacts.spend(elsewhere, 0, purpose, 0)).toBe(false)
    expect(contacts.spend(elsewhere, 2048 - HEADER_BYTES + 1, purpose, 1000)).toBe(false)
    expect(contacts.spend(elsewhere, 2048 - HEADER_BYTES, purpose, 1000)).toBe(true)
    // The other one is apart, and the rounds need none.
    expect(contacts.spend(place, full, purpose === 'probe' ? 'relay' : 'probe', 1000)).toBe(true)
    expect(contacts.spend(place, 1400, 'round', 1000)).toBe(true)
  })

  test('is probed while there is room for a ping, of what is shared or of what it sent', () => {
    const contacts = new Contacts(10)
    expect(contacts.mayProbe(place, 0)).toBe(true)
    contacts.spend(place, 8192 - 700 - HEADER_BYTES, 'probe', 0)
    expect(contacts.mayProbe(place, 0)).toBe(true)
    contacts.spend(place, 1, 'probe', 0)
    expect(contacts.mayProbe(place, 0)).toBe(false)
    contacts.received(place, 700 - HEADER_BYTES - 1, 0)
    expect(contacts.mayProbe(place, 0)).toBe(false)
    contacts.spend(place, 0, 'answer', 0)
    contacts.received(place, 0, 0)
    contacts.received(place, 1, 0)
    expect(contacts.mayProbe(place, 0)).toBe(true)
    expect(contacts.mayProbe(elsewhere, 0)).toBe(false)
  })
})

describe('a member that was silent', () => {
  test('is so for an hour after it died unreached, under its name and at its place', () => {
    const contacts = new Contacts(10)
    contacts.diedUnreached(place, 'a', 1000)
    expect(contacts.isSilent(place, 'a', 1000 + HOUR_MS)).toBe(true)
    expect(contacts.isSilent(place, 'a', 1001 + HOUR_MS)).toBe(false)
    expect(contacts.isSilent(place, 'b', 1000)).toBe(false)
    expect(contacts.isSilent(elsewhere, 'a', 1000)).toBe(false)
    // It may be asked at once.
    expect(contacts.isResting(place, 'a', 1000)).toBe(false)
    contacts.asks(place, 'a', 1000, 1000)
    expect(contacts.isResting(place, 'a', 2999)).toBe(true)
    expect(contacts.isResting(place, 'a', 3000)).toBe(false)
  })

  test('is not silent any more once it answered there, but when another did', () => {
    const contacts = new Contacts(10)
    contacts.diedUnreached(place, 'a', 0)
    contacts.answered(place, 'b', 1)
    expect(contacts.isSilent(place, 'a', 2)).toBe(true)
    contacts.answered(place, 'a', 2)
    expect(contacts.isSilent(place, 'a', 3)).toBe(false)
  })

  test('is asked less often each time, and every five minutes at the least', () => {
    const contacts = new Contacts(10)
    let nowMs = 0
    for (const waitMs of [2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000]) {
      contacts.asks(place, 'a', nowMs, 1000)
      expect(contacts.isSilent(place, 'a', nowMs)).toBe(true)
      expect(contacts.isResting(place, 'a', nowMs + waitMs - 1)).toBe(true)
      // Its death in between makes no difference.
      contacts.diedUnreached(place, 'a', nowMs + waitMs - 1)
      expect(contacts.isResting(place, 'a', nowMs + waitMs)).toBe(false)
      expect(contacts.isResting(place, 'b', nowMs)).toBe(false)
      expect(contacts.isResting(elsewhere, 'a', nowMs)).toBe(false)
      nowMs += waitMs
    }
    // Of another name there nothing is known yet.
    contacts.asks(place, 'b', nowMs, 1000)
    expect(contacts.isResting(place, 'b', nowMs + 1999)).toBe(true)
    expect(contacts.isResting(place, 'b', nowMs + 2000)).toBe(false)
  })

  test('is asked anew once it answered', () => {
    const contacts = new Contacts(10)
    contacts.asks(place, 'a', 0, 1000)
    contacts.answered(place, 'a', 1)
    contacts.asks(place, 'a', 2, 1000)
    expect(contacts.isResting(place, 'a', 2001)).toBe(true)
    expect(contacts.isResting(place, 'a', 2002)).toBe(false)
  })
})

test('the longest silent make room, and what is older than an hour goes', () => {
  const contacts = new Contacts(2)
  for (const n of [2, 3]) contacts.answered(endpointOf(n), 'a', n)
  contacts.answered(endpointOf(2), 'a', 5)
  contacts.answered(endpointOf(4), 'a', 6)
  expect([2, 3, 4].map((n) => contacts.isReached(endpointOf(n), 6))).toEqual([true, false, true])
  for (const n of [2, 3, 4]) contacts.asks(endpointOf(n), 'a', n, 1000)
  for (const n of [5, 6, 7]) contacts.received(endpointOf(n), 1, n)
  expect(Object.fromEntries(collectionsOf(contacts))).toEqual({
    '#answers': 2,
    '#silences': 2,
    '#credits': 2,
  })
  // At an hour it stays, a moment later it goes.
  contacts.answered(endpointOf(2), 'a', 6 + HOUR_MS)
  expect(collectionsOf(contacts).get('#answers')).toBe(2)
  contacts.answered(endpointOf(2), 'a', 7 + HOUR_MS)
  expect(collectionsOf(contacts).get('#answers')).toBe(1)
})
