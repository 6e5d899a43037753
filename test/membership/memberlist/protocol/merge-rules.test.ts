import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../../../lab/sim/seeded-random.ts'
import { Contests } from '../../../../src/membership/memberlist/protocol/contests.ts'
import type { Delegate } from '../../../../src/membership/memberlist/protocol/dependencies.ts'
import { type Endpoint, sameEndpoint } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import { roomToRise } from '../../../../src/membership/memberlist/protocol/incarnation.ts'
import type { MemberRecord } from '../../../../src/membership/memberlist/protocol/members.ts'
import { Merge, type Origin } from '../../../../src/membership/memberlist/protocol/merge.ts'
import { SelfDefence } from '../../../../src/membership/memberlist/protocol/refute.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { Suspicions } from '../../../../src/membership/memberlist/protocol/suspicion.ts'
import type { Alive, Message, PushPullNode } from '../../../../src/membership/memberlist/wire/messages.ts'
import { CoreBench } from './core-bench.ts'
import { alive, dead, endpointOf, node, suspect } from './machine.ts'

const BURST = 2 ** 20

/** The merge alone, with nobody who acts on what it learns but this test. */
class Merging extends CoreBench {
  readonly merge: Merge
  /** What the others were told, in order. */
  readonly told: string[] = []
  readonly claims: { record: MemberRecord; claim: Alive; rival: Endpoint }[] = []
  readonly listings: [at: Endpoint, place: Endpoint][] = []
  readonly fetches: { record: MemberRecord; end: () => void }[] = []

  constructor(settings: Partial<ProtocolSettings> = {}, delegate: Delegate = {}) {
    super(settings, { chance: seededRandom(1), delegate })
    const { told, claims, listings, fetches, core } = this
    const contests = new (class extends Contests {
      override claimed(record: MemberRecord, claim: Alive, rival: Endpoint): void {
        claims.push({ record, claim, rival })
      }
      override listed(at: Endpoint, place: Endpoint): void {
        listings.push([at, place])
      }
      override end(record: MemberRecord): void {
        told.push(`${record.name} contest over`)
        record.rival = undefined
      }
    })(core, () => {})
    const suspicions = new Suspicions(core, {
      declareDead: ({ name }) => told.push(`${name} silent`),
      askForState: () => {},
    })
    this.merge = new Merge(core, suspicions, new SelfDefence(core, contests), {
      contests,
      fell: ({ name }) => told.push(`${name} fell`),
      letGo: (name) => told.push(`${name} let go`),
      fetch: (record, end) => fetches.push({ record, end }),
      suspected: () => told.push('suspected'),
      listed: () => told.push('listed'),
      missed: () => told.push('missed'),
      claimed: ({ name }) => told.push(`${name} claimed`),
    })
  }

  /** Goes on to a time, and does what is due. */
  override at(ms: number): this {
    super.at(ms)
    this.core.deadlines.runDue(ms)
    return this
  }

  alive(message: Alive, origin?: Origin): this {
    this.merge.alive(message, origin)
    return this
  }

  /** Takes a peer's state. */
  state(nodes: PushPullNode[], origin?: Origin): this {
    this.merge.state({ join: false, nodes, userState: new Uint8Array(0) }, origin, () =>
      this.told.push('end'),
    )
    return this
  }

  record(n: number): MemberRecord {
    return this.core.members.get(`m${n}`)!
  }

  /** State, incarnation and place, as far as it is known. */
  seen(n: number): string {
    const record = this.core.members.get(`m${n}`)
    if (record === undefined) return 'unknown'
    return `${record.state} ${record.incarnation} at ${record.endpoint.address.split('.')[3]}:${record.endpoint.port}`
  }

  override clear(): this {
    super.clear()
    this.told.length = 0
    return this
  }

  /** Packets sent to a place. */
  packetsTo(place: Endpoint): readonly (readonly Message[])[] {
    return this.of('send-packet').flatMap(({ to, messages }) => (sameEndpoint(to, place) ? [messages] : []))
  }

  /** Names asked for at a place so far. */
  askedAt(place: Endpoint): string[] {
    return this.packetsTo(place).flatMap((messages) =>
      messages.flatMap((message) => (message.kind === 'ping' ? [message.node] : [])),
    )
  }

  /** Answers the last ping to a place. */
  answer(place: Endpoint): this {
    const ping = this.packetsTo(place)
      .flat()
      .findLast((message) => message.kind === 'ping')!
    this.core.pending.get(ping.seqNo)?.acked(new Uint8Array(0), place, [])
    return this
  }

  /** What waits to be said, oldest last. */
  waiting(): string[] {
    return this.core.queue
      .look(60_000, 255)
      .map((message) =>
        'node' in message
          ? `${message.kind} ${message.node} ${'incarnation' in message ? message.incarnation : ''}`
          : message.kind,
      )
  }
}

const elsewhere = (n: number, at: number, incarnation = 1, over: Partial<Alive> = {}) =>
  alive(n, incarnation, { address: alive(at).address, ...over })

const packet = (n: number): Origin => ({ by: 'packet', from: endpointOf(n) })
const asked = (n: number, seed: boolean): Origin => ({ by: 'asked', seed, place: endpointOf(n) })

describe('a newcomer', () => {
  test.each<[string, boolean, Origin | undefined, boolean]>([
    ['with keys, of a packet', true, packet(2), true],
    ['with keys, of a state', true, undefined, true],
    ['with keys, of a state that we asked for', true, asked(2, false), true],
    ['without, of a packet', false, packet(2), false],
    ['without, of a state', false, undefined, false],
    ['without, of a state that we asked for', false, asked(2, false), false],
    ['without, of the state of a seed', false, asked(2, true), true],
  ])('%s', (_, keyed, origin, isTaken) => {
    const m = new Merging({ keyed }).alive(alive(3), origin)
    expect(m.seen(3)).toBe(isTaken ? 'alive 1 at 3:7946' : 'unknown')
    expect(m.askedAt(endpointOf(3))).toEqual(isTaken ? [] : ['m3'])
    // One that was silent before is asked in any case.
    const silent = new Merging({ keyed })
    silent.core.contacts.diedUnreached(endpointOf(3), 'm3', 0)
    silent.alive(alive(3), origin)
    expect(silent.seen(3)).toBe('unknown')
    expect(silent.askedAt(endpointOf(3))).toEqual(['m3'])
    // And one that has answered is taken.
    const answered = new Merging({ keyed })
    answered.core.contacts.diedUnreached(endpointOf(3), 'm3', 0)
    answered.core.contacts.answered(endpointOf(3), 'm3', 0)
    expect(answered.alive(alive(3), origin).seen(3)).toBe('alive 1 at 3:7946')
  })

  test('is taken as it says, from now on, and told of', () => {
    const m = new Merging().at(5000)
    m.alive(alive(2, 4, { meta: Uint8Array.of(9), vsn: Uint8Array.of(1, 5, 3, 0, 0, 0) }))
    expect(m.record(2)).toMatchObject({
      name: 'm2',
      endpoint: endpointOf(2),
      addressBytes: alive(2).address,
      meta: Uint8Array.of(9),
      incarnation: 4,
      sinceMs: 5000,
      livesMs: 5000,
      state: 'alive',
    })
    expect(m.told).toEqual(['listed'])
    expect(m.changes()).toEqual(['m2 joined'])
    expect(m.waiting()).toEqual(['alive m2 4'])
  })

  test('that is asked first is asked again by packet and stream, without news, and its newest message counts', () => {
    const m = new Merging({ keyed: false })
    m.core.contacts.answered(endpointOf(3), 'x', 1000)
    m.core.queueMessage(alive(7))
    m.alive(alive(3, 2))
      .alive(alive(3, 4))
      .alive(alive(3, 4, { meta: Uint8Array.of(1) }))
      .alive(alive(3, 3))
    expect(m.askedAt(endpointOf(3))).toEqual(['m3'])
    m.at(1249)
    expect(m.askedAt(endpointOf(3))).toHaveLength(1)
    m.at(1250)
    expect(m.askedAt(endpointOf(3))).toEqual(['m3', 'm3'])
    expect(m.of('start-stream-probe')).toHaveLength(1)
    expect(m.packetsTo(endpointOf(3)).every((messages) => messages.length === 1)).toBe(true)
    m.answer(endpointOf(3))
    expect(m.record(3)).toMatchObject({ incarnation: 4, meta: new Uint8Array(0) })
  })

  test('that is silent is asked again after two intervals, then four', () => {
    const m = new Merging({ keyed: false })
    for (const [ms, times] of [
      [1000, 1],
      [2000, 1],
      [2999, 1],
      [3000, 2],
      [4000, 2],
      [6999, 2],
      [7000, 3],
    ] as const) {
      m.at(ms).alive(alive(3))
      const pings = m.askedAt(endpointOf(3)).length
      // Each time by two packets, as far as the second is due.
      expect(Math.ceil(pings / 2)).toBe(times)
      expect(m.seen(3)).toBe('unknown')
    }
  })

  test('that waits is looked at after a quarter of a second, and those that came meanwhile with it', () => {
    const m = new Merging({ keyed: false })
    const spendAll = () => {
      while (m.core.contacts.spend(endpointOf(9), 100, 'probe', m.core.nowMs));
    }
    spendAll()
    m.alive(alive(3))
    expect(m.core.deadlines.nextMs).toBe(1250)
    m.at(1100)
    spendAll()
    m.alive(alive(4))
    m.core.nowMs = 1250
    spendAll()
    m.at(1250)
    for (const n of [3, 4]) m.core.contacts.received(endpointOf(n), 4000, 1250)
    m.at(1499)
    expect([m.askedAt(endpointOf(3)), m.askedAt(endpointOf(4))]).toEqual([[], []])
    m.at(1500)
    expect([m.askedAt(endpointOf(3)), m.askedAt(endpointOf(4))]).toEqual([['m3'], ['m4']])
  })

  test('waits while 256 are asked, for a quarter of a second; at most 1,024 wait', () => {
    const m = new Merging({ keyed: false })
    const far = (i: number) =>
      alive(0, 1, { node: `far-${i}`, address: Uint8Array.of(10, 1, i >> 8, i & 255) })
    const placeOf = (i: number) => ({ address: `10.1.${i >> 8}.${i & 255}`, port: 7946 })
    const hear = (i: number) => {
      m.core.contacts.received(placeOf(i), 4000, m.core.nowMs)
    }
    /** How many of them were asked so far. */
    const askedOf = (from: number, count: number) => {
      const places = new Set(m.of('send-packet').map(({ to }) => to.address))
      const wanted = Array.from({ length: count }, (_, i) => placeOf(from + i).address)
      return wanted.filter((address) => places.has(address)).length
    }
    for (let i = 1; i <= 256 + 1024; i++) {
      hear(i)
      m.alive(far(i))
    }
    expect([askedOf(1, 256), askedOf(257, 1024)]).toEqual([256, 0])
    expect(m.told).toEqual([])
    // One that waits already may say more; another may not.
    m.alive(far(300))
    expect(m.told).toEqual([])
    hear(1281)
    m.alive(far(1281))
    expect(m.told).toEqual(['missed'])
    // Those that are asked answer, and make room.
    m.at(1100)
    for (let i = 1; i <= 10; i++) m.answer(placeOf(i))
    m.at(1249)
    expect(askedOf(257, 1024)).toBe(0)
    m.at(1250)
    expect(askedOf(257, 1024)).toBe(10)
    m.at(2000)
    m.at(2250)
    expect(askedOf(257, 1024)).toBe(266)
  })

  test('that rests does not wait for a question', () => {
    const m = new Merging({ keyed: false })
    m.alive(alive(3)).at(2000)
    // No more questions for now.
    while (m.core.contacts.spend(endpointOf(9), 100, 'probe', m.core.nowMs));
    m.alive(alive(3)).alive(alive(4))
    m.clear()
    m.at(2250)
    m.core.contacts.received(endpointOf(3), 4000, 2250)
    m.core.contacts.received(endpointOf(4), 4000, 2250)
    m.at(2500)
    expect([m.askedAt(endpointOf(3)), m.askedAt(endpointOf(4))]).toEqual([[], ['m4']])
  })

  test('is asked for only where a question may be sent', () => {
    const m = new Merging({ keyed: false })
    while (m.core.contacts.spend(endpointOf(9), 100, 'probe', m.core.nowMs));
    m.alive(alive(3))
    // It does not count as silent for that.
    expect(m.core.contacts.isSilent(endpointOf(3), 'm3', m.core.nowMs)).toBe(false)
    m.core.contacts.received(endpointOf(3), 4000, m.core.nowMs)
    m.at(1250)
    expect(m.askedAt(endpointOf(3))).toEqual(['m3'])
  })

  test.each([
    ['a fallen one', true, 'dead', ['m2 forgotten', 'm9 joined']],
    ['one that left', true, 'left', ['m2 forgotten', 'm9 joined']],
    ['a living one that nobody heard', true, 'alive', ['m2 died', 'm2 forgotten', 'm9 joined']],
    ['a suspect that nobody heard', true, 'suspect', ['m2 died', 'm2 forgotten', 'm9 joined']],
    ['no living one, if it has not answered itself', false, 'alive', []],
  ] as const)('takes the room of %s', (_, hasAnswered, state, changes) => {
    const m = new Merging({ maxMembers: 4 })
    m.alive(alive(2)).alive(alive(3)).alive(alive(4))
    m.core.contacts.answered(endpointOf(3), 'm3', 1000)
    // By a relay, which proves no place.
    m.record(4).lastAckMs = 1000
    if (state === 'suspect') m.merge.suspect(suspect(2, 1, 'm3'))
    else if (state !== 'alive') m.merge.dead(dead(2, 1, state === 'left' ? 'm2' : 'm3'))
    const suspicion = m.record(2).suspicion
    if (hasAnswered) m.core.contacts.answered(endpointOf(9), 'm9', 1000)
    m.clear().alive(alive(9))
    expect(m.changes()).toEqual(changes)
    expect(m.core.members.size).toBe(4)
    expect(m.waiting().some((word) => word.includes('m2'))).toBe(changes.length === 0)
    // Nothing of it is due any more.
    if (suspicion !== undefined) expect(m.record(9).suspicion).toBeUndefined()
    if (changes[0] === 'm2 died') {
      expect(m.told).toEqual(['m2 contest over', 'listed'])
      expect(m.of('member-changed')[0]?.member.state).toBe('dead')
    }
    m.clear().at(100_000)
    expect([m.changes(), m.told]).toEqual([[], []])
  })

  test('takes the room of a fallen one, though there are living ones that nobody heard', () => {
    const m = new Merging({ maxMembers: 4 }).alive(alive(2)).alive(alive(3)).alive(alive(4))
    m.merge.dead(dead(3, 1, 'm2'))
    m.core.contacts.answered(endpointOf(9), 'm9', 1000)
    m.alive(alive(9))
    expect([2, 3, 4, 9].map((n) => m.seen(n).split(' ')[0])).toEqual(['alive', 'unknown', 'alive', 'alive'])
    expect(m.core.members.living).toHaveLength(3)
  })

  test('for which there is no room is counted, and told of', () => {
    const m = new Merging({ maxMembers: 1 }).alive(alive(2))
    expect(m.of('log')).toMatchObject([
      { level: 'warn', fields: { reason: 'too-many-members', peer: 'm2', address: '10.0.0.2', port: 7946 } },
    ])
    expect(m.core.counters.refused['too-many-members']).toBe(1)
  })
})

describe('room at a place, in a ring without keys', () => {
  const keyless = (count = 0) => {
    const m = new Merging({ keyed: false })
    for (let i = 0; i < count; i++) m.alive(alive(2, 1, { node: `at-${i}`, port: 8000 + i }), asked(9, true))
    return m
  }
  const refused = (m: Merging) => m.core.counters.refused['too-many-members']

  test('is for 64 at an address, whatever their ports; those that are there may say more', () => {
    const m = keyless(64)
    expect(m.core.members.countAt('10.0.0.2')).toBe(64)
    m.alive(alive(2), asked(9, true))
    expect([m.seen(2), refused(m)]).toEqual(['unknown', 1])
    m.alive(alive(2, 3, { node: 'at-5', port: 8005 }), packet(2))
    expect(m.core.members.get('at-5')?.incarnation).toBe(3)
    // With one of them gone there is room again, until it is back.
    m.merge.dead({ ...dead(2, 1, 'x'), node: 'at-7' })
    m.alive(alive(2), asked(9, true))
    m.alive(alive(2, 5, { node: 'at-7', port: 8007 }), asked(9, true))
    expect([m.seen(2), m.core.members.get('at-7')?.state, refused(m)]).toEqual([
      'alive 1 at 2:7946',
      'dead',
      2,
    ])
  })

  test('has no limit at our own address, but our own place is taken', () => {
    const m = keyless()
    for (let i = 0; i < 70; i++) m.alive(alive(1, 1, { node: `near-${i}`, port: 8000 + i }), asked(9, true))
    expect(m.core.members.size).toBe(71)
    m.alive(alive(1, 1, { node: 'm5' }), asked(9, true))
    expect([m.seen(5), refused(m)]).toEqual(['unknown', 1])
  })

  test('has no limit where there are keys', () => {
    const m = new Merging()
    for (let i = 0; i < 70; i++) m.alive(alive(2, 1, { node: `at-${i}`, port: 7946 }))
    expect(m.core.members.size).toBe(71)
  })

  /** `m3` is said to be where `m2` is listed, which answered last before that. */
  const contended = () => {
    const m = keyless().alive(alive(2), asked(9, true))
    m.record(2).lastAckMs = 900
    m.clear().alive(elsewhere(3, 2), asked(9, true))
    return m
  }

  test('is contended: the newcomer is asked, and only if it answers the other is', () => {
    const m = contended()
    expect(m.askedAt(endpointOf(2))).toEqual(['m3'])
    m.at(2000)
    expect(m.askedAt(endpointOf(2))).toEqual(['m3', 'm3'])
    expect([m.seen(2), m.seen(3)]).toEqual(['alive 1 at 2:7946', 'unknown'])
    expect(m.of('start-stream-probe')).toHaveLength(1)
  })

  test('stays with the one listed if that answers as well', () => {
    const m = contended().answer(endpointOf(2))
    m.core.queueMessage(alive(7))
    expect(m.askedAt(endpointOf(2))).toEqual(['m3', 'm2'])
    // One question at a time.
    m.alive(elsewhere(3, 2), asked(9, true)).alive(elsewhere(4, 2), asked(9, true))
    expect(m.askedAt(endpointOf(2))).toEqual(['m3', 'm2', 'm4'])
    m.at(1250)
    expect(m.askedAt(endpointOf(2)).slice(3).sort()).toEqual(['m2', 'm4'])
    expect(m.packetsTo(endpointOf(2)).every((messages) => messages.length === 1)).toBe(true)
    expect(m.of('start-stream-probe')).toHaveLength(2)
    const ping = m
      .packetsTo(endpointOf(2))
      .flat()
      .find((message) => message.kind === 'ping' && message.node === 'm2')
    m.clear()
    if (ping?.kind === 'ping') m.core.pending.get(ping.seqNo)?.acked(new Uint8Array(0), endpointOf(2), [])
    expect(m.record(2).lastAckMs).toBe(1250)
    expect(m.core.contacts.hasAnswered(endpointOf(2), 'm2', 1250)).toBe(true)
    expect([m.seen(2), m.seen(3)]).toEqual(['alive 1 at 2:7946', 'unknown'])
    expect(m.of('log')).toMatchObject([
      { fields: { reason: 'too-many-members', peer: 'm3', address: '10.0.0.2', port: 7946 } },
    ])
    // Later it is contended anew.
    m.at(20_000).clear().alive(elsewhere(3, 2), asked(9, true)).answer(endpointOf(2))
    expect(m.askedAt(endpointOf(2))).toEqual(['m3', 'm2'])
  })

  test('goes to the newcomer if the other is silent', () => {
    const m = contended().answer(endpointOf(2)).at(1999)
    expect(m.seen(3)).toBe('unknown')
    m.at(2000)
    expect([m.seen(2), m.seen(3)]).toEqual(['dead 1 at 2:7946', 'alive 1 at 2:7946'])
    expect(m.changes()).toEqual(['m2 died', 'm3 joined'])
  })

  test('is nobody’s to lose who has moved meanwhile', () => {
    const m = contended().answer(endpointOf(2))
    m.core.members.move(m.record(2), { address: '10.0.0.2', port: 9 }, alive(2).address)
    m.at(2000)
    expect([m.seen(2), m.seen(3)]).toEqual(['alive 1 at 2:9', 'alive 1 at 2:7946'])
  })

  test('is contended at 256 places at a time', () => {
    const m = keyless()
    for (let i = 1; i <= 257; i++) {
      const address = Uint8Array.of(10, 2, i >> 8, i & 255)
      const place = { address: `10.2.${i >> 8}.${i & 255}`, port: 7946 }
      m.alive(alive(2, 1, { node: `old-${i}`, address }), asked(9, true))
      m.core.contacts.answered(place, `new-${i}`, 1000)
      m.clear().alive(alive(2, 1, { node: `new-${i}`, address }), asked(9, true))
      expect(m.askedAt(place)).toEqual(i <= 256 ? [`old-${i}`] : [])
    }
  })
})

describe('a dead member that is said to live where it was', () => {
  test.each<[string, boolean, Origin | undefined, 'believed' | 'asked']>([
    ['with keys, by itself', true, packet(2), 'asked'],
    ['with keys, by another', true, packet(3), 'believed'],
    ['with keys, in a state', true, undefined, 'believed'],
    ['with keys, in a state that we asked for', true, asked(2, false), 'believed'],
    ['without, by itself', false, packet(2), 'asked'],
    ['without, by another', false, packet(3), 'asked'],
    ['without, in a state', false, undefined, 'asked'],
    ['without, in a state that we asked for', false, asked(3, false), 'asked'],
    ['without, in the state of a seed', false, asked(3, true), 'believed'],
  ])('%s is %s', (_, keyed, origin, then) => {
    for (const before of ['heard', 'answered since', 'silent'] as const) {
      const m = new Merging({ keyed }).alive(alive(2), asked(3, true))
      if (before !== 'silent') m.core.contacts.answered(endpointOf(2), 'm2', 1000)
      m.at(2000).merge.dead(dead(2, 1, 'm3'))
      if (before === 'answered since') m.core.contacts.answered(endpointOf(2), 'm2', 2000)
      m.clear().alive(alive(2, 2), origin)
      const isTaken = before === 'answered since' || (before === 'heard' && then === 'believed')
      expect([before, m.seen(2).split(' ')[0]]).toEqual([before, isTaken ? 'alive' : 'dead'])
      expect(m.askedAt(endpointOf(2))).toEqual(isTaken ? [] : ['m2'])
      if (!isTaken) expect(m.answer(endpointOf(2)).seen(2)).toBe('alive 2 at 2:7946')
    }
  })

  test('that had left is taken without a question', () => {
    const m = new Merging({ keyed: false }).alive(alive(2), asked(3, true))
    m.merge.dead(dead(2, 1, 'm2'))
    expect(m.alive(alive(2, 2), packet(2)).seen(2)).toBe('alive 2 at 2:7946')
  })

  test.each([
    ['died without ever having answered us', 'm3', false, true],
    ['left', 'm2', false, false],
    ['answered in this life', 'm3', true, false],
  ])('is silent from then on if it %s', (_, from, hasAnswered, isSilent) => {
    const m = new Merging()
    m.core.contacts.answered(endpointOf(2), 'm2', 999)
    m.alive(alive(2))
    if (hasAnswered) m.core.contacts.answered(endpointOf(2), 'm2', 1000)
    m.merge.dead(dead(2, 1, from))
    expect(m.core.contacts.isSilent(endpointOf(2), 'm2', 1000)).toBe(isSilent)
    // Dead is dead: a later word on it says no more.
    m.at(2000)
    m.merge.dead(dead(2, 1, 'm2'))
    expect(m.core.contacts.isSilent(endpointOf(2), 'm2', 2000)).toBe(isSilent)
  })
})

describe('an incarnation that nobody but the member itself is believed', () => {
  const beyond = 1 + BURST + 1

  test('has it asked for its state, one member at a time', () => {
    const m = new Merging().alive(alive(2)).alive(alive(3))
    m.alive(alive(2, beyond), packet(2)).alive(alive(3, beyond), packet(2))
    expect(m.fetches.map(({ record }) => record.name)).toEqual(['m2'])
    expect(m.of('log')).toMatchObject([
      { fields: { reason: 'incarnation-out-of-range', peer: 'm2', kind: 'alive' } },
    ])
    expect([m.seen(2), m.core.counters.refused['incarnation-out-of-range']]).toEqual(['alive 1 at 2:7946', 2])
    m.fetches[0]!.end()
    m.alive(alive(3, beyond), packet(2))
    expect(m.fetches.map(({ record }) => record.name)).toEqual(['m2', 'm3'])
    // Far below is as far.
    const low = new Merging().alive(alive(2, 1000)).alive(alive(2, 487), packet(2))
    expect(low.fetches).toHaveLength(1)
    expect(low.alive(alive(2, 488), packet(2)).fetches).toHaveLength(1)
    expect(new Merging().alive(alive(2)).alive(alive(2, beyond)).fetches).toHaveLength(1)
  })

  test('has sixteen asked at once, and ten each second', () => {
    const m = new Merging().alive(alive(2))
    const askedFor = (times: number) => {
      for (let i = 0; i < times; i++) {
        m.alive(alive(2, beyond), packet(2))
        m.fetches.at(-1)!.end()
      }
      return m.fetches.length
    }
    expect(askedFor(20)).toBe(16)
    expect(askedFor(5)).toBe(16)
    m.at(2000)
    expect(askedFor(20)).toBe(26)
  })

  test('has nobody asked who never answered, where there are no keys', () => {
    const m = new Merging({ keyed: false }).alive(alive(2), asked(9, true))
    expect(m.alive(alive(2, beyond), packet(2)).fetches).toEqual([])
    m.core.contacts.answered(endpointOf(2), 'm2', 1000)
    expect(m.alive(alive(2, beyond), packet(2)).fetches).toHaveLength(1)
  })

  test.each([beyond, 2])('is taken from where it is listed: %i', (incarnation) => {
    const m = new Merging().alive(alive(2, 1000))
    if (incarnation === beyond) m.record(2).incarnation = 0
    m.clear().alive(alive(2, incarnation, { meta: Uint8Array.of(3) }), asked(3, true))
    expect(m.record(2).meta).toHaveLength(0)
    m.alive(alive(2, incarnation, { meta: Uint8Array.of(3) }), asked(2, false))
    expect(m.record(2)).toMatchObject({ incarnation, meta: Uint8Array.of(3), risen: BURST, risenMs: 1000 })
    expect(m.changes()).toEqual(['m2 updated'])
  })

  test('is not taken from there if the delegate refuses it', () => {
    const m = new Merging({}, { refuseAlive: ({ incarnation }) => (incarnation > 1 ? 'no' : undefined) })
    m.alive(alive(2)).alive(alive(2, beyond), asked(2, false))
    expect(m.seen(2)).toBe('alive 1 at 2:7946')
  })

  test.each(['suspect', 'dead'] as const)(
    'is refused of a %s message, and of one that is within its room taken',
    (kind) => {
      for (const [incarnation, state] of [
        [50 + BURST, kind],
        [51 + BURST, 'alive'],
      ] as const) {
        const m = new Merging().alive(alive(2, 50))
        if (kind === 'suspect') m.merge.suspect(suspect(2, incarnation, 'm3'))
        else m.merge.dead(dead(2, incarnation, 'm3'))
        expect(m.record(2).state).toBe(state)
        const fields = m.of('log').flatMap((line) => (line.level === 'warn' ? [line.fields] : []))
        const refused = { event: 'message.refused', reason: 'incarnation-out-of-range', peer: 'm2', kind }
        expect(fields).toEqual(state === 'alive' ? [refused] : [])
      }
    },
  )
})

describe('a name that was taken over', () => {
  /** `m2` died in incarnation 5, and its name came back from 10.0.0.9 in incarnation 3. */
  const takenOver = () => {
    const m = new Merging().alive(alive(2, 1)).alive(alive(3)).at(2000).alive(alive(2, 5))
    m.record(2).refusalsDistrustedUntilMs = 1e9
    m.merge.dead(dead(2, 5, 'm3'))
    m.clear()
    return m
      .at(2000)
      .alive(elsewhere(2, 9, 3, { meta: Uint8Array.of(4), vsn: Uint8Array.of(1, 5, 3, 0, 0, 0) }))
  }

  test('is what the new one says, with all its room to rise, and the old place is told', () => {
    const m = takenOver()
    expect(m.record(2)).toMatchObject({
      state: 'alive',
      incarnation: 3,
      endpoint: endpointOf(9),
      addressBytes: alive(9).address,
      meta: Uint8Array.of(4),
      vsn: Uint8Array.of(1, 5, 3, 0, 0, 0),
      livesMs: 2000,
      sinceMs: 2000,
      refusalsDistrustedUntilMs: -Infinity,
      previous: { endpoint: endpointOf(2), incarnation: 5, untilMs: 2000 },
    })
    expect(roomToRise(m.record(2), 2000)).toBe(BURST - 3)
    expect(m.packetsTo(endpointOf(2))).toMatchObject([
      [
        { kind: 'ping', node: 'm2' },
        { kind: 'dead', node: 'm2', from: 'm2', incarnation: 5 },
      ],
    ])
    expect(m.told).toEqual(['m2 contest over'])
    expect(m.changes()).toEqual(['m2 joined'])
    expect(m.of('log')).toMatchObject([
      { level: 'info', fields: { event: 'member.moved', peer: 'm2', from: '10.0.0.2', to: '10.0.0.9' } },
    ])
    expect(m.waiting()).toEqual(['alive m2 3', 'dead m2 5', 'alive m3 1'])
  })

  test('is not given back to late news of what was there, but to an answer from there that makes it a conflict', () => {
    const m = takenOver().clear()
    m.core.queueMessage(alive(7))
    for (const incarnation of [5, 4, 2]) m.alive(alive(2, incarnation), packet(3))
    // One question at a time, without news.
    expect(m.packetsTo(endpointOf(2)).map((messages) => messages.map(({ kind }) => kind))).toEqual([['ping']])
    m.at(3000)
    expect([m.claims.length, m.seen(2)]).toEqual([0, 'alive 3 at 9:7946'])
    m.alive(alive(2, 5), packet(3)).answer(endpointOf(2))
    expect(m.claims).toMatchObject([{ claim: { incarnation: 5 }, rival: endpointOf(2) }])
    expect(m.seen(2)).toBe('alive 3 at 9:7946')
    // And again after that.
    m.at(4000).clear().alive(alive(2, 5), packet(3))
    expect(m.askedAt(endpointOf(2))).toEqual(['m2'])
  })

  test.each<[string, (m: Merging) => void]>([
    ['forgotten', (m) => m.merge.forget(m.record(2))],
    ['back there', (m) => m.core.members.move(m.record(2), endpointOf(2), alive(2).address)],
  ])('says nothing of one that is %s when the answer comes', (_, change) => {
    const m = takenOver().clear()
    const record = m.record(2)
    m.alive(alive(2, 5), packet(3))
    change(m)
    m.answer(endpointOf(2))
    expect(m.claims).toEqual([])
    expect(record.claim).toBeUndefined()
  })

  test('is given back to one that answers there and says more', () => {
    const m = takenOver().clear()
    m.alive(alive(2, 6), packet(3))
    // It has not answered yet: a conflict.
    expect([m.seen(2), m.claims.length]).toEqual(['alive 3 at 9:7946', 1])
    m.core.contacts.answered(endpointOf(2), 'm2', 2000)
    m.clear().alive(alive(2, 6), packet(3))
    expect(m.seen(2)).toBe('alive 6 at 2:7946')
    expect(m.record(2).previous).toBeUndefined()
    // The one that had taken it is asked as its rival.
    expect(m.claims.at(-1)).toMatchObject({
      record: m.record(2),
      claim: {
        kind: 'alive',
        node: 'm2',
        incarnation: 3,
        address: alive(9).address,
        port: 7946,
        meta: Uint8Array.of(4),
      },
      rival: endpointOf(9),
    })
    expect(m.changes()).toEqual(['m2 joined'])
    expect(m.waiting()).toContain('alive m2 6')
  })

  test('is given back to one that says more than before, however far the new one has come meanwhile', () => {
    const m = takenOver()
      .alive(elsewhere(2, 9, 8))
      .clear()
    m.core.contacts.answered(endpointOf(2), 'm2', 2000)
    expect(m.alive(alive(2, 6), packet(3)).seen(2)).toBe('alive 6 at 2:7946')
  })

  test('is not given back for an answer of before', () => {
    const m = takenOver()
    m.core.contacts.answered(endpointOf(2), 'm2', 1999)
    expect(m.alive(alive(2, 6), packet(3)).seen(2)).toBe('alive 3 at 9:7946')
  })

  test('is taken again by what was there before when the new one has fallen', () => {
    const m = takenOver()
    m.core.contacts.answered(endpointOf(2), 'm2', 2000)
    m.merge.dead(dead(2, 6, 'm3'))
    m.alive(alive(2, 7), packet(3))
    expect(m.seen(2)).toBe('alive 7 at 2:7946')
    expect(m.record(2).previous).toMatchObject({ endpoint: endpointOf(9), incarnation: 6 })
  })

  test('is taken while its member lives, when that says so itself, also back to where it was and in a lower incarnation', () => {
    const m = new Merging()
      .alive(alive(2, 5))
      .clear()
      .alive(elsewhere(2, 9, 3), { by: 'itself' })
    expect([m.seen(2), m.claims]).toEqual(['alive 3 at 9:7946', []])
    expect(m.changes()).toEqual(['m2 joined'])
    expect(m.alive(alive(2, 4), { by: 'itself' }).seen(2)).toBe('alive 4 at 2:7946')
    expect(m.record(2).previous).toMatchObject({ endpoint: endpointOf(9), incarnation: 3 })
    m.alive(elsewhere(2, 8, 9), packet(3))
    expect([m.seen(2), m.claims.length]).toEqual(['alive 4 at 2:7946', 1])
    const refusing = new Merging(
      {},
      { refuseAlive: ({ endpoint }) => (endpoint.address === '10.0.0.9' ? 'no' : undefined) },
    )
    expect(
      refusing
        .alive(alive(2))
        .alive(elsewhere(2, 9, 3), { by: 'itself' })
        .seen(2),
    ).toBe('alive 1 at 2:7946')
  })

  test('is not bound to what was there once it is kept no longer', () => {
    const m = takenOver().at(61_999).alive(alive(2, 4), packet(3))
    expect([m.claims.length, m.askedAt(endpointOf(2)).length]).toEqual([0, 2])
    m.at(63_000).clear().alive(alive(2, 4), packet(3))
    expect([m.claims.length, m.askedAt(endpointOf(2)).length]).toEqual([1, 0])
  })

  test('is refused where the delegate refuses it', () => {
    const m = new Merging(
      {},
      { refuseAlive: ({ endpoint }) => (endpoint.address === '10.0.0.9' ? 'no' : undefined) },
    )
    m.alive(alive(2)).merge.dead(dead(2, 1, 'm3'))
    expect(m.alive(elsewhere(2, 9)).seen(2)).toBe('dead 1 at 2:7946')
  })
})

describe('a name that is claimed from elsewhere', () => {
  test('is told of in ten seconds once, and looked into each time', () => {
    const m = new Merging().alive(alive(2)).clear()
    for (const ms of [2000, 5000, 11_999, 12_000]) m.at(ms).alive(elsewhere(2, 9, ms))
    expect(m.of('conflict-found')).toMatchObject([
      { known: { name: 'm2', endpoint: endpointOf(2) }, claimedBy: endpointOf(9) },
      { known: { name: 'm2' } },
    ])
    expect(m.of('log')).toMatchObject([
      {
        level: 'warn',
        fields: {
          event: 'conflict.found',
          peer: 'm2',
          address: '10.0.0.2',
          port: 7946,
          claimedByAddress: '10.0.0.9',
          claimedByPort: 7946,
        },
      },
      { level: 'warn' },
    ])
    expect(m.packetsTo(endpointOf(2)).map(([message]) => message)).toMatchObject([
      { kind: 'alive', incarnation: 2000, address: alive(9).address },
      { kind: 'alive', incarnation: 12_000 },
    ])
    expect(m.claims.map(({ claim, rival }) => [claim.incarnation, rival])).toEqual(
      [2000, 5000, 11_999, 12_000].map((incarnation) => [incarnation, endpointOf(9)]),
    )
    expect(m.told).toEqual(Array.from({ length: 4 }, () => 'm2 claimed'))
  })

  test.each([
    [
      'the newest claim',
      [
        [0, 8, 2],
        [10, 9, 3],
      ],
      20,
      'alive 3 at 9:7946',
    ],
    [
      'of one incarnation the last claim',
      [
        [0, 8, 2],
        [10, 9, 2],
      ],
      20,
      'alive 2 at 9:7946',
    ],
    [
      'not an older one',
      [
        [0, 8, 3],
        [10, 9, 2],
      ],
      20,
      'alive 3 at 8:7946',
    ],
    [
      'an older one after a minute',
      [
        [0, 8, 3],
        [60_000, 9, 2],
      ],
      60_010,
      'alive 2 at 9:7946',
    ],
    [
      'not an older one just before',
      [
        [0, 8, 3],
        [59_999, 9, 2],
      ],
      59_999,
      'alive 3 at 8:7946',
    ],
    ['none that is a minute old', [[0, 8, 3]], 60_000, 'dead 1 at 2:7946'],
  ] as const)('goes, when its member falls, to %s', (_, claims, fallsMs, seen) => {
    const m = new Merging().alive(alive(2)).alive(alive(3))
    for (const [ms, at, incarnation] of claims) m.at(1000 + ms).alive(elsewhere(2, at, incarnation))
    m.at(1000 + fallsMs)
    expect(m.merge.isClaimed(m.record(2))).toBe(seen.startsWith('alive'))
    m.clear().merge.dead(dead(2, 1, 'm3'))
    expect(m.seen(2)).toBe(seen)
    expect(m.merge.isClaimed(m.record(2))).toBe(false)
  })

  test('is its member’s again when that says more', () => {
    const m = new Merging()
      .alive(alive(2))
      .alive(elsewhere(2, 9, 2))
      .alive(alive(2, 4))
    expect(m.merge.isClaimed(m.record(2))).toBe(false)
    m.merge.dead(dead(2, 4, 'm3'))
    expect(m.seen(2)).toBe('dead 4 at 2:7946')
  })

  test('keeps its claim in the queue while it is contested', () => {
    const m = new Merging().alive(alive(2))
    const claim = () => m.core.queueMessage(elsewhere(2, 9, 7), { space: 'claim', name: 'm2' })
    claim()
    m.alive(alive(2, 2))
    expect(m.waiting()).toEqual(['alive m2 2'])
    claim()
    m.record(2).rival = endpointOf(9)
    m.alive(alive(2, 3))
    expect(m.waiting()).toEqual(['alive m2 3', 'alive m2 7'])
    m.merge.dead(dead(2, 3, 'm1'))
    expect(m.waiting()).toEqual(['dead m2 3'])
    claim()
    m.merge.forget(m.record(2))
    expect(m.waiting()).toEqual([])
  })
})

describe('what changes of a member', () => {
  test.each([
    ['nothing', alive(2, 2), []],
    ['its metadata', alive(2, 2, { meta: Uint8Array.of(1) }), ['m2 updated']],
    ['its versions', alive(2, 2, { vsn: Uint8Array.of(1, 5, 3, 0, 0, 0) }), ['m2 updated']],
  ])('is told: %s', (_, message, changes) => {
    const m = new Merging().alive(alive(2)).clear().at(5000).alive(message)
    expect(m.changes()).toEqual(changes)
    expect(m.record(2)).toMatchObject({ meta: message.meta, vsn: message.vsn, sinceMs: 1000, livesMs: 1000 })
    expect(m.waiting()).toEqual(['alive m2 2'])
    for (const [fall, back] of [
      [suspect(2, 2, 'm2'), ['m2 restored', ...changes]],
      [dead(2, 2, 'm2'), ['m2 joined']],
    ] as const) {
      const other = new Merging().alive(alive(2))
      if (fall.kind === 'suspect') other.merge.suspect(fall)
      else other.merge.dead(fall)
      other
        .clear()
        .at(7000)
        .alive({ ...message, incarnation: 3 })
      expect(other.changes()).toEqual(back)
      expect(other.record(2)).toMatchObject({
        state: 'alive',
        sinceMs: 7000,
        suspicion: undefined,
        livesMs: fall.kind === 'suspect' ? 1000 : 7000,
      })
    }
  })

  test('is not taken if the delegate refuses it, which sees what is said', () => {
    const seen: unknown[] = []
    const refuseAlive: Delegate['refuseAlive'] = (member) => {
      seen.push([member.name, member.incarnation, member.stateSinceMs])
      return member.incarnation > 1 ? 'too much' : undefined
    }
    const m = new Merging({}, { refuseAlive }).alive(alive(2)).at(5000).alive(alive(2, 2))
    expect(m.seen(2)).toBe('alive 1 at 2:7946')
    expect(seen).toEqual([
      ['m2', 1, 1000],
      ['m2', 2, 5000],
    ])
    expect(m.of('log')).toMatchObject([
      { fields: { reason: 'delegate-refused', peer: 'm2', because: 'too much' } },
    ])
  })

  test('by suspicion is told once, and what others say of it beside', () => {
    const m = new Merging()
    for (const n of [2, 3, 4, 5]) m.alive(alive(n))
    m.clear()
      .at(2000)
      .merge.suspect(suspect(2, 1, 'm3'))
    expect(m.record(2)).toMatchObject({ state: 'suspect', sinceMs: 2000 })
    m.at(3000)
    const words = () =>
      m.core.queue.look(60_000, 255).flatMap((word) => (word.kind === 'suspect' ? [word.from] : []))
    expect(words()).toEqual(['m3'])
    for (const from of ['m3', 'm4', 'a stranger']) m.merge.suspect(suspect(2, 1, from))
    expect(words()).toEqual(['m4', 'm3'])
    m.merge.suspect(suspect(2, 1, 'm1'))
    expect(m.changes()).toEqual(['m2 suspected'])
    expect(m.told).toEqual(['suspected'])
    // Ours takes the place of the one that began it; another’s stands beside.
    expect(words()).toEqual(['m1', 'm4'])
    expect(m.of('log')).toMatchObject([
      { level: 'debug', fields: { event: 'member.suspected', peer: 'm2', by: 'm3' } },
    ])
    // A later life that is suspected as well begins its time anew, but is as long a suspect.
    m.at(4000).merge.suspect(suspect(2, 6, 'm3'))
    expect(m.record(2)).toMatchObject({ incarnation: 6, sinceMs: 2000, suspicion: { sinceMs: 4000 } })
  })

  test('by us is counted', () => {
    const m = new Merging().alive(alive(2, 3)).alive(alive(3))
    m.merge.raiseSuspicion(m.record(2))
    expect(m.core.counters.suspicionsRaised).toBe(1)
    m.merge.raiseSuspicion(m.record(2))
    expect(m.core.counters.suspicionsRaised).toBe(1)
    expect([...m.record(2).suspicion!.confirmations]).toEqual(['m1'])
    m.clear().merge.declareSuspectDead(m.record(2), 'refusal')
    expect(m.core.counters).toMatchObject({
      declaredDead: 1,
      declaredDeadBy: { silence: 0, refusal: 1, witnesses: 0, kubernetes: 0 },
    })
    expect(m.of('log')).toMatchObject([
      {
        level: 'info',
        fields: { event: 'suspect.declared-dead', peer: 'm2', address: '10.0.0.2', evidence: 'refusal' },
      },
    ])
    expect([m.changes(), m.told]).toEqual([['m2 died'], ['m2 contest over', 'm2 fell']])
    expect(m.record(2)).toMatchObject({ suspicion: undefined, fellMs: 1000 })
  })

  test('of the dead is how far they had come, and that they left', () => {
    const m = new Merging().alive(alive(2)).alive(alive(3))
    m.merge.dead(dead(2, 1, 'm3'))
    m.clear().at(5000)
    m.merge.dead(dead(2, 4, 'm3'))
    expect([m.seen(2), m.changes(), m.record(2).fellMs]).toEqual(['dead 4 at 2:7946', [], 1000])
    m.merge.dead(dead(2, 4, 'm2'))
    expect([m.seen(2), m.changes(), m.record(2).fellMs]).toEqual(['left 4 at 2:7946', ['m2 left'], 5000])
    m.merge.dead(dead(2, 4, 'm3'))
    m.merge.dead(dead(2, 6, ''))
    expect([m.seen(2), m.changes()]).toEqual(['left 6 at 2:7946', ['m2 left']])
  })

  test('by our own word twice is taken back where it is in doubt', () => {
    const m = new Merging().alive(alive(2)).alive(alive(3))
    m.core.contacts.answered(endpointOf(2), 'm2', 1000)
    m.merge.dead(dead(2, 1, 'm1'))
    m.alive(alive(2, 2)).merge.dead(dead(2, 2, 'm1'))
    expect(m.waiting()).toEqual(['dead m2 2', 'alive m3 1'])
    m.merge.dead(dead(2, 2, 'm2'))
    m.alive(alive(2, 3)).merge.dead(dead(2, 3, 'm1'))
    m.core.declaredDead.doubt(1000)
    expect(m.waiting()).toEqual(['alive m3 1'])
    // Also where its name was taken over in between.
    m.alive(alive(2, 4)).merge.dead(dead(2, 4, 'm1'))
    m.alive(elsewhere(2, 9)).merge.dead(dead(2, 5, 'm1'))
    expect(m.waiting()).toContain('dead m2 5')
    m.core.declaredDead.doubt(1000)
    expect(m.waiting()).toEqual(['alive m3 1'])
  })

  test('by us is never about this member itself', () => {
    const m = new Merging().clear()
    m.merge.declareDead('m1', '10.0.0.1')
    m.merge.evict('m1', 1000)
    expect([m.seen(1), m.merge.isEvicted('m1')]).toEqual(['alive 1 at 1:7946', false])
    m.merge.declareDead('nobody', '10.0.0.1')
    m.alive(alive(2)).merge.declareDead('m2', '10.0.0.3')
    expect(m.seen(2)).toBe('alive 1 at 2:7946')
    m.merge.declareDead('m2', '10.0.0.2')
    m.clear().merge.declareDead('m2', '10.0.0.2')
    expect([m.seen(2), m.changes()]).toEqual(['dead 1 at 2:7946', []])
  })
})

describe('the evicted', () => {
  test('are refused until their time is over', () => {
    const m = new Merging()
    m.merge.evict('m2', 5000)
    expect(m.at(5999).alive(alive(2)).seen(2)).toBe('unknown')
    expect(m.of('log')).toMatchObject([{ fields: { reason: 'evicted', peer: 'm2' } }])
    expect(m.merge.isEvicted('m2')).toBe(true)
    expect(m.at(6000).alive(alive(2)).seen(2)).toBe('alive 1 at 2:7946')
  })

  test('are 1,024 at most; those evicted longest ago make room', () => {
    const m = new Merging()
    for (let i = 0; i < 1024; i++) m.merge.evict(`e${i}`, 5000)
    m.merge.evict('e0', 5000)
    expect([0, 1].map((i) => m.merge.isEvicted(`e${i}`))).toEqual([true, true])
    m.merge.evict('last', 5000)
    expect([0, 1, 2].map((i) => m.merge.isEvicted(`e${i}`))).toEqual([true, false, true])
  })

  test('are learned from others, for as long as it is said, and those that live here fall', () => {
    const m = new Merging().alive(alive(2)).clear()
    m.merge.learnEvicted(
      [
        { name: 'm2', forMs: 5000 },
        { name: 'm3', forMs: 7000 },
      ],
      endpointOf(4),
    )
    expect([m.seen(2), m.alive(alive(3)).seen(3)]).toEqual(['dead 1 at 2:7946', 'unknown'])
    expect(m.of('log')).toContainEqual(
      expect.objectContaining({
        level: 'info',
        fields: { event: 'eviction.learned', peer: 'm2', forMs: 5000, from: '10.0.0.4' },
      }),
    )
    m.at(1000 + 5000)
    expect([m.merge.isEvicted('m2'), m.merge.isEvicted('m3')]).toEqual([false, true])
  })

  test('are not learned again: what an operator said here counts, and what is over is over', () => {
    const m = new Merging()
    m.merge.evict('m2', 1000)
    const hour = [{ name: 'm2', forMs: 3_600_000 }]
    m.merge.learnEvicted(hour, endpointOf(4))
    expect(m.merge.evicted()).toEqual([{ name: 'm2', forMs: 1000 }])
    m.at(2000).merge.learnEvicted(hour, endpointOf(4))
    expect(m.merge.evicted()).toEqual([])
    m.merge.evict('m2', 500)
    expect(m.merge.evicted()).toEqual([{ name: 'm2', forMs: 500 }])
  })

  test('are learned within bounds: no room is made, and no name is taken that a member cannot have', () => {
    const m = new Merging()
    const forMs = 5000
    const strange = ['m1', 'x'.repeat(256), 'a\u001b[2J'].map((name) => ({ name, forMs }))
    m.merge.learnEvicted([...strange, { name: 'long', forMs }], endpointOf(4))
    expect(m.merge.evicted()).toEqual([{ name: 'long', forMs }])
    const many = Array.from({ length: 2000 }, (_, i) => ({ name: `e${i}`, forMs }))
    m.merge.learnEvicted(many, endpointOf(4))
    expect(['long', 'e1022', 'e1023'].map((name) => m.merge.isEvicted(name))).toEqual([true, true, false])
    m.merge.evict('last', forMs)
    expect(m.merge.isEvicted('last')).toBe(true)
  })

  test('are learned for no longer than an operator may evict', () => {
    const m = new Merging()
    const week = 7 * 24 * 3_600_000
    m.merge.learnEvicted(
      [
        { name: 'm2', forMs: 2 ** 32 - 1 },
        { name: 'm3', forMs: week },
      ],
      endpointOf(4),
    )
    expect(m.merge.evicted().map(({ forMs }) => forMs)).toEqual([week, week])
    expect(m.of('log')[0]).toMatchObject({ fields: { peer: 'm2', forMs: week } })
  })
})

describe('a state', () => {
  test.each([
    ['lists us, that we asked', node(1), asked(2, false), false],
    ['lists us, of a peer', node(1), undefined, false],
    ['does not, that we asked', node(3), asked(2, false), true],
    ['does not, of a peer', node(3), undefined, false],
    ['has us for dead', node(1, 1, 2), undefined, true],
    ['has us for dead in an earlier life', node(1, 0, 2), undefined, false],
    ['has another for dead', node(3, 1, 2), undefined, false],
    ['has that we left', node(1, 1, 3), undefined, false],
  ] as const)('that %s', (_, entry, origin, isCalledDead) => {
    const m = new Merging().alive(alive(3)).state([entry], origin)
    expect(m.core.calledDead !== undefined).toBe(isCalledDead)
    const isDead = entry.name === 'm1' && entry.state === 2 && entry.incarnation === 1
    expect(m.core.declaredDead.doubtedMs).toBe(isDead ? 1000 : -Infinity)
    expect(m.core.counters.heldDead).toBe(isDead ? 1 : 0)
    expect(m.told).toContain('end')
  })

  test('that we asked for says where we are listed', () => {
    const m = new Merging()
    const there = { ...node(1), address: alive(9).address }
    // Whoever sends his unasked may be the other process of our name, wherever it is from.
    m.state([there])
      .state([node(1, 0, 2)], asked(2, false))
      .state([node(2)], asked(2, false))
    expect(m.listings).toEqual([])
    m.state([node(2), there], asked(3, false)).state([{ ...node(1, 1, 1), port: 5 }], asked(4, true))
    // At no place at all.
    m.state([{ ...node(1), address: new Uint8Array(3) }], asked(5, false))
    expect(m.listings).toEqual([
      [endpointOf(3), endpointOf(9)],
      [endpointOf(4), { address: '10.0.0.1', port: 5 }],
    ])
  })

  test.each([
    ['a stranger', undefined, 1, 'suspect 1 at 2:7946'],
    ['one of a later life', 1, 2, 'suspect 2 at 2:7946'],
    ['one as we know it', 2, 2, 'suspect 2 at 2:7946'],
    ['one of an earlier life', 3, 2, 'alive 3 at 2:7946'],
  ])('in which there is a suspect: %s', (_, known, told, seen) => {
    const m = new Merging()
    if (known !== undefined) m.alive(alive(2, known))
    const isNews = known === undefined || known < told
    m.clear().state([{ ...node(2, told, 1), meta: Uint8Array.of(8) }])
    expect([m.seen(2), m.record(2).meta.length]).toEqual([seen, isNews ? 1 : 0])
  })

  test('in which there is a suspect elsewhere says nothing of its name, unless it is news', () => {
    const m = new Merging().alive(alive(2, 3))
    const suspectAt9 = (incarnation: number) =>
      m.state([{ ...node(2, incarnation, 1), address: alive(9).address }])
    suspectAt9(2)
    suspectAt9(3)
    expect(m.claims).toEqual([])
    suspectAt9(4)
    expect(m.claims).toMatchObject([{ rival: endpointOf(9) }])
  })

  test.each([
    [512, 512, 0],
    [513, 512, 1],
    [1024, 512, 1],
    [1025, 512, 2],
  ])('of %i is taken %i at a time, a millisecond apart', (count, first, slices) => {
    const m = new Merging()
    m.state(Array.from({ length: count }, (_, i) => ({ ...node(2), name: `n${i}`, port: 1 + i })))
    expect(m.core.members.size - 1).toBe(first)
    for (let i = 1; i <= slices; i++) {
      expect(m.told).not.toContain('end')
      m.at(999 + i)
      expect(m.core.members.size - 1).toBe(first * i)
      m.at(1000 + i)
    }
    expect(m.core.members.size - 1).toBe(count)
    expect(m.told.filter((word) => word === 'end')).toHaveLength(1)
    expect(m.told.at(-1)).toBe('end')
  })
})

describe('what is refused', () => {
  test.each<[string, Message, Record<string, unknown>]>([
    ['no name', alive(2, 1, { node: '' }), { reason: 'malformed', kind: 'alive' }],
    ['a bad port', alive(2, 1, { port: 0 }), { reason: 'malformed', kind: 'alive' }],
    [
      'versions that nobody speaks',
      alive(2, 1, { vsn: Uint8Array.of(0, 5, 2, 0, 0, 0) }),
      { reason: 'version-incompatible', peer: 'm2', pMin: 0, pMax: 5 },
    ],
    [
      'a version that it does not hear itself',
      alive(2, 1, { vsn: Uint8Array.of(1, 2, 3, 0, 0, 0) }),
      { reason: 'version-incompatible', peer: 'm2', pMin: 1, pMax: 2 },
    ],
    [
      'another cluster',
      { ...alive(2), clusterName: 'red', node: 'x'.repeat(300) },
      { reason: 'cluster-name-differs', peer: 'x'.repeat(255), kind: 'alive' },
    ],
    [
      'an incarnation at the end',
      { ...dead(2, 2 ** 31), node: 'y'.repeat(300) },
      { reason: 'incarnation-out-of-range', peer: 'y'.repeat(255), kind: 'dead' },
    ],
    ['a suspect without a name', { ...suspect(2), node: '\0' }, { reason: 'malformed', kind: 'suspect' }],
  ])('%s is told of', (_, message, fields) => {
    const m = new Merging({ clusterName: 'blue' })
    const word = 'clusterName' in message ? message : { ...message, clusterName: 'blue' }
    if (word.kind === 'alive') m.merge.alive(word)
    else if (word.kind === 'suspect') m.merge.suspect(word)
    else if (word.kind === 'dead') m.merge.dead(word)
    expect(m.of('log').map((line) => line.fields)).toEqual([{ event: 'message.refused', ...fields }])
  })

  test.each<[string, Partial<Alive>]>([
    ['the longest name', { node: 'x'.repeat(255) }],
    ['the first port', { port: 1 }],
    ['the last port', { port: 65_535 }],
    ['the most metadata', { meta: new Uint8Array(512) }],
  ])('is not %s', (_, over) => {
    const m = new Merging().alive(alive(2, 1, over))
    expect(m.core.members.size).toBe(2)
  })
})
