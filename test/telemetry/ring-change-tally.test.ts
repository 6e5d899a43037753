import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { diffRings, recordChange } from '../../src/manager/change-record.ts'
import type { Member } from '../../src/membership/member.ts'
import { placeMembers, type RingKeyMode } from '../../src/membership/placement.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { plan } from '../../src/ring/plan.ts'
import { finish } from '../../src/ring/steps.ts'
import { RingChangeTally } from '../../src/telemetry/ring-collector.ts'
import type { Sample } from '../../src/telemetry/sample.ts'
import { fakeMember } from '../support/fake-source.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

/** Members one after the other, as a source would publish them, and what the tally makes of the rings. */
function follow(sets: readonly (readonly Member[])[], mode: RingKeyMode = 'address') {
  const clock = new VirtualClock(Date.UTC(2026, 0, 1))
  const tally = new RingChangeTally()
  let previous = { ring: HashRing.empty, epoch: 0, changedAtMs: 0 }
  for (const members of sets) {
    const ring = previous.ring.with(placeMembers(members, mode))
    const difference = finish(diffRings(previous.ring, ring))
    if (difference === undefined) continue
    const current = { ring, epoch: previous.epoch + 1, changedAtMs: clock.now() }
    const stateOf = (name: string) => members.find((member) => member.name === name)?.state
    const records = finish(recordChange(previous.ring, ring, difference, stateOf, clock.wallNow()))
    tally.add({ records })
    previous = current
  }
  const { ringChanges, ringKeysMoved, ringLastChange } = tally.collect()
  return {
    changes: byCause(ringChanges),
    moved: byCause(ringKeysMoved),
    lastChange: ringLastChange?.[0]?.value,
  }
}

function byCause(samples: readonly Sample[] = []): Record<string, number> {
  return Object.fromEntries(
    samples.flatMap(({ labels, value }) => (value === 0 ? [] : [[labels?.['cause'] ?? '', value]])),
  )
}

const a = fakeMember('a', '10.0.0.1')
const b = fakeMember('b', '10.0.0.2')
const c = fakeMember('c', '10.0.0.3')
const shareOf = (members: readonly Member[], ringKey: string) =>
  HashRing.of(placeMembers(members, 'address')).shares().get(ringKey) ?? 0

describe('causes of changes', () => {
  test('who comes has joined; what was nobody’s was not moved', () => {
    expect(follow([[a]])).toEqual({
      changes: { joined: 1 },
      moved: {},
      lastChange: Date.UTC(2026, 0, 1) / 1000,
    })
    const { changes, moved } = follow([[a], [a, b]])
    expect(changes).toEqual({ joined: 2 })
    expect(moved).toEqual({ joined: shareOf([a, b], '10.0.0.2:8000') })
  })

  test.each([
    ['left', [a, { ...b, state: 'left' as const }]],
    ['dead', [a, { ...b, state: 'dead' as const }]],
    ['removed', [a]],
    ['removed', [a, { ...b, metadata: undefined }]],
  ] as const)('who goes, goes because it is %s', (cause, after) => {
    const { changes, moved } = follow([[a, b], after])
    expect(changes).toEqual({ joined: 1, [cause]: 1 })
    expect(moved[cause]).toBeCloseTo(shareOf([a, b], '10.0.0.2:8000'), 12)
  })

  test('a suspicion is no change', () => {
    const { changes } = follow([
      [a, b],
      [a, { ...b, state: 'suspect' }],
      [a, b],
    ])
    expect(changes).toEqual({ joined: 1 })
  })

  test('nothing has changed before the first change', () => {
    expect(follow([])).toEqual({ changes: {}, moved: {}, lastChange: undefined })
  })

  test('another weight is an update', () => {
    const { changes, moved } = follow([
      [a, b],
      [a, fakeMember('b', '10.0.0.2', { weight: 3 })],
    ])
    expect(changes).toEqual({ joined: 1, updated: 1 })
    expect(Object.keys(moved)).toEqual(['updated'])
  })

  test('another zone is an update that moves nothing', () => {
    const { changes, moved } = follow([
      [a, b],
      [a, fakeMember('b', '10.0.0.2', { zone: 'z' })],
    ])
    expect(changes).toEqual({ joined: 1, updated: 1 })
    expect(moved).toEqual({})
  })

  test('a name that comes back with another address was updated, whatever is hashed', () => {
    const moved = fakeMember('b', '10.0.0.9')
    expect(
      follow([
        [a, b],
        [a, moved],
      ]).changes,
    ).toEqual({ joined: 1, updated: 1 })
    expect(
      follow(
        [
          [a, b],
          [a, moved],
        ],
        'name',
      ),
    ).toMatchObject({
      changes: { joined: 1, updated: 1 },
      moved: {},
    })
  })

  test('one change with several causes counts for each, and each key moves for one of them', () => {
    const { changes, moved } = follow([
      [a, b],
      [a, { ...b, state: 'dead' }, c],
    ])
    expect(changes).toEqual({ joined: 2, dead: 1 })
    const total = plan(HashRing.of(placeMembers([a, b], 'address')), {
      leave: ['10.0.0.2:8000'],
      join: placeMembers([c], 'address'),
    }).movedShare
    expect((moved['joined'] ?? 0) + (moved['dead'] ?? 0)).toBeCloseTo(total, 12)
    expect(moved['dead']).toBeCloseTo(shareOf([a, b], '10.0.0.2:8000'), 12)
  })
})

test('the moved share over all causes is that of a plan for the same change', () => {
  const members = fc.uniqueArray(
    fc.record({
      id: fc.integer({ min: 1, max: 12 }),
      weight: fc.integer({ min: 1, max: 5 }),
      state: fc.constantFrom('alive', 'suspect', 'dead', 'left'),
    }),
    { minLength: 1, maxLength: 8, selector: ({ id }) => id },
  )
  fc.assert(
    fc.property(members, members, (before, after) => {
      const sets = [before, after].map((set) =>
        set
          .map(({ id, weight, state }) => fakeMember(`m${id}`, `10.0.0.${id}`, { weight, state }))
          .toSorted((x, y) => (x.name < y.name ? -1 : 1)),
      )
      const [from, to] = sets.map((set) => HashRing.of(placeMembers(set, 'address')))
      if (from === undefined || to === undefined) throw new Error('two rings were made')
      let moved = 0
      for (const { start, end, from: owner, to: next } of from.movedTo(to)) {
        if (owner !== undefined && next !== undefined) moved += (end - start) / 2 ** 32
      }
      const counted = Object.values(follow(sets).moved).reduce((sum, share) => sum + share, 0)
      expect(counted).toBeCloseTo(moved, 9)
    }),
    { numRuns: 100 },
  )
})
