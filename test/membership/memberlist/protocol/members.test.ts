import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { collectionsOf } from '../../../../lab/sim/collections.ts'
import { seededRandom } from '../../../../lab/sim/seeded-random.ts'
import { createRecord } from '../../../../src/membership/memberlist/protocol/core.ts'
import { type Endpoint, tryParseAddress } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import {
  hashName,
  type MemberRecord,
  MemberTable,
  understandEachOther,
  versionsOf,
  viewOf,
  vsnOf,
} from '../../../../src/membership/memberlist/protocol/members.ts'

function record(address: string, port = 7946) {
  const bytes = tryParseAddress(address)!
  return createRecord(`${address}:${port}`, { address, port }, bytes, new Uint8Array(0), new Uint8Array(6))
}

/** Chance that is what the test says, over and over. */
function chanceOf(...numbers: number[]): () => number {
  let at = 0
  return () => numbers[at++ % numbers.length]!
}

/** A table with `counts[i]` members at the i-th address. */
function table(...counts: number[]) {
  const members = new MemberTable(seededRandom(1), 1000)
  const all = counts.flatMap((count, i) =>
    Array.from({ length: count }, (_, n) => record(`10.0.0.${i + 1}`, 7000 + n)),
  )
  for (const one of all) members.add(one)
  return { members, all }
}

const addressesOf = (records: readonly { endpoint: { address: string } }[]) =>
  records.map(({ endpoint }) => endpoint.address).sort()

describe('whom news is told', () => {
  test('members at different addresses, however many are at one', () => {
    const { members } = table(60, 1, 1)
    for (let i = 0; i < 20; i++) {
      expect(addressesOf(members.nextToTell(3, () => true))).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3'])
    }
  })

  test('several at one address where there are too few', () => {
    const { members } = table(5, 1)
    for (let i = 0; i < 20; i++) {
      const told = members.nextToTell(3, () => true)
      expect(addressesOf(told)).toEqual(['10.0.0.1', '10.0.0.1', '10.0.0.2'])
      expect(new Set(told).size).toBe(3)
    }
  })

  test('all in turn where each has an address of its own', () => {
    const { members, all } = table(1, 1, 1, 1, 1, 1)
    const told = [...members.nextToTell(3, () => true), ...members.nextToTell(3, () => true)]
    expect(new Set(told)).toEqual(new Set(all))
  })
})

describe('who reaches a member in our stead', () => {
  test('others at other addresses, though few', () => {
    const { members, all } = table(60, 1, 1)
    expect(addressesOf(members.relaysFor(all[0]!, 3))).toEqual(['10.0.0.2', '10.0.0.3'])
    members.setState(all[61]!, 'suspect', 0)
    expect(addressesOf(members.relaysFor(all[0]!, 3))).toEqual(['10.0.0.2'])
  })

  test('its neighbours where there is nobody else, and never itself or a suspect', () => {
    const { members, all } = table(4)
    members.setState(all[3]!, 'suspect', 0)
    expect(new Set(members.relaysFor(all[0]!, 3))).toEqual(new Set([all[1], all[2]]))
    expect(members.relaysFor(all[0]!, 1)).toHaveLength(1)
  })

  test('nobody where there is nobody', () => {
    const { members, all } = table(1)
    expect(members.relaysFor(all[0]!, 3)).toEqual([])
  })
})

describe('neighbours', () => {
  test('are others at its address, as many as are wanted', () => {
    const { members, all } = table(6, 3)
    const near = members.neighboursOf(all[0]!, 4, () => true)
    expect(near).toHaveLength(4)
    expect(near).not.toContain(all[0])
    expect(new Set(addressesOf(near))).toEqual(new Set(['10.0.0.1']))
    expect(members.neighboursOf(all[0]!, 4, (other) => other === all[2])).toEqual([all[2]])
  })
})

describe('members by place and state', () => {
  const places = ['10.0.0.1', '10.0.0.2'].flatMap((address) => [1, 2].map((port) => ({ address, port })))
  const step = fc.record({
    what: fc.constantFrom('add', 'remove', 'move', 'alive', 'suspect', 'dead', 'left'),
    who: fc.integer({ min: 0, max: 5 }),
    where: fc.integer({ min: 0, max: 3 }),
  })
  const isLiving = ({ state }: MemberRecord) => state === 'alive' || state === 'suspect'
  const isAt = (a: Endpoint, b: Endpoint) => a.address === b.address && a.port === b.port

  test('are what a plain list of them says, after any changes', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 60, maxLength: 60 }), (steps) => {
        const members = new MemberTable(seededRandom(1), 1000)
        const self = record('10.9.9.9')
        members.addSelf(self)
        const listed = new Map<number, MemberRecord>()
        /** Who came to a place last, while it lives there. */
        const lastAt = new Map<number, MemberRecord>()
        for (const [clockMs, { what, who, where }] of steps.entries()) {
          const known = listed.get(who)
          const place = places[where]!
          const arrives = (one: MemberRecord) =>
            lastAt.set(
              places.findIndex((at) => isAt(at, one.endpoint)),
              one,
            )
          if (what === 'add') {
            if (known !== undefined) continue
            const bytes = tryParseAddress(place.address)!
            const one = createRecord(`m${who}`, place, bytes, new Uint8Array(0), new Uint8Array(6))
            members.add(one)
            listed.set(who, one)
            arrives(one)
          } else if (known === undefined) continue
          else if (what === 'remove') {
            members.remove(known)
            listed.delete(who)
            expect(known).toMatchObject({ forgotten: true, index: -1 })
          } else if (what === 'move') {
            const bytes = tryParseAddress(place.address)!
            members.move(known, place, bytes)
            expect(known).toMatchObject({ endpoint: place, addressBytes: bytes })
            if (isLiving(known)) arrives(known)
          } else {
            const wasLiving = isLiving(known)
            members.setState(known, what, clockMs)
            expect(known).toMatchObject({ state: what, sinceMs: clockMs })
            if (!wasLiving && isLiving(known)) arrives(known)
          }
          const all = [...listed.values()]
          const living = all.filter(isLiving)
          expect(new Set(members.all())).toEqual(new Set([self, ...all]))
          expect(members.size).toBe(all.length + 1)
          expect(members.get(`m${who}`)).toBe(listed.get(who))
          expect(new Set(members.living)).toEqual(new Set(living))
          expect(new Set(members.fallen)).toEqual(new Set(all.filter((one) => !isLiving(one))))
          for (const group of [members.living, members.fallen])
            for (const [i, one] of group.entries()) expect(one).toMatchObject({ index: i, forgotten: false })
          expect(members.suspectCount).toBe(all.filter(({ state }) => state === 'suspect').length)
          for (const [i, at] of places.entries()) {
            const last = lastAt.get(i)
            const isThere = last !== undefined && living.includes(last) && isAt(last.endpoint, at)
            if (!isThere) lastAt.delete(i)
            expect(members.livingAt(at)).toBe(isThere ? last : undefined)
          }
          for (const { address } of places) {
            const there = living.filter(({ endpoint }) => endpoint.address === address)
            expect(members.countAt(address)).toBe(there.length)
          }
        }
        for (const one of listed.values()) members.remove(one)
        expect(collectionsOf(members).get('#counts')).toBe(0)
      }),
      { seed: 7, numRuns: 12 },
    )
  })

  test('who comes, or comes back, has a place of its own in the order of probes', () => {
    const members = new MemberTable(chanceOf(0.25, 0, 0.75), 1000)
    const one = record('10.0.0.1')
    members.add(one)
    expect(one).toMatchObject({ probedMs: -Infinity, probeRank: 0.25 })
    one.probedMs = 5
    members.setState(one, 'suspect', 0)
    members.setState(one, 'dead', 0)
    members.setState(one, 'left', 0)
    expect(one).toMatchObject({ probedMs: 5, probeRank: 0.25 })
    members.setState(one, 'alive', 0)
    expect(one).toMatchObject({ probedMs: -Infinity, probeRank: 0.75 })
  })
})

describe('the next one to probe', () => {
  const nowMs = 20_000
  const timeMs = fc.oneof(
    fc.constant(-Infinity),
    fc.integer({ min: 0, max: 20 }).map((n) => n * 1000),
  )
  const other = fc.record({
    state: fc.constantFrom('alive' as const, 'alive' as const, 'suspect' as const, 'dead' as const),
    nameHash: fc.constantFrom(0, 1, 7, 2 ** 31, 2 ** 32 - 1),
    probedMs: fc.oneof(timeMs, fc.constantFrom(19_099, 19_100, 19_101)),
    pingedUsMs: timeMs,
    livesMs: fc.integer({ min: 10, max: 20 }).map((n) => n * 1000),
    probeRank: fc.constantFrom(0, 0.5, 0.9),
  })

  test('is the one watched twice in three rounds, else the one that was quiet for longest', () => {
    const own = hashName('self')
    fc.assert(
      fc.property(
        fc.array(other, { minLength: 2, maxLength: 6, size: 'max' }),
        fc.boolean(),
        (others, onlyAlive) => {
          for (const round of [1, 2, 3, 6]) {
            const members = new MemberTable(seededRandom(1), 1000)
            members.addSelf(
              createRecord(
                'self',
                { address: '10.9.9.9', port: 1 },
                new Uint8Array(4),
                new Uint8Array(0),
                new Uint8Array(6),
              ),
            )
            for (let i = 1; i < round; i++) members.nextToProbe(0, false)
            const records = others.map((over, i) => {
              const one: MemberRecord = {
                ...record('10.0.0.1', 1 + i),
                ...over,
                state: 'alive',
                nameHash: (own + over.nameHash) >>> 0,
              }
              members.add(one)
              members.setState(one, over.state, 0)
              one.probedMs = over.probedMs
              one.probeRank = over.probeRank
              return one
            })
            const living = members.living.filter(({ state }) => state === 'alive' || !onlyAlive)
            const roundMs = records.filter(({ state }) => state !== 'dead').length * 1000
            const first = (from: readonly MemberRecord[], rank: (one: MemberRecord) => number) =>
              from.toSorted((a, b) => rank(a) - rank(b))[0]
            // On the circle of names, whoever comes first after this member; not just after it was probed.
            const watched = first(
              living.filter(({ state, probedMs }) => state === 'alive' && probedMs < nowMs - 900),
              ({ nameHash }) => (nameHash - own + 2 ** 32) % 2 ** 32,
            )
            const quietest = first(living, ({ probedMs, pingedUsMs, livesMs, probeRank }) => {
              if (probedMs === -Infinity) return livesMs - probeRank * roundMs
              return Math.min(Math.max(probedMs, pingedUsMs), probedMs + 2 * roundMs)
            })
            const wanted = round % 3 === 0 ? quietest : (watched ?? quietest)
            expect(members.nextToProbe(nowMs, onlyAlive)).toBe(wanted)
            for (const [i, one] of records.entries())
              expect(one.probedMs).toBe(one === wanted ? nowMs : others[i]!.probedMs)
          }
        },
      ),
      { seed: 3, numRuns: 150 },
    )
  })
})

describe('one of the fallen', () => {
  const fallenTable = (count: number, random: () => number) => {
    const members = new MemberTable(random, 1000)
    for (let i = 0; i < count; i++) {
      const one = record('10.0.0.1', 1 + i)
      members.add(one)
      members.setState(one, 'dead', 0)
    }
    return members
  }

  test('is any of them', () => {
    const members = fallenTable(3, seededRandom(1))
    const found = new Set(Array.from({ length: 60 }, () => members.randomFallen(() => true)))
    expect(found).toEqual(new Set(members.fallen))
  })

  test.each([
    [0, 0],
    [3, 3],
    [8, 8],
    [20, 8],
  ])('of %i is sought %i times', (count, tries) => {
    const members = fallenTable(count, seededRandom(1))
    const asked: MemberRecord[] = []
    const found = members.randomFallen((one) => {
      asked.push(one)
      return false
    })
    expect(found).toBeUndefined()
    expect(asked).toHaveLength(tries)
  })
})

describe('some of the living', () => {
  test('are found in a group of 128 if they are there, and no more than are wanted', () => {
    const { members, all } = table(128)
    const before = [...members.living]
    expect(members.randomLiving(2, (one) => one === all[77])).toEqual([all[77]])
    let asked = 0
    const chosen = members.randomLiving(2, () => ++asked > 0)
    expect([chosen.length, asked]).toEqual([2, 2])
    expect(members.living).toEqual(before)
    const seen = new Set(Array.from({ length: 100 }, () => members.randomLiving(3, () => true)).flat())
    expect(seen.size).toBeGreaterThan(100)
  })

  test('in a larger one are sought eight times for each, and are all different', () => {
    const { members } = table(129)
    let asked = 0
    expect(members.randomLiving(3, () => ++asked < 0)).toEqual([])
    expect(asked).toBe(24)
    asked = 0
    expect(members.randomLiving(3, () => ++asked > 0)).toHaveLength(3)
    expect(asked).toBe(3)
    const second = members.living[1]
    const always = new MemberTable(chanceOf(0), 1000)
    for (const one of members.living) always.add(one)
    expect(always.randomLiving(2, (one) => one !== second)).toHaveLength(1)
    const seen = new Set(Array.from({ length: 200 }, () => members.randomLiving(3, () => true)).flat())
    expect(seen.size).toBeGreaterThan(100)
  })
})

test('where a member has no neighbour, none is sought', () => {
  let draws = 0
  const members = new MemberTable(() => (++draws, 0), 1000)
  const [single, one, two] = [record('10.0.0.1'), record('10.0.0.2', 1), record('10.0.0.2', 2)]
  for (const each of [single, one, two]) members.add(each)
  const sought = (of: MemberRecord) => {
    draws = 0
    return { found: members.neighboursOf(of, 3, () => true), isSought: draws > 0 }
  }
  expect(sought(single)).toEqual({ found: [], isSought: false })
  expect(sought(one)).toEqual({ found: [two], isSought: true })
  members.setState(one, 'dead', 0)
  expect(sought(one)).toEqual({ found: [two], isSought: true })
  expect(sought(two)).toEqual({ found: [], isSought: false })
})

test('who is not told news takes no turn from others at the same address', () => {
  const { members, all } = table(2, 2)
  members.setState(all[0]!, 'suspect', 0)
  for (let i = 0; i < 20; i++) {
    const told = members.nextToTell(2, ({ state }) => state === 'alive')
    expect(addressesOf(told)).toEqual(['10.0.0.1', '10.0.0.2'])
  }
})

test('news goes on to others after it went to some at the same address', () => {
  const { members, all } = table(2, 1)
  members.setState(all[2]!, 'dead', 0)
  const told = members.nextToTell(3, ({ state }) => state === 'alive')
  expect(new Set(told)).toEqual(new Set([all[0], all[1]]))
  expect(told).toHaveLength(2)
  members.remove(all[0]!)
  expect(members.nextToTell(3, () => true)).not.toContain(all[0])
})

describe('versions', () => {
  test('are six bytes', () => {
    const versions = { pMin: 1, pMax: 2, pCur: 3, dMin: 4, dMax: 5, dCur: 6 }
    expect(vsnOf(versions)).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6))
    expect(versionsOf(Uint8Array.of(1, 2, 3, 4, 5, 6))).toEqual(versions)
    expect(versionsOf(new Uint8Array(0))).toEqual({ pMin: 0, pMax: 0, pCur: 0, dMin: 0, dMax: 0, dCur: 0 })
  })

  test.each([
    ['the same', [1, 5, 2, 0, 0, 0], true],
    ['speaking the lowest that the other hears', [1, 5, 1, 0, 0, 0], true],
    ['speaking the highest', [1, 5, 5, 0, 0, 0], true],
    ['speaking more', [1, 6, 6, 0, 0, 0], false],
    ['speaking less', [0, 5, 0, 0, 0, 0], false],
    ['hearing no more than what the other speaks', [1, 2, 2, 0, 0, 0], true],
    ['hearing no less than that', [2, 5, 2, 0, 0, 0], true],
    ['hearing only more', [3, 5, 3, 0, 0, 0], false],
    ['hearing only less', [1, 1, 1, 0, 0, 0], false],
    ['with another delegate that hears it', [1, 5, 2, 0, 1, 1], false],
    ['with a delegate that does not hear it', [1, 5, 2, 1, 1, 0], false],
  ])('%s', (_, vsn, understood) => {
    const own = Uint8Array.of(1, 5, 2, 0, 0, 0)
    expect(understandEachOther(own, Uint8Array.from(vsn))).toBe(understood)
    expect(understandEachOther(Uint8Array.from(vsn), own)).toBe(understood)
  })
})

test('what others may see of a member is a copy of the moment', () => {
  const one = record('10.0.0.1')
  Object.assign(one, {
    state: 'suspect',
    sinceMs: 7,
    incarnation: 9,
    meta: Uint8Array.of(1),
    rival: { address: '10.0.0.9', port: 1 },
  })
  one.vsn = Uint8Array.of(1, 2, 3, 4, 5, 6)
  expect(viewOf(one)).toEqual({
    name: '10.0.0.1:7946',
    endpoint: { address: '10.0.0.1', port: 7946 },
    state: 'suspect',
    stateSinceMs: 7,
    incarnation: 9,
    meta: Uint8Array.of(1),
    versions: { pMin: 1, pMax: 2, pCur: 3, dMin: 4, dMax: 5, dCur: 6 },
    rival: { address: '10.0.0.9', port: 1 },
  })
})

// All members have to come to the same order. Computed apart: FNV-1a, then the last step of MurmurHash3.
test.each([
  ['', 0xab3e7c0b],
  ['m1', 0xe753e801],
  ['m2', 0x2c572ad3],
  ['ringman-0', 0xcc801342],
  ['ringman-1', 0x29186390],
  ['å', 0x5d53dc11],
])('the hash of the name %j', (name, hash) => {
  expect(hashName(name)).toBe(hash)
})
