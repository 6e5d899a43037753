import { describe, expect, test } from 'vitest'
import type { Delegate } from '../../../../src/membership/memberlist/protocol/dependencies.ts'
import type { ExchangeFailure } from '../../../../src/membership/memberlist/protocol/effects.ts'
import { Exchanges, MISMATCHES } from '../../../../src/membership/memberlist/protocol/exchanges.ts'
import type { Origin } from '../../../../src/membership/memberlist/protocol/merge.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import type { PushPull, PushPullNode } from '../../../../src/membership/memberlist/wire/messages.ts'
import { CoreBench } from './core-bench.ts'
import { alive, endpointOf, node } from './machine.ts'

/** Exchanges alone, from time 0 on: what they would merge is only noted. */
function exchanging(settings: Partial<ProtocolSettings> = {}, delegate: Delegate = {}) {
  const bench = new CoreBench({ keyed: false, ...settings }, { delegate })
  bench.at(0)
  const { core } = bench
  const taken: { state: PushPull; origin: Origin | undefined; end: () => void }[] = []
  const evicted = new Set<string>()
  const learned: string[] = []
  const exchanges = new Exchanges(core, {
    state: (state, origin, end) => {
      taken.push({ state, origin, end })
    },
    isEvicted: (name) => evicted.has(name),
    evicted: () => Array.from(evicted, (name) => ({ name, forMs: 5000 })),
    learnEvicted: (others, from) => {
      learned.push(...others.map(({ name }) => `${name} by ${from.address}, after ${taken.length}`))
    },
  })
  const ends: (ExchangeFailure | undefined)[] = []
  const start = (n = 2, join = false) => {
    exchanges.start(endpointOf(n), join, (failure) => {
      ends.push(failure)
    })
  }
  const at = (ms: number) => {
    bench.run(ms - bench.nowMs)
  }
  return { bench, core, exchanges, taken, evicted, learned, ends, start, at }
}

const stateOf = (nodes: PushPullNode[], over: Partial<PushPull> = {}): PushPull => ({
  join: false,
  nodes,
  userState: new Uint8Array(0),
  ...over,
})

describe('an exchange that we begin', () => {
  test.each([true, false])('is not begun where one is that was evicted (join: %s)', (join) => {
    const { core, evicted, ends, start, bench } = exchanging()
    core.members.setState(bench.member(2), 'left', core.clockMs)
    evicted.add('m2')
    start(2, join)
    expect(ends).toEqual([{ outcome: 'failed', message: 'an operator evicted the member there' }])
    expect(core.takeEffects().filter(({ kind }) => kind === 'start-push-pull')).toEqual([])
    evicted.clear()
    start(2, join)
    expect(core.takeEffects()).toMatchObject([{ kind: 'start-push-pull', to: endpointOf(2) }])
  })

  test('is begun with a member that took the place of one that was evicted', () => {
    const { core, evicted, ends, start, bench } = exchanging({ keyed: true })
    core.members.setState(bench.member(2), 'left', core.clockMs)
    bench.member(5, { host: 2 })
    evicted.add('m2')
    start(2)
    expect([ends, core.takeEffects()]).toMatchObject([[], [{ kind: 'start-push-pull', to: endpointOf(2) }]])
  })

  test.each([true, false])('sends our state, and ends when that of the peer is merged (join: %s)', (join) => {
    const { core, exchanges, taken, ends, start } = exchanging()
    start(2, join)
    start(3, join)
    expect(core.takeEffects()).toMatchObject([
      {
        kind: 'start-push-pull',
        exchange: 1,
        to: endpointOf(2),
        state: { join, nodes: [{ name: 'm1' }] },
        timeoutMs: 10_000,
      },
      { kind: 'start-push-pull', exchange: 2, to: endpointOf(3) },
    ])
    const state = stateOf([node(2), node(3)], { userState: Uint8Array.of(7) })
    exchanges.answered(1, state)
    expect(taken).toMatchObject([{ state, origin: { by: 'asked', seed: join, place: endpointOf(2) } }])
    expect([ends, core.takeEffects()]).toEqual([[], []])
    taken[0]!.end()
    expect(ends).toEqual([undefined])
    expect(core.takeEffects()).toEqual([{ kind: 'remote-state', payload: Uint8Array.of(7), join }])
    // The one at that place answered there, and nobody else.
    expect(core.contacts.hasAnswered(endpointOf(2), 'm2', 0)).toBe(true)
    expect(core.contacts.isReached(endpointOf(3), 0)).toBe(false)
    expect(core.counters).toMatchObject({
      pushPullsStarted: 2,
      pushPullsCompleted: 1,
      pushPullsFailed: 0,
      pushPullsAnswered: 0,
      joinsCompleted: join ? 1 : 0,
      joinsFailed: 0,
      joinsRefused: 0,
    })
    // It is over, whatever is said of it later.
    exchanges.answered(1, state)
    exchanges.failed(1, 'failed', 'late')
    expect([taken.length, ends.length]).toEqual([1, 1])
    exchanges.answered(99, state)
    exchanges.failed(99, 'failed', 'unknown')
    expect(core.counters.pushPullsFailed).toBe(0)
  })

  test('trusts a seed though it is not to join', () => {
    const { core, exchanges, taken, start } = exchanging()
    core.seeds = [endpointOf(7), endpointOf(2)]
    for (const n of [2, 3]) start(n)
    exchanges.answered(1, stateOf([]))
    exchanges.answered(2, stateOf([]))
    expect(taken.map(({ origin }) => origin)).toEqual([
      { by: 'asked', seed: true, place: endpointOf(2) },
      { by: 'asked', seed: false, place: endpointOf(3) },
    ])
    // Nothing is said of who is there, and nothing for the application.
    expect(core.deadlines.nextMs).toBe(Infinity)
    for (const { end } of taken) end()
    expect(core.takeEffects().filter(({ kind }) => kind !== 'start-push-pull')).toEqual([])
    expect(core.contacts.isReached(endpointOf(2), 0)).toBe(false)
  })

  test('knows the peer by its address and port', () => {
    const { core, exchanges, start } = exchanging()
    start(2)
    exchanges.answered(
      1,
      stateOf([
        { ...node(3), address: alive(2).address, port: 9 },
        { ...node(4), port: 7946 },
      ]),
    )
    expect(core.contacts.isReached(endpointOf(2), 0)).toBe(false)
  })

  test('tells a peer that held us for dead what we are now', () => {
    for (const refutes of [true, false]) {
      const { core, exchanges, taken, start } = exchanging({ keyed: true })
      start(2)
      exchanges.answered(1, stateOf([node(2)]))
      core.takeEffects()
      core.queueMessage(alive(9))
      if (refutes) {
        core.self.incarnation++
        core.announceSelf()
      }
      taken[0]!.end()
      const packets = core.takeEffects().flatMap((effect) => (effect.kind === 'send-packet' ? [effect] : []))
      expect(packets.map(({ to }) => to)).toEqual(refutes ? [endpointOf(2)] : [])
      for (const { messages } of packets) expect(messages).toContainEqual(core.ownAlive())
    }
  })

  test.each([
    ['refused', false, { joinsFailed: 0, joinsRefused: 0 }],
    ['refused', true, { joinsFailed: 1, joinsRefused: 0 }],
    ['rejected', true, { joinsFailed: 0, joinsRefused: 1 }],
    ['rejected', false, { joinsFailed: 0, joinsRefused: 0 }],
    ['failed', true, { joinsFailed: 1, joinsRefused: 0 }],
  ] as const)('may end as %s (join: %s)', (outcome, join, counted) => {
    const { core, exchanges, ends, start, at } = exchanging()
    start(2, join)
    exchanges.failed(1, outcome, 'so')
    exchanges.failed(1, outcome, 'again')
    expect(core.deadlines.nextMs).toBe(Infinity)
    at(60_000)
    expect(ends).toEqual([{ outcome, message: 'so' }])
    expect(core.counters).toMatchObject({
      ...counted,
      pushPullsFailed: 1,
      pushPullsCompleted: 0,
      joinsCompleted: 0,
    })
  })

  test('ends by itself after twice its time, unless it is over', () => {
    const { exchanges, ends, start, at, core } = exchanging()
    start(2)
    start(3)
    exchanges.answered(2, stateOf([]))
    at(19_999)
    expect(ends).toEqual([])
    at(20_000)
    expect(ends).toEqual([{ outcome: 'failed', message: 'no answer within 20000 ms' }])
    expect(core.deadlines.nextMs).toBe(Infinity)
  })
})

describe('a peer’s exchange', () => {
  test.each([true, false])('is answered with our state, then merged (join: %s)', (join) => {
    const { core, exchanges, taken } = exchanging()
    const state = stateOf([node(2), node(3)], { join, userState: Uint8Array.of(7) })
    exchanges.received(8, endpointOf(2), state)
    expect(core.takeEffects()).toMatchObject([
      { kind: 'answer-push-pull', stream: 8, state: { join: false, nodes: [{ name: 'm1' }] } },
    ])
    expect(taken).toMatchObject([{ state, origin: undefined }])
    taken[0]!.end()
    expect(core.takeEffects()).toEqual([{ kind: 'remote-state', payload: Uint8Array.of(7), join }])
    expect(core.counters).toMatchObject({ pushPullsAnswered: 1, pushPullsStarted: 0, pushPullsCompleted: 0 })
  })

  test('lets it be asked, at the place where its state has it', () => {
    const { core, exchanges } = exchanging()
    const from = { address: '10.0.0.2', port: 50_000 }
    exchanges.received(8, from, stateOf([node(3), { ...node(2), port: 77 }]))
    const canSpend = (n: number, port: number, bytes: number) =>
      core.contacts.spend({ ...endpointOf(n), port }, bytes, 'answer', 0)
    expect(canSpend(2, 77, 1001)).toBe(false)
    expect(canSpend(2, 77, 1000)).toBe(true)
    expect([canSpend(2, 50_000, 0), canSpend(3, 7946, 0)]).toEqual([false, false])
    exchanges.received(8, { address: '10.0.0.9', port: 1 }, stateOf([node(3)]))
    expect(core.contacts.spend({ address: '10.0.0.9', port: 7946 }, 0, 'answer', 0)).toBe(false)
  })
})

describe('what is refused', () => {
  const long = 'x'.repeat(300)
  const strange = Uint8Array.of(1, 5, 2, 2, 5, 5)
  test.each<[string, Partial<ProtocolSettings>, Delegate, PushPull, Record<string, unknown>]>([
    [
      'another cluster',
      { clusterName: 'blue' },
      {},
      stateOf([node(2)], { clusterName: long }),
      { reason: 'cluster-name-differs', ours: 'blue', theirs: 'x'.repeat(64) },
    ],
    [
      'no cluster',
      { clusterName: 'blue' },
      {},
      stateOf([node(2)]),
      { reason: 'cluster-name-differs', ours: 'blue', theirs: '' },
    ],
    [
      'too many members',
      { maxMembers: 2 },
      {},
      stateOf([node(2), node(3), node(4)]),
      { reason: 'too-many-members', members: 3 },
    ],
    [
      'versions',
      {},
      {},
      stateOf([node(3), { ...node(2), name: long, vsn: strange }]),
      { reason: 'version-incompatible', peer: 'x'.repeat(255) },
    ],
    [
      'the delegate',
      {},
      { refuseMerge: () => 'not today' },
      stateOf([node(2)]),
      { reason: 'delegate-refused', because: 'not today' },
    ],
  ])('by %s', (_, settings, delegate, state, fields) => {
    const { core, exchanges, taken, ends, start } = exchanging(settings, delegate)
    const line = {
      kind: 'log',
      level: 'warn',
      fields: { event: 'message.refused', from: '10.0.0.2', ...fields },
    }
    exchanges.received(8, endpointOf(2), state)
    expect(core.takeEffects()).toMatchObject([
      line,
      { kind: 'refuse-stream', stream: 8, reason: fields['reason'] },
    ])
    core.clockMs = 10_000
    start(2, true)
    core.takeEffects()
    exchanges.answered(1, state)
    expect(core.takeEffects()).toMatchObject([line])
    const message = MISMATCHES[fields['reason'] as keyof typeof MISMATCHES]
    expect(ends).toEqual([{ outcome: 'rejected', message }])
    expect(taken).toEqual([])
    expect(core.counters).toMatchObject({
      pushPullsFailed: 1,
      joinsRefused: 1,
      pushPullsAnswered: 0,
      pushPullsCompleted: 0,
    })
    expect(core.counters.refused[fields['reason'] as 'malformed']).toBe(2)
  })

  test('is no more members than there may be', () => {
    const { exchanges, taken } = exchanging({ maxMembers: 2 })
    exchanges.received(8, endpointOf(2), stateOf([node(2), node(3)]))
    expect(taken).toHaveLength(1)
  })

  test.each<[string, Partial<PushPull>, boolean]>([
    ['that joins', {}, true],
    ['that joins, suspect', { nodes: [{ ...node(2, 1, 1), name: 'm2' }] }, true],
    ['that joins and lists others that have gone', { nodes: [node(3, 1, 2), node(4, 1, 3), node(2)] }, true],
    ['that lists others', { nodes: [node(3), node(2)] }, false],
    ['that lists others behind it', { nodes: [node(2), node(3)] }, false],
    ['that lists nobody', { nodes: [] }, false],
    ['that does not join', { join: false }, false],
  ])('is one that was evicted and %s', (_, over, isRefused) => {
    const { core, exchanges, evicted, taken, start } = exchanging()
    evicted.add('m2')
    const state = stateOf([node(2)], { join: true, ...over })
    exchanges.received(8, endpointOf(2), state)
    expect([taken.length === 0, core.counters.refused.evicted]).toEqual(isRefused ? [true, 1] : [false, 0])
    if (isRefused) {
      expect(core.takeEffects()[0]).toMatchObject({
        fields: { reason: 'evicted', peer: 'm2', from: '10.0.0.2' },
      })
    }
    // Where we ask, it is not it that joins.
    start(2, true)
    exchanges.answered(1, state)
    expect(taken.length).toBe(isRefused ? 1 : 2)
  })

  test.each([true, false])(
    'is the member that asked, where the answer says that it is evicted (join: %s)',
    (join) => {
      const { core, exchanges, taken, ends, start } = exchanging({ keyed: true })
      start(2, join)
      exchanges.answered(1, stateOf([node(2), node(3)], { evicted: [{ name: 'm1', forMs: 5000 }] }))
      expect([taken, ends]).toEqual([
        [],
        [{ outcome: 'rejected', message: 'does not take it back: an operator evicted this member' }],
      ])
      expect(core.evictedUntilMs).toBe(core.nowMs + 5000)
      start(3, join)
      exchanges.answered(2, stateOf([node(3)]))
      expect([taken.length, core.evictedUntilMs]).toEqual([1, -Infinity])
    },
  )

  test('is the member that asked for no longer than an operator may say', () => {
    const { core, exchanges, start } = exchanging({ keyed: true })
    start()
    exchanges.answered(1, stateOf([node(2)], { evicted: [{ name: 'm1', forMs: 2 ** 32 - 1 }] }))
    expect(core.evictedUntilMs).toBe(core.nowMs + 7 * 24 * 3_600_000)
  })

  test.each([false, true])(
    'is not the member that asked, where anybody could say so, or it has left (%s)',
    (leaving) => {
      const { core, exchanges, taken, start } = exchanging({ keyed: leaving })
      core.leaving = leaving
      start(2)
      exchanges.answered(1, stateOf([node(2)], { evicted: [{ name: 'm1', forMs: 5000 }] }))
      expect([taken.length, core.evictedUntilMs]).toEqual([1, -Infinity])
    },
  )

  test('is a long name of one that was evicted, cut', () => {
    const { core, exchanges, evicted } = exchanging()
    evicted.add(long)
    exchanges.received(8, endpointOf(2), stateOf([{ ...node(2), name: long }], { join: true }))
    expect(core.takeEffects()[0]).toMatchObject({ fields: { peer: 'x'.repeat(255) } })
  })

  test.each<[string, PushPullNode[], boolean, boolean]>([
    ['its own entry is strange', [{ ...node(2), vsn: strange }], true, true],
    [
      'one of several at its address is understood',
      [
        { ...node(2), vsn: strange },
        { ...node(2), name: 'b', port: 9 },
      ],
      false,
      true,
    ],
    ['only another’s entry is strange', [node(2), { ...node(3), vsn: strange }], false, false],
    ['it has no entry', [{ ...node(3), vsn: strange }], false, false],
    [
      'an entry at its address with another port is strange',
      [{ ...node(2), port: 9, vsn: strange }],
      true,
      false,
    ],
  ])('is a peer whose versions differ: %s', (_, nodes, ofPeer, ofAsked) => {
    const { exchanges, taken, ends, start } = exchanging()
    exchanges.received(8, { address: '10.0.0.2', port: 50_000 }, stateOf(nodes))
    expect(taken.length === 0).toBe(ofPeer)
    start(2)
    exchanges.answered(1, stateOf(nodes))
    expect(ends.length === 1).toBe(ofAsked)
  })

  test('is decided by the delegate, which sees the members', () => {
    const seen: unknown[] = []
    const refuseMerge: Delegate['refuseMerge'] = (members, join) => {
      seen.push([members, join])
      return undefined
    }
    const { core, exchanges, taken } = exchanging({}, { refuseMerge })
    core.clockMs = 5
    const nodes = [
      node(2, 4),
      node(3, 1, 1),
      node(4, 1, 2),
      node(5, 1, 3),
      node(6, 1, 4),
      { ...node(7), address: new Uint8Array(3) },
    ]
    exchanges.received(8, endpointOf(2), stateOf(nodes, { join: true }))
    expect(taken).toHaveLength(1)
    const view = (n: number, state: string, incarnation = 1) => ({
      name: `m${n}`,
      endpoint: endpointOf(n),
      state,
      stateSinceMs: 5,
      incarnation,
      meta: new Uint8Array(0),
      versions: { pMin: 1, pMax: 5, pCur: 2, dMin: 0, dMax: 0, dCur: 0 },
      rival: undefined,
    })
    expect(seen).toEqual([
      [[view(2, 'alive', 4), view(3, 'suspect'), view(4, 'dead'), view(5, 'left')], true],
    ])
  })
})

describe('who is evicted', () => {
  const evicted = [{ name: 'm4', forMs: 1000 }]
  const telling = stateOf([node(2)], { evicted })

  test.each([true, false])(
    'is told in the answer to a peer where there are keys, and only there (keyed: %s)',
    (keyed) => {
      const { core, exchanges, evicted: ours, start } = exchanging({ keyed })
      ours.add('m3')
      exchanges.received(8, endpointOf(2), stateOf([node(2)]))
      start()
      const [answer, ask] = core.takeEffects().filter(({ kind }) => kind.endsWith('push-pull'))
      expect(answer).toHaveProperty('state.nodes')
      if (keyed) expect(answer).toHaveProperty('state.evicted', [{ name: 'm3', forMs: 5000 }])
      else expect(answer).not.toHaveProperty('state.evicted')
      expect(ask).not.toHaveProperty('state.evicted')
    },
  )

  test('is left out where it is nobody, as members without evictions write it', () => {
    const { core, exchanges } = exchanging({ keyed: true })
    exchanges.received(8, endpointOf(2), stateOf([node(2)]))
    expect(core.takeEffects()[0]).not.toHaveProperty('state.evicted')
  })

  test.each([true, false])('is learned from an answer before its members are taken (join: %s)', (join) => {
    const { exchanges, learned, start } = exchanging({ keyed: true })
    start(2, join)
    exchanges.answered(1, telling)
    expect(learned).toEqual(['m4 by 10.0.0.2, after 0'])
  })

  test('is not learned from a state that nobody asked for, which may be a recording', () => {
    const { exchanges, learned, taken } = exchanging({ keyed: true })
    exchanges.received(8, endpointOf(2), telling)
    exchanges.answered(1, telling)
    expect([taken.length, learned]).toEqual([1, []])
  })

  test('is not learned in a ring without keys, nor from a peer that is refused', () => {
    const open = exchanging()
    open.start()
    open.exchanges.answered(1, telling)
    expect([open.taken.length, open.learned]).toEqual([1, []])
    const other = exchanging({ keyed: true, clusterName: 'ours' })
    other.start()
    other.exchanges.answered(1, { ...telling, clusterName: 'theirs' })
    expect([other.taken.length, other.learned]).toEqual([0, []])
  })
})
