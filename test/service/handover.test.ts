import { describe, expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '../../src/logger.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import { healthIn } from '../../src/membership/condition.ts'
import type { MemberControl } from '../../src/membership/control.ts'
import type { Member, MemberMetadata } from '../../src/membership/member.ts'
import type { MovedStretches } from '../../src/ring/moved.ts'
import type { RingNode } from '../../src/ring/node.ts'
import {
  decodeHandoverMessage,
  encodeHandoverMessage,
  type HandoverMessage,
} from '../../src/service/handover-message.ts'
import { RingService } from '../../src/service/ring-service.ts'
import { seededRandom } from '../../lab/sim/seeded-random.ts'
import { fakeMember, FakeSource } from '../support/fake-source.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const TIMEOUT_MS = 3000

interface WarmCall {
  readonly ranges: MovedStretches
  readonly from: string
  readonly signal: AbortSignal
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Members whose gossip arrives at once, and whose messages do unless a test loses them. */
class Cluster {
  readonly clock = new VirtualClock()
  readonly services = new Map<string, { source: FakeSource; service: RingService; warm: WarmCall[] }>()
  readonly logger = new RecordingLogger()
  /** What was sent, in order. */
  readonly messages: (HandoverMessage & { readonly to: string })[] = []
  isLost: (message: HandoverMessage) => boolean = () => false
  readonly #random = seededRandom(7)
  readonly #listeners = new Map<string, (payload: Uint8Array) => void>()
  #members: readonly Member[] = []

  constructor() {
    onTestFinished(() => this.stop())
  }

  /**
   * @param handover - Whether the member hands over; `owning` for one that was there before.
   * @param knows - Whom it knows at first: only itself until {@link hear}, or everybody.
   */
  async start(
    name: string,
    handover: 'pending' | 'owning' | 'none',
    knows: 'itself' | 'all' = 'all',
  ): Promise<void> {
    const address = `10.0.0.${this.services.size + 1}`
    const state = {
      phase: handover === 'none' ? 'owning' : handover,
      number: this.services.size + 1,
    } as const
    const own = fakeMember(name, address, handover === 'none' ? {} : { handover: state })
    this.#set([...this.#members.filter((member) => member.name !== name), own])
    const known = knows === 'all' ? this.#members : [own]
    const source = new FakeSource(known, { selfName: name, kind: 'memberlist' })
    if (knows === 'itself') source.healthNow = healthIn('starting', 'No seed has answered yet')
    const warm: WarmCall[] = []
    const control: Pick<MemberControl, 'updateOwn' | 'sendTo' | 'onMessage'> = {
      updateOwn: (change) => {
        this.#update(name, change)
      },
      sendTo: (to, payload) => {
        const message = decodeHandoverMessage(payload)!
        this.messages.push({ ...message, to: to.name })
        if (!this.isLost(message)) this.clock.after(1, () => this.#listeners.get(to.name)?.(payload))
      },
      onMessage: (listener) => {
        this.#listeners.set(name, listener)
      },
    }
    const manager = new HashRingManager({ clock: this.clock })
    const service = new RingService({
      source,
      manager,
      control: control as MemberControl,
      logger: name === 'a' ? this.logger : silentLogger,
      clock: this.clock,
      ringKeyMode: 'name',
      ...(handover === 'none'
        ? {}
        : {
            handover: {
              timeoutMs: TIMEOUT_MS,
              random: this.#random,
              warm: (ranges: MovedStretches, from: RingNode, signal: AbortSignal) =>
                new Promise<void>((resolve, reject) => {
                  warm.push({ ranges, from: from.ringKey, signal, resolve, reject })
                }),
            },
          }),
    })
    this.services.set(name, { source, service, warm })
    await this.clock.during(20, service.start())
    await this.clock.advance(20)
  }

  /** A member that knew only itself hears of the others. */
  hear(name: string): void {
    const { source } = this.get(name)
    source.healthNow = healthIn('well', 'All is well')
    source.set(this.#members)
  }

  get(name: string) {
    return this.services.get(name)!
  }

  /** The ring of a member, as the names on it. */
  ring(name: string): string {
    return this.get(name)
      .service.manager.snapshot.ring.nodes.map(({ ringKey }) => ringKey)
      .join('')
  }

  deliver(name: string, payload: Uint8Array): void {
    this.#listeners.get(name)?.(payload)
  }

  numberOf(name: string): number {
    return this.#members.find((member) => member.name === name)!.metadata!.handover!.number
  }

  remove(name: string, state: 'dead' | 'left'): void {
    this.#set(this.#members.map((member) => (member.name === name ? { ...member, state } : member)))
  }

  async stop(): Promise<void> {
    for (const { service } of this.services.values()) await service.stop()
  }

  #update(name: string, change: Partial<MemberMetadata>): void {
    this.#set(
      this.#members.map((member) =>
        member.name === name ? { ...member, metadata: { ...member.metadata!, ...change } } : member,
      ),
    )
  }

  #set(members: readonly Member[]): void {
    this.#members = members.toSorted((a, b) => (a.name < b.name ? -1 : 1))
    for (const { source } of this.services.values()) source.set(this.#members)
  }
}

async function clusterOf(...names: string[]): Promise<Cluster> {
  const cluster = new Cluster()
  for (const name of names) await cluster.start(name, 'owning')
  return cluster
}

describe('a member that joins', () => {
  test('owns its keys once it is warm and those that had them know, and not before', async () => {
    const cluster = await clusterOf('a', 'b')
    await cluster.start('c', 'pending')
    const { service, warm } = cluster.get('c')
    expect(service.health()).toMatchObject({ condition: 'pending', ok: true })
    expect(['a', 'b', 'c'].map((name) => cluster.ring(name))).toEqual(['ab', 'ab', 'ab'])
    expect(warm.map(({ from }) => from).sort()).toEqual(['a', 'b'])

    // Everybody sees which keys will go, and to whom.
    const a = cluster.get('a').service
    const key = Array.from({ length: 100 }, (_, i) => `key-${i}`).find(
      (one) => a.nextOwnerOf(one) !== undefined,
    )!
    expect(a.nextOwnerOf(key)).toMatchObject({ ringKey: 'c' })
    const owner = a.manager.getNode(key).ringKey
    const call = warm.find(({ from }) => from === owner)!
    expect(call.ranges.contains(key)).toBe(true)

    warm[0]!.resolve()
    await cluster.clock.advance(500)
    expect(cluster.ring('c')).toBe('ab')
    warm[1]!.resolve()
    await cluster.clock.advance(5)
    expect(cluster.messages.map(({ step, to }) => `${step} ${to}`)).toEqual(['switch a', 'switch b'])
    // The old owners first.
    await cluster.clock.advance(10)
    expect(['a', 'b', 'c'].map((name) => cluster.ring(name))).toEqual(['abc', 'abc', 'ab'])
    await cluster.clock.advance(30)
    expect(cluster.ring('c')).toBe('abc')
    expect(service.health()).toMatchObject({ condition: 'well' })
    expect(a.nextOwnerOf(key)).toBeUndefined()
    expect(service.handover).toMatchObject({ outcomes: { warmed: 1 }, warmUps: { done: 2 }, oldestMs: 0 })
    await cluster.stop()
    expect(cluster.clock.pendingTimers).toBe(0)
  })

  test('warms up only when its own ring has let go of everything, so that no loss is told after that', async () => {
    const cluster = await clusterOf('a')
    await cluster.start('b', 'pending', 'itself')
    const { service, warm } = cluster.get('b')
    expect(cluster.ring('b')).toBe('b')
    const told: string[] = []
    service.ownership.onMoved(({ gained, lost }) => {
      told.push(`gained ${gained.share > 0}, lost ${lost.share > 0}, after ${warm.length} calls of warm`)
    })
    cluster.hear('b')
    await cluster.clock.advance(200)
    expect(told).toEqual(['gained false, lost true, after 0 calls of warm'])
    expect(warm).toHaveLength(1)
    warm[0]!.resolve()
    await cluster.clock.advance(200)
    expect(cluster.ring('b')).toBe('ab')
    expect(told.slice(1)).toEqual(['gained true, lost false, after 1 calls of warm'])
  })

  test('owns them cold when its time is up, and what is still being fetched is aborted', async () => {
    const cluster = await clusterOf('a')
    await cluster.start('b', 'pending')
    await cluster.clock.advance(TIMEOUT_MS - 200)
    expect(cluster.ring('b')).toBe('a')
    expect(cluster.get('a').service.handover?.oldestMs).toBeGreaterThan(TIMEOUT_MS - 300)
    await cluster.clock.advance(400)
    expect(cluster.ring('b')).toBe('ab')
    const { service, warm } = cluster.get('b')
    expect(warm[0]?.signal.aborted).toBe(true)
    expect(service.handover).toMatchObject({ outcomes: { 'timed-out': 1 }, warmUps: { aborted: 1 } })
  })

  test('owns them cold where fetching fails', async () => {
    const cluster = await clusterOf('a')
    await cluster.start('b', 'pending')
    cluster.get('b').warm[0]!.reject(new Error('refused'))
    await cluster.clock.advance(100)
    expect(cluster.ring('b')).toBe('ab')
    expect(cluster.get('b').service.handover).toMatchObject({
      outcomes: { warmed: 1 },
      warmUps: { failed: 1 },
    })
  })

  test('asks again where a message was lost, and after a second does without the answer', async () => {
    const cluster = await clusterOf('a')
    let lost = 2
    cluster.isLost = ({ step }) => step === 'switch' && lost-- > 0
    await cluster.start('b', 'pending')
    cluster.get('b').warm[0]!.resolve()
    await cluster.clock.advance(300)
    expect(cluster.ring('b')).toBe('a')
    await cluster.clock.advance(400)
    expect([cluster.ring('a'), cluster.ring('b')]).toEqual(['ab', 'ab'])

    cluster.isLost = ({ step }) => step === 'switched'
    await cluster.start('c', 'pending')
    for (const { resolve } of cluster.get('c').warm) resolve()
    await cluster.clock.advance(900)
    expect([cluster.ring('a'), cluster.ring('c')]).toEqual(['abc', 'ab'])
    await cluster.clock.advance(300)
    expect(cluster.ring('c')).toBe('abc')
  })

  test('a move that is told of a thousand times at once is placed and answered once', async () => {
    const cluster = await clusterOf('a', 'b')
    await cluster.start('c', 'pending')
    const told = { step: 'switch', from: 'c', number: cluster.numberOf('c'), attempt: 0 } as const
    const answers = () => cluster.messages.filter(({ step, to }) => step === 'switched' && to === 'c').length
    for (let i = 0; i < 1000; i++) cluster.deliver('a', encodeHandoverMessage(told))
    await cluster.clock.advance(20)
    expect([cluster.ring('a'), answers()]).toEqual(['abc', 1])
    for (let i = 0; i < 3; i++) cluster.deliver('a', encodeHandoverMessage(told))
    expect(answers()).toBe(4)
  })

  test('does without where a member does not hand over, and says so', async () => {
    const cluster = await clusterOf('a')
    await cluster.start('old', 'none')
    await cluster.start('b', 'pending')
    await cluster.clock.advance(50)
    expect(['a', 'b', 'old'].map((name) => cluster.ring(name))).toEqual(['abold', 'abold', 'abold'])
    expect(cluster.get('b').service.handover?.outcomes).toMatchObject({ 'not-possible': 1 })

    await cluster.clock.during(50, cluster.get('a').service.leave())
    const lines = cluster.logger.lines.filter(({ fields }) => fields['event'] === 'handover.not-possible')
    expect(lines.map(({ fields }) => fields)).toMatchObject([{ members: 1, names: ['old'] }])
  })

  test('is a member of a ring of nobody at once, alone or with others that start', async () => {
    const cluster = new Cluster()
    await cluster.start('a', 'pending')
    await cluster.start('b', 'pending')
    expect([cluster.ring('a'), cluster.get('a').service.health().condition]).toEqual(['a', 'well'])
    cluster.get('b').warm[0]!.resolve()
    await cluster.clock.advance(100)
    expect([cluster.ring('a'), cluster.ring('b')]).toEqual(['ab', 'ab'])
  })

  test('leaves without waiting, where it leaves before it is warm', async () => {
    const cluster = await clusterOf('a')
    await cluster.start('b', 'pending')
    await cluster.clock.during(30, cluster.get('b').service.leave())
    expect(cluster.get('b').source.calls).toContain('leave')
    expect(cluster.get('b').service.handover?.outcomes).toMatchObject({ 'broken-off': 1 })
  })
})

describe('a member that leaves', () => {
  test('owns its keys until those that come after it are warm, then nobody else does', async () => {
    const cluster = await clusterOf('a', 'b', 'c')
    const { service, source } = cluster.get('c')
    let hasLeft = false
    const leaving = service.leave().then(() => {
      hasLeft = true
    })
    await cluster.clock.advance(500)
    expect(service.health()).toMatchObject({ condition: 'releasing', ok: true })
    expect(['a', 'c'].map((name) => cluster.ring(name))).toEqual(['abc', 'abc'])
    const [a, b] = [cluster.get('a').warm, cluster.get('b').warm]
    expect([a.length, b.length, a[0]!.from, b[0]!.from]).toEqual([1, 1, 'c', 'c'])
    a[0]!.resolve()
    await cluster.clock.advance(500)
    expect(cluster.ring('c')).toBe('abc')
    const changes = cluster.get('a').service.manager
    b[0]!.resolve()
    await cluster.clock.advance(14)
    // It lets go first, then it tells the others.
    expect([cluster.ring('a'), cluster.ring('c'), source.calls.includes('leave')]).toEqual([
      'abc',
      'ab',
      true,
    ])
    await cluster.clock.advance(20)
    await leaving
    expect([cluster.ring('a'), hasLeft]).toEqual(['ab', true])
    expect(changes.recentChanges[0]?.records).toMatchObject([{ cause: 'left', node: 'c' }])
  })

  test('waits for nobody that dies meanwhile, and no longer than its time', async () => {
    const cluster = await clusterOf('a', 'b', 'c')
    const leaving = cluster.get('c').service.leave()
    await cluster.clock.advance(100)
    cluster.get('a').warm[0]!.resolve()
    cluster.remove('b', 'dead')
    await cluster.clock.advance(100)
    // What b would have got comes to a.
    expect(cluster.get('a').warm).toHaveLength(2)
    expect(cluster.ring('c')).toBe('ac')
    await cluster.clock.advance(TIMEOUT_MS)
    await leaving
    expect(cluster.get('c').service.handover?.outcomes).toMatchObject({ 'timed-out': 1 })
  })

  test('ends at once when it is stopped', async () => {
    const cluster = await clusterOf('a', 'b')
    const leaving = cluster.get('b').service.leave()
    await cluster.clock.advance(100)
    await cluster.get('b').service.stop()
    await leaving
    expect(cluster.get('b').source.calls).not.toContain('leave')
    await cluster.stop()
    expect(cluster.clock.pendingTimers).toBe(0)
  })
})

test('draining, returning and another weight go the same way', async () => {
  const cluster = await clusterOf('a', 'b')
  const { service } = cluster.get('b')
  const draining = service.drain()
  await cluster.clock.advance(100)
  expect([cluster.ring('a'), service.health().condition]).toEqual(['ab', 'releasing'])
  cluster.get('a').warm[0]!.resolve()
  await cluster.clock.advance(50)
  await draining
  expect([cluster.ring('a'), cluster.ring('b'), service.drained]).toEqual(['a', 'a', true])

  const returning = service.return()
  await cluster.clock.advance(100)
  expect([cluster.ring('a'), service.health().condition]).toEqual(['a', 'pending'])
  cluster.get('b').warm[0]!.resolve()
  await cluster.clock.advance(50)
  await returning
  expect([cluster.ring('a'), cluster.ring('b'), service.drained]).toEqual(['ab', 'ab', false])

  const weighing = service.setWeight(3)
  await cluster.clock.advance(100)
  expect(cluster.get('a').service.manager.snapshot.ring.get('b')?.weight).toBe(1)
  cluster.get('b').warm[1]!.resolve()
  await cluster.clock.advance(50)
  await weighing
  for (const name of ['a', 'b']) {
    expect(cluster.get(name).service.manager.snapshot.ring.get('b')?.weight).toBe(3)
  }
})

test('what is said of a move by somebody else, of another move, or out of form changes nothing', async () => {
  const cluster = await clusterOf('a', 'b')
  await cluster.start('c', 'pending')
  const number = cluster.numberOf('c')
  const say = (message: Partial<HandoverMessage>) =>
    encodeHandoverMessage({ step: 'switch', from: 'c', number, attempt: 0, ...message })
  for (const payload of [
    say({ number: number + 1 }),
    say({ from: 'nobody' }),
    say({ from: 'b' }),
    say({ from: 'a' }),
    say({ step: 'warmed' }),
    say({ number: 0 }),
    say({ attempt: -1 }),
    say({ step: 'go' as 'warm' }),
    say({}).subarray(0, 40),
    new Uint8Array(3000).fill(0x20),
    new Uint8Array(0),
  ]) {
    cluster.deliver('a', payload)
  }
  // Nor does an answer to what was not asked.
  cluster.deliver('c', say({ step: 'switched', from: 'a' }))
  cluster.deliver('c', say({ step: 'warmed', from: 'b' }))
  await cluster.clock.advance(100)
  expect(['a', 'b', 'c'].map((name) => cluster.ring(name))).toEqual(['ab', 'ab', 'ab'])
  cluster.deliver('a', say({}))
  await cluster.clock.advance(20)
  expect(cluster.ring('a')).toBe('abc')
  // The process under that name starts again: what was said before is of no account.
  cluster.remove('c', 'dead')
  await cluster.clock.advance(20)
  await cluster.start('c', 'pending')
  expect(cluster.ring('a')).toBe('ab')
})
