import { describe, expect, test } from 'vitest'
import type { Answer } from '../../lab/fleet/load.ts'
import { findOwners, hitRates, probesOf } from '../../lab/fleet/owners.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'

const before = HashRing.of(['a', 'b', 'c'].map((ringKey) => ({ ringKey, weight: 1 })))
const after = before.add({ ringKey: 'd', weight: 1 })
const keys = Array.from({ length: 200 }, (_, n) => `key-${n}`)
const moved = keys.filter(
  (key) => before.ownerOf(key)?.ringKey === 'a' && after.ownerOf(key)?.ringKey === 'd',
)
const [one = '', other = ''] = moved
const stays = keys.find((key) => after.ownerOf(key)?.ringKey === 'b') ?? ''

const answer = (atMs: number, by: string, key = one, more: Partial<Answer> = {}): Answer => ({
  key,
  by,
  atMs,
  isOwner: true,
  hit: true,
  ...more,
})

describe('who answered as an owner', () => {
  test('a move after which the owner before is silent has one owner at a time', () => {
    const answers = [
      answer(1, 'a'),
      answer(2, 'a', other),
      answer(3, 'd', one, { hit: false }),
      answer(4, 'd', other),
    ]
    expect(findOwners(before, after, answers)).toEqual({
      movedKeys: 2,
      warmKeys: 1,
      doubleAnswers: 0,
      doubleMs: 0,
      strangers: [],
    })
  })

  test('an owner that goes on is found, also by another key that moved with it', () => {
    const answers = [answer(10, 'd'), answer(30, 'a', other), answer(40, 'a'), answer(50, 'd', other)]
    expect(findOwners(before, after, answers)).toMatchObject({ doubleAnswers: 2, doubleMs: 30 })
  })

  test('one that stands in is no owner', () => {
    const answers = [answer(10, 'd'), answer(30, 'a', one, { isOwner: false })]
    expect(findOwners(before, after, answers)).toMatchObject({ doubleAnswers: 0, strangers: [] })
  })

  test('an owner on neither ring is a stranger', () => {
    const answers = [answer(1, 'c'), answer(2, 'a', stays), answer(3, 'b', stays)]
    expect(findOwners(before, after, answers).strangers).toHaveLength(2)
  })
})

test('probes ask both owners of a key that moves', () => {
  const probes = probesOf(before, after, keys)
  expect(probes.length).toBeGreaterThan(0)
  for (const [place, { key, at }] of probes.entries()) {
    expect(at).toBe((place % 2 === 0 ? before : after).ownerOf(key)?.ringKey)
  }
})

test('hit rates are those of so many answers each', () => {
  const answers = [true, true, false, true, false, false, true].map((hit, n) => answer(n, 'a', one, { hit }))
  expect(hitRates(answers, 2)).toEqual([1, 0.5, 0])
})
