import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../src/clock.ts'
import {
  COMMAND_CHANNEL_LENGTH,
  DEFAULT_FOLD_WINDOW_MS,
  HashRingManager,
  PING_TIMEOUT_MS,
} from '../../src/manager/hash-ring-manager.ts'
import { diffRings, recordChange } from '../../src/manager/change-record.ts'
import type { RingChange } from '../../src/manager/snapshot.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import type { RingNode } from '../../src/ring/node.ts'
import { finish, PIECES_PER_STEP, type Steps } from '../../src/ring/steps.ts'
import { countSteps } from '../support/count-steps.ts'
import { NO_KEYS } from '../support/no-keys.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { fateOf, settle, VirtualClock } from '../support/virtual-clock.ts'

const node = (host: number, weight = 1): RingNode => ({ ringKey: `10.0.0.${host}:8000`, weight })
const keysOf = (nodes: readonly RingNode[]) => nodes.map(({ ringKey }) => ringKey)
const coded = (code: string): unknown => expect.objectContaining({ code })
const notRunning = coded('MANAGER_NOT_RUNNING')

type Deed =
  | { readonly kind: 'add'; readonly node: RingNode }
  | { readonly kind: 'remove'; readonly ringKey: string }
  | { readonly kind: 'set'; readonly nodes: readonly RingNode[] }
  | { readonly kind: 'ping' }

/** What the manager promises, without a mailbox: mutations gather for a window and then become one ring. */
class Model {
  nodes: RingNode[] = []
  epoch = 0
  changedAtMs = 0
  readonly gathered: { readonly deed: Deed; readonly place: number }[] = []
  swapAtMs = Infinity
  /** What each deed came to, by its place among all. */
  readonly fates: unknown[] = []
  readonly told: unknown[] = []
  readonly #windowMs: number

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  take(deed: Deed, nowMs: number): void {
    const place = this.fates.push(deed.kind === 'ping' ? true : 'pending') - 1
    if (deed.kind === 'ping') return
    if (this.gathered.length === 0) this.swapAtMs = nowMs + this.#windowMs
    this.gathered.push({ deed, place })
  }

  swap(): void {
    const before = new Map(this.nodes.map((each) => [each.ringKey, each]))
    const after = new Map(before)
    for (const { deed, place } of this.gathered.splice(0)) {
      if (deed.kind === 'set') after.clear()
      if (deed.kind === 'set') for (const each of deed.nodes) after.set(each.ringKey, each)
      if (deed.kind === 'add') after.set(deed.node.ringKey, deed.node)
      if (deed.kind === 'remove') after.delete(deed.ringKey)
      this.fates[place] = undefined
    }
    const nowMs = this.swapAtMs
    this.swapAtMs = Infinity
    this.nodes = [...after.values()].sort((a, b) => (a.ringKey < b.ringKey ? -1 : 1))
    const added = this.nodes.filter(({ ringKey }) => !before.has(ringKey))
    const removed = [...before.values()].filter(({ ringKey }) => !after.has(ringKey))
    const updated = this.nodes.filter(
      (each) => before.has(each.ringKey) && JSON.stringify(each) !== JSON.stringify(before.get(each.ringKey)),
    )
    if (added.length === 0 && removed.length === 0 && updated.length === 0) return
    this.told.push({ from: this.epoch, to: this.epoch + 1, added, removed, updated })
    this.epoch += 1
    this.changedAtMs = nowMs
  }
}

const anyNode = fc
  .tuple(fc.nat({ max: 4 }), fc.integer({ min: 1, max: 2 }), fc.nat({ max: 1 }))
  .map(([host, weight, port]): RingNode => ({ ...node(host, weight), port }))
const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('add' as const), node: anyNode }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('remove' as const),
      ringKey: anyNode.map(({ ringKey }) => ringKey),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('set' as const), nodes: fc.array(anyNode, { maxLength: 5 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'ping' as const }) },
)
/** Deeds of one moment, up to more than the mailbox holds, and the time until the next ones. */
const moment = fc.record({
  deeds: fc.array(deed, { maxLength: 14, size: 'max' }),
  thenMs: fc.nat({ max: 15 }),
})

test('whatever comes and when: rings, epochs, changes and answers are those of the model', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(0, 1, 10, undefined),
      fc.array(moment, { maxLength: 12 }),
      fc.boolean(),
      async (foldWindowMs, moments, stopsEarly) => {
        const clock = new VirtualClock()
        const manager = new HashRingManager({
          clock,
          ...(foldWindowMs === undefined ? {} : { foldWindowMs }),
        })
        const model = new Model(foldWindowMs ?? 10)
        const told: unknown[] = []
        const late: unknown[] = []
        manager.subscribe(({ previous, current, records, moved, ...difference }) => {
          told.push({ from: previous.epoch, to: current.epoch, ...difference })
          const { added, removed, updated } = difference
          const count = records.reduce((sum, record) => sum + record.count, 0)
          if (current !== manager.snapshot) late.push(current)
          if (moved.share !== previous.ring.movedTo(current.ring).share) late.push(moved)
          if (count !== added.length + removed.length + updated.length) late.push(records)
        })
        const ended = manager.run()
        const fates: Promise<unknown>[] = []
        const expectModel = async () => {
          await settle()
          const { ring, epoch, changedAtMs } = manager.snapshot
          expect([ring.nodes, epoch, changedAtMs]).toEqual([model.nodes, model.epoch, model.changedAtMs])
          expect(told).toEqual(model.told)
          expect(late).toEqual([])
          expect(await Promise.all(fates.map(fateOf))).toEqual(model.fates)
          expect(manager.pending()).toBe(0)
        }
        await settle()
        for (const { deeds, thenMs } of moments) {
          deeds.forEach((each, i) => {
            if (each.kind === 'add') fates.push(manager.addNode(each.node))
            else if (each.kind === 'remove') fates.push(manager.removeNode(each.ringKey))
            else if (each.kind === 'set') fates.push(manager.setNodes(each.nodes))
            else fates.push(manager.ping())
            // The loop waits for the first one, which never lies in the mailbox.
            expect(manager.pending()).toBe(i)
            model.take(each, clock.now())
          })
          await expectModel()
          const endMs = clock.now() + thenMs
          if (model.swapAtMs <= endMs) model.swap()
          await clock.advance(thenMs)
          await expectModel()
        }
        if (!stopsEarly) {
          if (model.gathered.length > 0) model.swap()
          await clock.advance(1000)
          await expectModel()
        }
        manager.stop()
        expect(await fateOf(ended)).toBeUndefined()
        for (const { place } of model.gathered) model.fates[place] = notRunning
        await expectModel()
        expect(clock.pendingTimers).toBe(0)
      },
    ),
    { numRuns: 200 },
  )
})

/** A clock on which each look takes longer than a turn may, so that each step has its own; timers fire one by one, by hand. */
class StepClock implements Clock {
  #nowMs = 0
  readonly timers: { readonly delayMs: number; readonly fn: () => void }[] = []

  now(): number {
    return (this.#nowMs += 1000)
  }

  wallNow(): number {
    return this.#nowMs
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer = { delayMs, fn }
    this.timers.push(timer)
    return () => {
      if (this.timers.includes(timer)) this.timers.splice(this.timers.indexOf(timer), 1)
    }
  }
}

/** What finds these nodes in two steps. */
const later = (nodes: readonly RingNode[]) =>
  function* (): Steps<readonly RingNode[]> {
    yield
    return nodes
  }

const LARGE = 150
const anyLarge = fc.oneof(
  fc
    .tuple(fc.nat({ max: LARGE + 20 }), fc.constantFrom(1, 1, 1, 3))
    .map(([host, weight]): Deed => ({ kind: 'add', node: { ...node(host, weight), name: `node-${host}` } })),
  fc.nat({ max: LARGE }).map((host): Deed => ({ kind: 'remove', ringKey: node(host).ringKey })),
  fc.tuple(fc.nat({ max: LARGE }), fc.nat({ max: LARGE })).map(([first, count]): Deed => ({
    kind: 'set',
    nodes: Array.from({ length: count }, (_, i) => ({ ...node(first + i), name: `node-${first + i}` })),
  })),
  fc.constant<Deed>({ kind: 'ping' }),
)

test('a ring that takes many turns is the one that one turn makes, with what comes meanwhile, and stop at any moment', async () => {
  let mostTurns = 0
  const turns = fc.nat({ max: 12 }).map((count) => ({ kind: 'turns' as const, count }))
  const offRing = fc.constant({ kind: 'off-ring' as const })
  const anyEvent = fc.oneof(
    { weight: 4, arbitrary: anyLarge },
    { weight: 4, arbitrary: turns },
    { weight: 1, arbitrary: offRing },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyEvent, { maxLength: 24, size: 'max' }),
      fc.boolean(),
      async (events, stopsEarly) => {
        const clock = new StepClock()
        const stateOf = (name: string) => (name.endsWith('7') ? 'dead' : 'left')
        const nodes = Array.from({ length: LARGE }, (_, i) => ({ ...node(i), name: `node-${i}` }))
        const manager = new HashRingManager({ clock, nodes })
        let model = HashRing.of(nodes)
        /** Each with what became of it; the first `begun` of them are becoming a ring. */
        const waiting: { readonly event: Deed; readonly promise: Promise<unknown> }[] = []
        let begun = 0
        let turnsTaken = 0
        let told = 0
        const done: Promise<unknown>[] = []
        const wrong: unknown[] = []
        const check = (name: string, actual: unknown, expected: unknown) => {
          if (JSON.stringify(actual) !== JSON.stringify(expected)) wrong.push([name, actual, expected])
        }
        manager.subscribe(({ previous, current, records, moved, ...difference }) => {
          told++
          if (current !== manager.snapshot) wrong.push('not current yet')
          if (records[0]?.cause === 'was-off-ring') {
            check('the same ring', current.ring === previous.ring, true)
            return
          }
          const byRingKey = new Map(previous.ring.nodes.map((each) => [each.ringKey, each]))
          let states: (name: string) => string | undefined = () => undefined
          for (const { event } of waiting.slice(0, begun)) {
            if (event.kind === 'set') {
              byRingKey.clear()
              states = stateOf
              for (const each of event.nodes) byRingKey.set(each.ringKey, each)
            } else if (event.kind === 'add') byRingKey.set(event.node.ringKey, event.node)
            else if (event.kind === 'remove') byRingKey.delete(event.ringKey)
          }
          const ring = HashRing.of(byRingKey.values())
          check('nodes', current.ring.nodes, ring.nodes)
          check('digest', current.ring.digest, ring.digest)
          check('shares', [...current.ring.shares()], [...ring.shares()])
          check('previous', previous.ring.digest, model.digest)
          const { moved: movedThen, ...rest } = finish(diffRings(model, ring))!
          check('difference', difference, rest)
          check('moved', [...moved], [...movedThen])
          const timeMs = records[0]!.timeMs
          const found = finish(recordChange(model, ring, { ...rest, moved: movedThen }, states, timeMs))
          check('records', records, found)
          model = ring
        })
        const run = manager.run()
        /** Fires the next timer: the end of a fold window, or another turn of the ring in the making. */
        const turn = async () => {
          const timer = clock.timers.shift()
          if (timer === undefined) return
          const toldBefore = told
          const { snapshot } = manager
          if (timer.delayMs > 0) begun = waiting.length
          turnsTaken = timer.delayMs > 0 ? 1 : turnsTaken + 1
          timer.fn()
          mostTurns = Math.max(mostTurns, turnsTaken)
          const isMade = clock.timers.every(({ delayMs }) => delayMs > 0)
          if (!isMade || told === toldBefore) expect(manager.snapshot).toBe(snapshot)
          if (isMade) done.push(...waiting.splice(0, begun).map(({ promise }) => promise))
          if (isMade) begun = 0
          await settle()
        }
        for (const event of events) {
          if (event.kind === 'turns') {
            for (let i = 0; i < event.count; i++) await turn()
          } else if (event.kind === 'off-ring') {
            const { epoch } = manager.snapshot
            manager.noteOffRing(node(1).ringKey)
            expect(manager.snapshot.epoch).toBe(epoch + 1)
          } else if (event.kind === 'ping') {
            expect(await fateOf(manager.ping())).toBe(true)
          } else {
            const promise =
              event.kind === 'add'
                ? manager.addNode(event.node)
                : event.kind === 'remove'
                  ? manager.removeNode(event.ringKey)
                  : manager.setNodes(event.nodes.length % 2 === 0 ? event.nodes : later(event.nodes), stateOf)
            waiting.push({ event, promise })
            await settle()
          }
          expect(clock.timers).toHaveLength(waiting.length > 0 ? 1 : 0)
        }
        if (!stopsEarly) while (clock.timers.length > 0) await turn()
        const { snapshot } = manager
        manager.stop()
        expect(await fateOf(run)).toBeUndefined()
        expect(wrong).toEqual([])
        expect(clock.timers).toEqual([])
        expect(manager.snapshot).toBe(snapshot)
        expect(snapshot.ring.digest).toBe(model.digest)
        expect(await Promise.all(done.map(fateOf))).toEqual(done.map(() => undefined))
        const left = waiting.map(({ promise }) => promise)
        expect(await Promise.all(left.map(fateOf))).toEqual(left.map(() => notRunning))
        if (!stopsEarly) expect(left).toEqual([])
      },
    ),
    { numRuns: 50 },
  )
  expect(mostTurns).toBeGreaterThan(20)
})

describe('HashRingManager', () => {
  let clock: VirtualClock
  let manager: HashRingManager
  let ended: Promise<unknown>

  beforeEach(() => {
    clock = new VirtualClock()
    manager = new HashRingManager({ clock, nodes: [node(1)] })
    ended = manager.run()
  })

  afterEach(() => {
    manager.stop()
  })

  /** Lets what is under way become a ring. */
  const fold = () => clock.advance(DEFAULT_FOLD_WINDOW_MS)

  test('nodes that are found when the ring is made are found once, for the last of several sets', async () => {
    const found: string[] = []
    const finding = (name: string, nodes: readonly RingNode[]) =>
      function* (): Steps<readonly RingNode[]> {
        found.push(name)
        yield
        return nodes
      }
    const fates = [
      manager.setNodes(finding('first', [node(7)])),
      manager.setNodes(finding('second', [node(2)])),
      manager.addNode(node(3)),
    ]
    await fold()
    expect(await Promise.all(fates.map(fateOf))).toEqual([undefined, undefined, undefined])
    expect(found).toEqual(['second'])
    expect(manager.snapshot.ring.nodes).toEqual([node(2), node(3)])
  })

  test('nodes that cannot be found leave the ring as it is, and the next one is made', async () => {
    const fault = new Error('a fault')
    const fates = [
      manager.addNode(node(2)),
      manager.setNodes(() => {
        throw fault
      }),
    ].map((each) => each.catch((error: unknown) => error))
    await fold()
    expect(await Promise.all(fates.map(fateOf))).toEqual([fault, fault])
    expect(manager.snapshot).toMatchObject({ epoch: 0, ring: { size: 1 } })
    void manager.addNode(node(3))
    await fold()
    expect(manager.snapshot.ring.nodes).toEqual([node(1), node(3)])
  })

  test('the larger the ring, the longer changes gather, up to a bound', async () => {
    const windows: number[] = []
    for (const size of [999, 2000, 10_100]) {
      const stepClock = new StepClock()
      const nodes = Array.from({ length: size }, (_, i) => node(i))
      const large = new HashRingManager({ clock: stepClock, nodes })
      const over = large.run()
      void large.addNode(node(size)).catch(() => {})
      await settle()
      windows.push(stepClock.timers[0]!.delayMs)
      large.stop()
      expect(await fateOf(over)).toBeUndefined()
    }
    expect(windows).toEqual([DEFAULT_FOLD_WINDOW_MS, 20, 100])
  })

  test('each step has a turn where the clock is slow', async () => {
    for (const size of [3, PIECES_PER_STEP - 1, PIECES_PER_STEP]) {
      const stepClock = new StepClock()
      const large = new HashRingManager({
        clock: stepClock,
        nodes: Array.from({ length: size }, (_, i) => node(i)),
      })
      const over = large.run()
      const { ring } = large.snapshot
      void large.addNode(node(size))
      await settle()
      let turns = 0
      for (let timer = stepClock.timers.shift(); timer !== undefined; timer = stepClock.timers.shift()) {
        timer.fn()
        turns++
      }
      // Made anew: its digest is not known yet.
      const next = HashRing.of(large.snapshot.ring.nodes)
      const made = countSteps(ring.withInSteps(next.nodes))
      const compared = countSteps(diffRings(ring, next))
      const recorded = countSteps(recordChange(ring, next, compared.result!, () => undefined, 0))
      const gathered = Math.floor(size / PIECES_PER_STEP) + 1
      // No step ends between gathering and making, nor between comparing and recording.
      expect(turns).toBe(gathered + made.steps + compared.steps + recorded.steps - 2)
      large.stop()
      expect(await fateOf(over)).toBeUndefined()
    }
  })

  test('has the mailbox length and ping timeout of the Go library', () => {
    expect([COMMAND_CHANNEL_LENGTH, PING_TIMEOUT_MS]).toEqual([10, 5])
  })

  test('a changed address is a new snapshot with the same digest', async () => {
    const { digest } = manager.snapshot.ring
    const changes: RingChange[] = []
    manager.subscribe((change) => changes.push(change))
    const moved = manager.addNode({ ...node(1), address: '10.9.9.9' })
    await fold()
    expect(await fateOf(moved)).toBeUndefined()
    expect(manager.snapshot.ring.digest).toBe(digest)
    expect(manager.snapshot.epoch).toBe(1)
    expect(changes).toMatchObject([{ added: [], removed: [], updated: [{ address: '10.9.9.9' }] }])
    expect(manager.getNode('x').address).toBe('10.9.9.9')
  })

  test('look-ups read the current ring without waiting', async () => {
    void manager.addNode(node(2))
    expect(manager.getNode('some key').ringKey).toBe('10.0.0.1:8000')
    expect(keysOf(manager.getNodes('some key', 5))).toEqual(['10.0.0.1:8000'])
    await fold()
    const ring = HashRing.of([node(1), node(2)])
    expect(manager.snapshot.ring.digest).toBe(ring.digest)
    for (const key of ['some key', 'other', Uint8Array.of(1, 2)]) {
      expect(manager.getNode(key)).toEqual(ring.ownerOf(key))
      expect(manager.getNodes(key, 1)).toEqual([ring.ownerOf(key)])
      expect(manager.getNodes(key, 2)).toEqual(ring.ownersOf(key, 2))
    }
  })

  test('refuses what cannot be looked up or added', async () => {
    for (const n of [0, -1, 1.5, Number.NaN]) {
      expect(() => manager.getNodes('k', n)).toThrow(coded('N_OUT_OF_RANGE'))
    }
    for (const bad of [
      { ringKey: '', weight: 1 },
      { ringKey: 'a', weight: 0 },
      { ringKey: 'a', weight: 1.5 },
    ]) {
      expect(await fateOf(manager.addNode(bad))).toEqual(coded('NODE_INVALID'))
      expect(await fateOf(manager.setNodes([node(1), bad]))).toEqual(coded('NODE_INVALID'))
    }
    void manager.setNodes([])
    await fold()
    expect(() => manager.getNode('k')).toThrow(coded('RING_EMPTY'))
    for (const key of [...NO_KEYS, '\ud800', 'é\udc00x']) {
      expect(() => manager.getNode(key)).toThrow(coded('KEY_INVALID'))
      expect(() => manager.getNodes(key, 1)).toThrow(coded('KEY_INVALID'))
    }
    for (const key of ['', new Uint8Array()]) {
      expect(() => manager.getNode(key)).toThrow(coded('KEY_EMPTY'))
      expect(() => manager.getNodes(key, 1)).toThrow(coded('KEY_EMPTY'))
    }
    expect(() => manager.getNodes('k', 1)).toThrow(coded('RING_EMPTY'))
  })

  test('is of no use before it runs and after it has stopped, but for the snapshot', async () => {
    const idle = new HashRingManager({ clock, nodes: [node(1)] })
    manager.stop()
    manager.stop()
    expect(await fateOf(ended)).toBeUndefined()
    expect([idle.running, manager.running]).toEqual([false, false])
    for (const each of [idle, manager]) {
      expect(() => each.getNode('k')).toThrow(notRunning)
      expect(() => each.getNodes('k', 1)).toThrow(notRunning)
      expect(await fateOf(each.addNode(node(2)))).toEqual(notRunning)
      expect(await fateOf(each.removeNode(node(2).ringKey))).toEqual(notRunning)
      expect(await fateOf(each.setNodes([]))).toEqual(notRunning)
      expect(await fateOf(each.ping())).toBe(false)
      expect(each.snapshot.ring.size).toBe(1)
      expect(each.pending()).toBe(0)
    }
    expect(clock.pendingTimers).toBe(0)
  })

  test('runs only once, and not after it was stopped', async () => {
    expect(await fateOf(manager.run())).toEqual(notRunning)
    expect(manager.running).toBe(true)
    manager.stop()
    expect(await fateOf(manager.run())).toEqual(notRunning)
  })

  test('stop answers everyone that waits: in the mailbox, for room in it, and for the ring', async () => {
    const folded = manager.addNode(node(2))
    await settle()
    const waiting = Array.from({ length: 14 }, (_, i) =>
      i % 2 === 0 ? manager.addNode(node(i)) : manager.ping(),
    )
    manager.stop()
    expect(await fateOf(folded)).toEqual(notRunning)
    expect(await Promise.all(waiting.map(fateOf))).toEqual(
      waiting.map((_, i) => (i % 2 === 0 ? notRunning : false)),
    )
    expect(clock.pendingTimers).toBe(0)
  })

  test.each([
    ['after its time limit', [], PING_TIMEOUT_MS],
    ['after the limit that was asked for', [70], 70],
  ])('a ping that nobody answers is false %s', async (_, limit, afterMs) => {
    const timers: { readonly ms: number; readonly fire: () => void }[] = []
    const after = (ms: number, fire: () => void) => {
      timers.push({ ms, fire })
      return () => {}
    }
    const hung = new HashRingManager({ clock: { now: () => 0, wallNow: () => 0, after } })
    const run = hung.run()
    const ping = hung.ping(...limit)
    expect(timers.map(({ ms }) => ms)).toEqual([afterMs])
    // The limit strikes before the loop has had its turn.
    timers[0]?.fire()
    expect(await fateOf(ping)).toBe(false)
    hung.stop()
    expect(await fateOf(run)).toBeUndefined()
  })

  test('a listener that throws is logged and stops nothing', async () => {
    const logger = new RecordingLogger()
    const listened = new HashRingManager({ clock, logger })
    const running = listened.run()
    const epochs: number[] = []
    listened.subscribe(() => {
      throw new Error('listener broke')
    })
    listened.subscribe(({ current }) => epochs.push(current.epoch))
    for (const n of [1, 2]) {
      const added = listened.addNode(node(n))
      await clock.advance(DEFAULT_FOLD_WINDOW_MS)
      expect(await fateOf(added)).toBeUndefined()
    }
    expect(epochs).toEqual([1, 2])
    expect(logger.of('listener.failed')).toHaveLength(2)
    expect(listened.getNodes('k', 5)).toHaveLength(2)
    listened.stop()
    expect(await fateOf(running)).toBeUndefined()
  })

  test('a function subscribed twice is two subscriptions; an ended one is told nothing more', async () => {
    let told = 0
    const listener = () => {
      told++
    }
    const end = manager.subscribe(listener)
    manager.subscribe(listener)
    end()
    void manager.addNode(node(2))
    await fold()
    expect(told).toBe(1)
  })
})
