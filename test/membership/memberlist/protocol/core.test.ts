import { describe, expect, test } from 'vitest'
import { Core, createRecord } from '../../../../src/membership/memberlist/protocol/core.ts'
import { createCounters } from '../../../../src/membership/memberlist/protocol/counters.ts'
import type { Delegate } from '../../../../src/membership/memberlist/protocol/dependencies.ts'
import { tryParseAddress } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import { hashName, MemberTable } from '../../../../src/membership/memberlist/protocol/members.ts'
import { PRESETS, type ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import type { Message } from '../../../../src/membership/memberlist/wire/messages.ts'
import { alive, endpointOf } from './machine.ts'

const SIZE_BYTES = 10
/** What one message takes in a compound. */
const ENTRY_BYTES = SIZE_BYTES + 2

/** A core in a ring with keys, whose messages take 10 bytes each, user messages what their payload says. */
function coreWith(settings: Partial<ProtocolSettings> = {}, delegate: Delegate = {}, random = () => 0.5) {
  const identity = { name: 'm1', endpoint: endpointOf(1), meta: Uint8Array.of(1) }
  const sizeOf = (message: Message) => (message.kind === 'user' ? 1 + message.payload.length : SIZE_BYTES)
  return new Core(identity, { ...PRESETS.lan, keyed: true, ...settings }, { random, sizeOf, delegate })
}

function addMember(core: Core, n: number) {
  const { address, meta, vsn } = alive(n)
  const record = createRecord(`m${n}`, endpointOf(n), address, meta, vsn)
  core.members.add(record)
  return record
}

const user = (id: number): Message => ({ kind: 'user', payload: Uint8Array.of(id) })
const nack = (seqNo: number): Message => ({ kind: 'nack', seqNo })

function packetsOf(core: Core) {
  return core.takeEffects().flatMap((effect) => (effect.kind === 'send-packet' ? [effect] : []))
}
const seqNos = (messages: readonly Message[]) =>
  messages.map((message) => (message.kind === 'nack' ? message.seqNo : message.kind))

describe('this member', () => {
  test('begins alive, in incarnation 0, with nothing counted and nothing waiting', () => {
    const core = coreWith()
    const { address, port } = endpointOf(1)
    expect(core.self).toEqual(
      createRecord('m1', { address, port }, tryParseAddress(address)!, Uint8Array.of(1), alive(1).vsn),
    )
    expect(core.members.get('m1')).toBe(core.self)
    expect(core.counters).toEqual({
      packetsSent: 0,
      messagesSent: 0,
      suspicionsRaised: 0,
      refutations: 0,
      heldDead: 0,
      declaredDead: 0,
      declaredDeadBy: { silence: 0, refusal: 0, witnesses: 0, kubernetes: 0 },
      pushPullsStarted: 0,
      pushPullsCompleted: 0,
      pushPullsAnswered: 0,
      pushPullsFailed: 0,
      joinsCompleted: 0,
      joinsFailed: 0,
      joinsRefused: 0,
      stalls: 0,
      stalledMs: 0,
      dropped: 0,
      oversized: 0,
      refused: {
        'cluster-name-differs': 0,
        'version-incompatible': 0,
        'delegate-refused': 0,
        'too-many-members': 0,
        malformed: 0,
        'incarnation-out-of-range': 0,
        'not-for-us': 0,
        overloaded: 0,
        evicted: 0,
      },
    })
    expect(createCounters()).not.toBe(createCounters())
    expect(core).toMatchObject({ nowMs: 0, clockMs: 0, seeds: [], leaving: false, livingCount: 1 })
    expect(core.takeEffects()).toEqual([])
    expect(core.isWitness(new Uint8Array(0))).toBe(false)
  })

  test('a record knows nothing yet but who it is', () => {
    const meta = Uint8Array.of(3)
    const record = createRecord('m2', endpointOf(2), alive(2).address, meta, alive(2).vsn)
    expect(record).toEqual({
      name: 'm2',
      endpoint: endpointOf(2),
      addressBytes: alive(2).address,
      meta,
      vsn: alive(2).vsn,
      incarnation: 0,
      risen: 0,
      risenMs: 0,
      state: 'alive',
      sinceMs: 0,
      index: -1,
      forgotten: false,
      claim: undefined,
      previous: undefined,
      livesMs: -Infinity,
      fellMs: -Infinity,
      forgetting: undefined,
      rival: undefined,
      asking: false,
      conflictToldMs: -Infinity,
      suspicion: undefined,
      lastAckMs: -Infinity,
      probedMs: -Infinity,
      probeRank: 0,
      nameHash: hashName('m2'),
      pingedUsMs: -Infinity,
      refusalsDistrustedUntilMs: -Infinity,
    })
  })

  test('has its address in one form, whichever way it was written', () => {
    const identity = { name: 'a', endpoint: { address: '::FFFF:10.0.0.1', port: 7 }, meta: new Uint8Array(0) }
    const core = new Core(identity, PRESETS.lan, { random: () => 0, sizeOf: () => 1 })
    expect(core.self.endpoint).toEqual({ address: '10.0.0.1', port: 7 })
  })

  test.each([
    ['', '10.0.0.1'],
    ['a', '0.0.0.0'],
    ['a', '::'],
    ['a', 'host.example'],
  ])('is not taken by the name %j at %j', (name, address) => {
    const identity = { name, endpoint: { address, port: 7946 }, meta: new Uint8Array(0) }
    const create = () => new Core(identity, PRESETS.lan, { random: () => 0.5, sizeOf: () => 1 })
    expect(create).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })

  test.each([
    'probeIntervalMs',
    'probeTimeoutMs',
    'gossipIntervalMs',
    'suspicionMult',
    'retransmitMult',
  ] as const)('is not taken with a %s of 0, or none', (key) => {
    for (const value of [0, Number.NaN])
      expect(() => coreWith({ [key]: value })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(coreWith({ [key]: 0.1 }).settings[key]).toBe(0.1)
  })

  test('has the table, the witnesses and the delegate that it is given, or none of that', () => {
    const identity = { name: 'a', endpoint: endpointOf(1), meta: new Uint8Array(0) }
    const members = new MemberTable(() => 0, 1000)
    const core = new Core(
      identity,
      { ...PRESETS.lan, keyed: true },
      {
        random: () => 0,
        sizeOf: () => 1,
        members,
        isWitness: (meta) => meta.length === 1,
      },
    )
    expect(core.members).toBe(members)
    expect([0, 1].map((length) => core.isWitness(new Uint8Array(length)))).toEqual([false, true])
    core.announceSelf()
    core.gossipTo([endpointOf(2)])
    expect(packetsOf(core)[0]?.messages).toHaveLength(1)
  })

  test('counts as living until it has left', () => {
    const core = coreWith()
    addMember(core, 2)
    expect(core.livingCount).toBe(2)
    core.self.state = 'left'
    expect(core.livingCount).toBe(1)
  })

  test('is called dead since the first time, and that counts once for each of its incarnations', () => {
    const core = coreWith()
    core.nowMs = 5
    core.noteCalledDead(0)
    core.nowMs = 7
    core.noteCalledDead(0)
    expect(core.counters.heldDead).toBe(1)
    expect(core.calledDead).toEqual({ firstMs: 5, lastMs: 7 })
    core.noteCalledDead(3)
    core.noteCalledDead(2)
    expect(core.counters.heldDead).toBe(2)
    core.calledDead = undefined
    core.nowMs = 9
    core.noteUnlisted()
    expect(core.counters.heldDead).toBe(2)
    expect(core.calledDead).toEqual({ firstMs: 9, lastMs: 9 })
  })

  test.each([
    ['clusterName', 'blue', { clusterName: 'blue' }],
    ['an empty clusterName', '', { clusterName: '' }],
    ['no clusterName', undefined, {}],
  ])('says of itself what it is, with %s', (_, clusterName, field) => {
    const core = coreWith({ clusterName })
    core.self.incarnation = 4
    const { address, port, vsn } = alive(1)
    expect(core.ownAlive()).toStrictEqual({
      kind: 'alive',
      incarnation: 4,
      node: 'm1',
      address,
      port,
      meta: Uint8Array.of(1),
      vsn,
      ...field,
    })
    expect(core.ownLeave()).toStrictEqual({
      kind: 'dead',
      incarnation: 4,
      node: 'm1',
      from: 'm1',
      ...field,
    })
    expect(core.localState(true)).toMatchObject({ join: true, userState: new Uint8Array(0), ...field })
    expect(Object.keys(core.localState(true)).length).toBe(clusterName === undefined ? 3 : 4)
  })

  test('tells all it knows in its state', () => {
    const core = coreWith()
    for (const [n, state] of [
      [2, 'alive'],
      [3, 'suspect'],
      [4, 'dead'],
      [5, 'left'],
    ] as const)
      core.members.setState(addMember(core, n), state, 0)
    core.members.get('m3')!.incarnation = 9
    const entry = (n: number, state: number, incarnation = 0) => {
      const { address, port, meta, vsn } = alive(n)
      return {
        name: `m${n}`,
        address,
        port,
        meta: n === 1 ? Uint8Array.of(1) : meta,
        incarnation,
        state,
        vsn,
      }
    }
    expect(core.localState(false)).toStrictEqual({
      join: false,
      nodes: [entry(1, 0), entry(2, 0), entry(3, 1, 9), entry(4, 2), entry(5, 3)],
      userState: new Uint8Array(0),
    })
  })

  test.each([
    ['blue', 'blue', true],
    ['blue', 'red', false],
    ['blue', undefined, false],
    ['', undefined, true],
    ['', 'red', false],
    [undefined, 'red', true],
  ])('of the cluster %j takes a message of %j: %s', (clusterName, theirs, isOurs) => {
    expect(coreWith({ clusterName }).isOurCluster(theirs === undefined ? {} : { clusterName: theirs })).toBe(
      isOurs,
    )
  })

  test('announces itself, in place of what it said before, and warns where no packet can hold that', () => {
    const core = coreWith()
    let queued = 0
    core.onQueued = () => {
      queued++
    }
    core.announceSelf()
    core.announceSelf()
    expect([queued, core.queue.count]).toEqual([2, 1])
    expect(core.takeEffects()).toEqual([])
    const small = coreWith({ packetBudgetBytes: ENTRY_BYTES + 1 })
    small.announceSelf()
    expect(small.takeEffects()).toEqual([
      {
        kind: 'log',
        level: 'warn',
        message: expect.stringContaining('push/pull only'),
        fields: { event: 'self.oversized', bytes: ENTRY_BYTES, limit: ENTRY_BYTES - 1 },
      },
    ])
  })
})

describe('sequence numbers', () => {
  test('are any of 32 bits', () => {
    expect(coreWith({}, {}, () => 0).takeSeqNo()).toBe(0)
    expect(coreWith({}, {}, () => 0.5).takeSeqNo()).toBe(2 ** 31)
    expect(coreWith({}, {}, () => 1 - 2 ** -40).takeSeqNo()).toBe(2 ** 32 - 1)
  })

  test('are none that something waits on', () => {
    const core = coreWith({}, {}, () => 1 - 2 ** -40)
    core.pending.set(2 ** 32 - 1, { acked: () => {} })
    core.pendingStreams.set(0, () => {})
    core.pending.set(1, { acked: () => {} })
    expect(core.takeSeqNo()).toBe(2)
    const high = coreWith()
    high.pending.set(2 ** 31, { acked: () => {} })
    expect(high.takeSeqNo()).toBe(2 ** 31 + 1)
  })

  test('are in the ping, with where to answer', () => {
    expect(coreWith().pingFor({ name: 'm2' }, 7)).toEqual({
      kind: 'ping',
      seqNo: 7,
      node: 'm2',
      source: { address: alive(1).address, port: 7946, node: 'm1' },
    })
  })
})

describe('a packet', () => {
  const budget = { packetBudgetBytes: 2 + 4 * ENTRY_BYTES }

  test('has room left filled with what waits, to the last byte', () => {
    const core = coreWith(budget)
    for (let i = 1; i <= 5; i++) core.queueMessage(nack(i))
    core.send(endpointOf(2), [nack(8), nack(9)])
    core.send(endpointOf(3), [nack(8), nack(9)], false)
    core.send(endpointOf(4), [])
    core.send(endpointOf(5), [], false)
    expect(packetsOf(core).map(({ to, messages }) => [to, seqNos(messages)])).toEqual([
      [endpointOf(2), [8, 9, 5, 4]],
      [endpointOf(3), [8, 9]],
      [endpointOf(4), [5, 4, 3, 2]],
    ])
    expect(core.counters).toMatchObject({ packetsSent: 3, messagesSent: 10 })
    // It does not count as said.
    expect(core.queue.count).toBe(5)
    const less = coreWith({ packetBudgetBytes: budget.packetBudgetBytes - 1 })
    for (let i = 1; i <= 5; i++) less.queueMessage(nack(i))
    less.send(endpointOf(2), [nack(8), nack(9)])
    expect(seqNos(packetsOf(less)[0]!.messages)).toEqual([8, 9, 5])
  })

  test('has 255 messages at most', () => {
    const core = coreWith({ packetBudgetBytes: 60_000, maxQueued: 1000 })
    for (let i = 0; i < 300; i++) core.queueMessage(nack(i))
    core.send(endpointOf(2), [nack(1000)])
    core.gossipTo([endpointOf(2)])
    expect(packetsOf(core).map(({ messages }) => messages.length)).toEqual([255, 255])
  })

  test('carries no broadcast of the application but in its turn', () => {
    const core = coreWith(budget)
    core.queueMessage(nack(1))
    core.queueMessage(user(2))
    core.send(endpointOf(2), [])
    core.gossipTo([endpointOf(2)])
    expect(packetsOf(core).map(({ messages }) => seqNos(messages))).toEqual([[1], ['user', 1]])
  })

  test('to one that never answered has no news, and no more bytes than it sent', () => {
    const core = coreWith({ ...budget, keyed: false })
    core.queueMessage(nack(1))
    core.send(endpointOf(2), [nack(8), nack(9)])
    expect(packetsOf(core)).toEqual([])
    expect(core.counters.packetsSent).toBe(0)
    core.contacts.received(endpointOf(2), 2 + 2 * ENTRY_BYTES - 1, 0)
    core.send(endpointOf(2), [nack(8), nack(9)])
    expect(packetsOf(core)).toEqual([])
    core.contacts.received(endpointOf(2), 0, 0)
    core.send(endpointOf(2), [nack(8), nack(9)])
    expect(packetsOf(core).map(({ messages }) => seqNos(messages))).toEqual([[8, 9]])
    core.send(endpointOf(3), [nack(8)], true, 'probe')
    expect(packetsOf(core).map(({ messages }) => seqNos(messages))).toEqual([[8]])
    expect(core.isReached(endpointOf(2))).toBe(false)
    core.contacts.answered(endpointOf(2), 'm2', 0)
    expect(core.isReached(endpointOf(2))).toBe(true)
    core.send(endpointOf(2), [nack(8)])
    expect(packetsOf(core).map(({ messages }) => seqNos(messages))).toEqual([[8, 1]])
  })

  test('over a stream costs 300 bytes where nobody answered yet', () => {
    const core = coreWith({ keyed: false })
    const ping = core.pingFor({ name: 'm2' }, 7)
    const tried = () => {
      core.pingOverStream(endpointOf(2), ping, 500, 'probe')
      return core.takeEffects()
    }
    expect(tried()).toEqual([
      { kind: 'start-stream-probe', probe: 7, to: endpointOf(2), ping, timeoutMs: 500 },
    ])
    core.contacts.spend(endpointOf(3), 8192 - 2 * 328 - 28, 'probe', 0)
    expect(tried()).toHaveLength(1)
    expect(tried()).toEqual([])
    core.contacts.answered(endpointOf(2), 'm2', 0)
    expect(tried()).toHaveLength(1)
  })
})

describe('gossip', () => {
  test('is the same to all, and counts once for each of them', () => {
    const core = coreWith({ packetBudgetBytes: 2 + 2 * ENTRY_BYTES, retransmitMult: 4 })
    for (let i = 1; i <= 3; i++) core.queueMessage(nack(i))
    core.gossipTo([])
    expect(core.takeEffects()).toEqual([])
    core.gossipTo([endpointOf(2), endpointOf(3)])
    core.gossipTo([endpointOf(2), endpointOf(3)])
    // Alone, four times is enough.
    expect(packetsOf(core).map(({ messages }) => seqNos(messages))).toEqual([
      [3, 2],
      [3, 2],
      [1, 3],
      [1, 3],
    ])
    expect(core.queue.count).toBe(2)
  })

  test('to nobody ends nothing, though it went to enough for those who are left', () => {
    const core = coreWith()
    const others = Array.from({ length: 11 }, (_, i) => addMember(core, i + 2))
    core.queueMessage(nack(1))
    core.gossipTo([2, 3, 4, 5].map(endpointOf))
    for (const other of others) core.members.setState(other, 'dead', 0)
    core.gossipTo([])
    expect(core.queue.count).toBe(1)
    core.gossipTo([endpointOf(2)])
    expect(core.queue.count).toBe(0)
  })

  test('of the application fills what room is left, each with three bytes on top', () => {
    const asked: [number, number][] = []
    let payloads: Uint8Array[] = []
    const core = coreWith(
      { packetBudgetBytes: 2 + ENTRY_BYTES + 10 },
      {
        broadcasts: (overheadBytes, limitBytes) => {
          asked.push([overheadBytes, limitBytes])
          return payloads
        },
      },
    )
    const said = () => {
      core.gossipTo([endpointOf(2)])
      return packetsOf(core).map(({ messages }) =>
        messages.map((message) => (message.kind === 'user' ? message.payload.length : 'news')),
      )
    }
    core.queueMessage(nack(1))
    payloads = [new Uint8Array(2), new Uint8Array(2), new Uint8Array(1)]
    expect(said()).toEqual([['news', 2, 2]])
    payloads = [new Uint8Array(7)]
    expect(said()).toEqual([['news', 7]])
    payloads = [new Uint8Array(8)]
    expect(said()).toEqual([['news']])
    expect(asked).toEqual([
      [3, 10],
      [3, 10],
      [3, 10],
    ])
  })

  test('of the application is asked for where a byte of it fits', () => {
    for (const [more, isAsked] of [
      [3, false],
      [4, true],
    ] as const) {
      let asked = 0
      const delegate = { broadcasts: () => (asked++, []) }
      const core = coreWith({ packetBudgetBytes: 2 + ENTRY_BYTES + more }, delegate)
      core.queueMessage(nack(1))
      core.gossipTo([endpointOf(2)])
      expect(asked > 0).toBe(isAsked)
    }
  })

  test('of the application counts as messages', () => {
    let asked = 0
    const delegate = { broadcasts: () => (asked++, [Uint8Array.of(1), Uint8Array.of(2)]) }
    const core = coreWith({ packetBudgetBytes: 60_000, maxQueued: 1000 }, delegate)
    for (let i = 0; i < 254; i++) core.queueMessage(nack(i))
    core.gossipTo([endpointOf(2)])
    expect(packetsOf(core)[0]?.messages).toHaveLength(255)
    core.queueMessage(nack(254))
    core.gossipTo([endpointOf(2)])
    expect(packetsOf(core)[0]?.messages).toHaveLength(255)
    expect(asked).toBe(1)
  })
})

describe('the queue', () => {
  test('takes what one packet can hold, and has the rest counted', () => {
    const outcomes: string[] = []
    const finished = (outcome: string) => outcomes.push(outcome)
    const core = coreWith({ packetBudgetBytes: 2 + ENTRY_BYTES })
    let queued = 0
    core.onQueued = () => {
      queued++
    }
    const topic = { space: 'member', name: 'a' } as const
    const large: Message = { kind: 'user', payload: new Uint8Array(SIZE_BYTES) }
    expect(core.queueMessage(nack(1), topic, (outcome) => outcomes.push(`first ${outcome}`))).toBe(true)
    expect(core.queueMessage(large, undefined, finished)).toBe(false)
    expect(core.queue.count).toBe(1)
    expect(core.queueMessage(large, topic)).toBe(false)
    expect([core.queue.count, queued, core.counters.oversized, core.counters.dropped]).toEqual([0, 1, 2, 0])
    expect(outcomes).toEqual(['dropped', 'first replaced'])
  })

  test('has what it drops counted', () => {
    const core = coreWith({ maxQueued: 2 })
    for (let i = 0; i < 5; i++) core.queueMessage(nack(i))
    expect(core.counters).toMatchObject({ dropped: 3, oversized: 0 })
  })
})

describe('the log', () => {
  test('has one line in ten seconds for each reason of a refusal, and all are counted', () => {
    const core = coreWith()
    core.refuse('malformed')
    core.refuse('malformed', { kind: 'alive' })
    core.refuse('overloaded', { kind: 'ping' })
    core.clockMs = 9999
    core.refuse('malformed')
    core.clockMs = 10_000
    core.refuse('malformed', { kind: 'dead' })
    const line = { kind: 'log', level: 'warn', message: 'Refused a message' }
    expect(core.takeEffects()).toEqual([
      { ...line, fields: { event: 'message.refused', reason: 'malformed' } },
      { ...line, fields: { event: 'message.refused', reason: 'overloaded', kind: 'ping' } },
      { ...line, fields: { event: 'message.refused', reason: 'malformed', kind: 'dead', suppressed: 2 } },
    ])
    expect(core.takeEffects()).toEqual([])
    expect(core.counters.refused).toMatchObject({ malformed: 4, overloaded: 1 })
  })

  test('a change of a member is told with what it is now', () => {
    const core = coreWith()
    core.tell('joined', addMember(core, 2))
    expect(core.takeEffects()).toMatchObject([
      { kind: 'member-changed', change: 'joined', member: { name: 'm2', state: 'alive' } },
    ])
  })
})

test('jitter is half of it up and down', () => {
  expect([0, 0.5, 0.999].map((chance) => coreWith({}, {}, () => chance).jitter(1000))).toEqual([
    500, 1000, 1499,
  ])
})
