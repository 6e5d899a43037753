import { describe, expect, test } from 'vitest'
import { Readiness } from '../../src/http/readiness.ts'
import type { Clock } from '../../src/clock.ts'
import { silentLogger } from '../../src/logger.ts'
import { DEFAULT_FOLD_WINDOW_MS, HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import type { RingChange } from '../../src/manager/snapshot.ts'
import type { MemberState } from '../../src/membership/member.ts'
import { RingService, type RingServiceDeps } from '../../src/service/ring-service.ts'
import { RingCollector } from '../../src/telemetry/ring-collector.ts'
import { fakeMember, FakeSource } from '../support/fake-source.ts'
import { fullStatistics } from '../telemetry/full-statistics.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { settle, VirtualClock } from '../support/virtual-clock.ts'

const self = fakeMember('a', '10.0.0.1')
const other = fakeMember('b', '10.0.0.2')

async function started(
  source: FakeSource,
  options: Partial<Pick<RingServiceDeps, 'ringKeyMode' | 'ownName' | 'logger' | 'gatherDeathsMs'>> = {},
) {
  const clock = new VirtualClock()
  const manager = new HashRingManager({ clock })
  const service = new RingService({
    source,
    manager,
    logger: silentLogger,
    clock,
    ringKeyMode: 'address',
    ...options,
  })
  const starting = service.start()
  await clock.advance(DEFAULT_FOLD_WINDOW_MS)
  return { clock, manager, service, starting }
}

const keysOf = (manager: HashRingManager) => manager.snapshot.ring.nodes.map(({ ringKey }) => ringKey)

describe('RingService', () => {
  test('is started once the ring holds the first set, and follows the source from then on', async () => {
    const source = new FakeSource([self, other], { selfName: 'a' })
    const { clock, manager, service, starting } = await started(source)
    await starting
    expect(service.state).toBe('running')
    expect(keysOf(manager)).toEqual(['10.0.0.1:8000', '10.0.0.2:8000'])

    source.set([self, { ...other, state: 'suspect' }])
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    expect(manager.snapshot.epoch).toBe(1)
    source.set([self, { ...other, state: 'dead' }])
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    expect(keysOf(manager)).toEqual(['10.0.0.1:8000'])
    source.set([self, fakeMember('b', '10.0.0.2', { servicePort: '9000', weight: 2 })])
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    expect(manager.snapshot.ring.get('10.0.0.2:9000')).toMatchObject({ weight: 2, name: 'b', port: 9000 })
    await service.stop()
  })

  test('makes one ring of deaths that come one after the other, with the cause mass-failure', async () => {
    const all = ['b', 'c', 'd'].map((name, i) => fakeMember(name, `10.0.0.${i + 2}`))
    const inState = (...states: MemberState[]) => [
      self,
      ...all.map((one, i) => ({ ...one, state: states[i]! })),
    ]
    const source = new FakeSource([self, ...all], { selfName: 'a' })
    const { clock, manager, service, starting } = await started(source, { gatherDeathsMs: 1000 })
    await starting
    const changes: RingChange[] = []
    manager.subscribe((change) => changes.push(change))
    source.set(inState('suspect', 'suspect', 'suspect'))
    source.set(inState('dead', 'suspect', 'suspect'))
    await clock.advance(300)
    source.set(inState('dead', 'dead', 'suspect'))
    await clock.advance(300)
    expect(changes).toEqual([])
    source.set(inState('dead', 'dead', 'dead'))
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    expect(changes).toHaveLength(1)
    expect(changes[0]!.records).toMatchObject([{ cause: 'mass-failure', count: 3 }])
    await service.stop()
  })

  test('waits no longer than it is told to for the deaths of other suspects, and not at all after its end', async () => {
    const source = new FakeSource([self, other, fakeMember('c', '10.0.0.3')], { selfName: 'a' })
    const { clock, manager, service, starting } = await started(source, { gatherDeathsMs: 1000 })
    await starting
    const third = { ...fakeMember('c', '10.0.0.3'), state: 'suspect' as const }
    source.set([self, { ...other, state: 'dead' }, third])
    await clock.advance(990)
    expect(manager.snapshot.ring.size).toBe(3)
    await clock.advance(10 + DEFAULT_FOLD_WINDOW_MS)
    expect(keysOf(manager)).toEqual(['10.0.0.1:8000', '10.0.0.3:8000'])
    source.set([self, { ...third, state: 'dead' }, { ...other, state: 'suspect' }])
    await service.stop()
    const { epoch } = manager.snapshot
    await clock.advance(2000)
    expect(manager.snapshot.epoch).toBe(epoch)
    expect(clock.pendingTimers).toBe(0)
  })

  test('hashes names when asked to, so that a new address moves no key', async () => {
    const source = new FakeSource([self, other], { selfName: 'a' })
    const { clock, manager, service, starting } = await started(source, { ringKeyMode: 'name' })
    await starting
    const { digest } = manager.snapshot.ring
    source.set([self, fakeMember('b', '10.7.7.7')])
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    expect(manager.snapshot.ring.digest).toBe(digest)
    expect(manager.snapshot.ring.get('b')?.address).toBe('10.7.7.7')
    await service.stop()
  })

  test('knows its own node by the ring key: a dead member may be listed at the same address', async () => {
    const ghost = fakeMember('a-before', '10.0.0.2')
    const source = new FakeSource([self, ghost, other], { selfName: 'b' })
    const { clock, manager, service, starting } = await started(source)
    await starting
    expect(manager.snapshot.ring.get('10.0.0.2:8000')?.name).toBe('a-before')
    expect(service.ownRingKey).toBe('10.0.0.2:8000')
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
      expect(service.owns(key)).toBe(manager.getNode(key).address === '10.0.0.2')
    }
    const readiness = new Readiness({ ring: service, clock, minMembers: 1, minMembersTimeoutMs: 0 })
    const ownCheck = (await readiness.evaluate()).checks.find(({ name }) => name === 'self')
    expect(ownCheck).toEqual({
      name: 'self',
      ok: true,
      message: 'This member, "b", is on the ring as "a-before", which has the same ring key.',
    })
    const samples = await new RingCollector(service, clock).collect()
    expect(samples.ringShareRatio?.[0]?.value).toBe(manager.snapshot.ring.shares().get('10.0.0.2:8000'))
    await service.stop()
  })

  test('owns nothing where it only watches, and what its pod owns where it is told the name', async () => {
    const watcher = (await started(new FakeSource([self]))).service
    expect([watcher.ownRingKey, watcher.owns('k')]).toEqual([undefined, false])
    const told = (await started(new FakeSource([self]), { ownName: 'a' })).service
    expect(told.owns('k')).toBe(true)
    await Promise.all([watcher.stop(), told.stop()])
  })

  test('leave takes this process off the ring and keeps answering; stop ends source and manager', async () => {
    const source = new FakeSource([self, other], { selfName: 'a' })
    const { clock, manager, service, starting } = await started(source)
    await starting
    const leaving = service.leave()
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await leaving
    expect(keysOf(manager)).toEqual(['10.0.0.2:8000'])
    expect(manager.getNode('k').ringKey).toBe('10.0.0.2:8000')
    await service.stop()
    await service.stop()
    expect(source.calls).toEqual(['start', 'leave', 'stop'])
    expect(manager.running).toBe(false)
    await expect(service.done).resolves.toBeUndefined()
  })

  test('leave drains; who leaves again, or stops, waits for the farewell alone', async () => {
    const source = new FakeSource([self, other], { selfName: 'a' })
    const { clock, service, starting } = await started(source)
    await starting
    const order: string[] = []
    void service.leave(1000).then(() => order.push(`drained at ${clock.now()}`))
    void service.leave().then(() => order.push(`left at ${clock.now()}`))
    expect(service.state).toBe('leaving')
    await clock.advance(2000)
    expect(order).toEqual(['left at 20', 'drained at 1020'])
    expect(source.calls.filter((call) => call === 'leave')).toHaveLength(1)
    await service.stop()
    await service.leave(1000)
  })

  test('a farewell that fails, or takes too long, is logged and holds up nothing', async () => {
    for (const [leave, event, atMs] of [
      [() => Promise.reject(new Error('no route')), 'leave.failed', 10],
      [() => new Promise<void>(() => {}), 'leave.timed-out', 5010],
    ] as const) {
      const source = new FakeSource([self, other], { selfName: 'a' })
      source.leave = leave
      const logger = new RecordingLogger()
      const { clock, service, starting } = await started(source, { logger })
      await starting
      const leftAtMs = service.leave().then(() => clock.now())
      await clock.advance(10_000)
      expect(await leftAtMs).toBe(atMs)
      expect(
        logger.lines.filter(({ level }) => level === 'error').map(({ fields }) => fields['event']),
      ).toEqual([event])
      await service.stop()
    }
  })

  test('a ring that dies during the drain ends it', async () => {
    const source = new FakeSource([self, other], { selfName: 'a' })
    const { clock, service, starting } = await started(source)
    await starting
    const left = service.leave(60_000).catch((error: unknown) => error)
    await clock.advance(100)
    source.die(new Error('loop died'))
    expect(await left).toMatchObject({ message: 'loop died' })
    await service.stop()
  })

  test('a failed start stops everything and says why', async () => {
    const source = new FakeSource([self], { selfName: 'a' })
    source.startError = new Error('port in use')
    const clock = new VirtualClock()
    const manager = new HashRingManager({ clock })
    const service = new RingService({
      source,
      manager,
      logger: silentLogger,
      clock,
      ringKeyMode: 'address',
    })
    await expect(service.start()).rejects.toBe(source.startError)
    expect(service.state).toBe('stopped')
    expect(source.calls).toEqual(['start', 'stop'])
    await expect(service.start()).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
  })

  test('stop while starting makes start fail', async () => {
    const source = new FakeSource([self], { selfName: 'a' })
    const clock = new VirtualClock()
    const manager = new HashRingManager({ clock })
    const service = new RingService({ source, manager, logger: silentLogger, clock, ringKeyMode: 'address' })
    const starting = service.start().catch((error: unknown) => error)
    await settle()
    await service.stop()
    expect(await starting).toMatchObject({ code: 'MANAGER_NOT_RUNNING' })
    expect(service.state).toBe('stopped')
  })

  test('done rejects when the source dies', async () => {
    const source = new FakeSource([self, other], { selfName: 'a' })
    const { service, starting } = await started(source)
    await starting
    source.die(new Error('loop died'))
    await expect(service.done).rejects.toThrow('loop died')
    await service.stop()
  })

  test('a listener that throws does not end the ring, which leaves as ever', async () => {
    const source = new FakeSource([self, other], { selfName: 'a' })
    const { clock, manager, service, starting } = await started(source)
    await starting
    const broken = () => {
      throw new Error('a listener of the program')
    }
    manager.subscribe(broken)
    source.subscribe(broken)
    source.set([self])
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    expect(keysOf(manager)).toEqual(['10.0.0.1:8000'])
    const leaving = service.leave()
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await leaving
    expect(keysOf(manager)).toEqual([])
    await service.stop()
    await service.done
  })

  test('leaves also while it starts: the source may be on the ring already', async () => {
    const source = new FakeSource([self, other], { selfName: 'a' })
    const clock = new VirtualClock()
    const manager = new HashRingManager({ clock })
    const service = new RingService({ source, manager, logger: silentLogger, clock, ringKeyMode: 'address' })
    const starting = service.start()
    await settle()
    expect(service.state).toBe('starting')
    const leaving = service.leave()
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await Promise.all([starting, leaving])
    expect(source.calls).toEqual(['start', 'leave'])
    expect([service.state, keysOf(manager)]).toEqual(['leaving', ['10.0.0.2:8000']])
    await service.stop()
  })
})

describe('a process that stood still', () => {
  async function stalling(unsureAfterMs = 0) {
    const virtual = new VirtualClock()
    let lostMs = 0
    const clock: Clock = {
      now: () => virtual.now() + lostMs,
      wallNow: () => virtual.wallNow() + lostMs,
      after: (delayMs, fn) => virtual.after(delayMs, fn),
    }
    const source = new FakeSource([self, other], { selfName: 'a' })
    const logger = new RecordingLogger()
    const manager = new HashRingManager({ clock })
    const service = new RingService({
      source,
      manager,
      logger,
      clock,
      ringKeyMode: 'address',
      unsureAfterMs,
    })
    const changes: RingChange[] = []
    manager.subscribe((change) => changes.push(change))
    const starting = service.start()
    await virtual.advance(20_000)
    await starting
    return {
      service,
      source,
      logger,
      manager,
      changes,
      virtual,
      stall: (ms: number) => {
        lostMs += ms
      },
      holdDead: (heldDead: number) => {
        const { gossip } = fullStatistics('memberlist')
        if (gossip !== undefined) source.statisticsNow = { gossip: { ...gossip, heldDead } }
      },
    }
  }

  test('tells that it was off the ring, with the time from its own clock', async () => {
    const { service, logger, manager, changes, virtual, stall, holdDead } = await stalling()
    const { ring, epoch } = manager.snapshot
    stall(4000)
    await virtual.advance(250)
    expect(logger.of('ring.rejoined')).toEqual([])
    holdDead(1)
    await virtual.advance(1000)
    const [line] = logger.of('ring.rejoined')
    expect(line?.level).toBe('warn')
    const { from, to } = line?.fields ?? {}
    expect(Date.parse(String(to)) - Date.parse(String(from))).toBeGreaterThanOrEqual(4000)
    expect(manager.snapshot).toMatchObject({ epoch: epoch + 1 })
    expect(manager.snapshot.ring).toBe(ring)
    expect(changes.at(-1)).toMatchObject({ added: [], removed: [], updated: [] })
    expect(changes.at(-1)?.records).toEqual([
      {
        timeMs: expect.any(Number) as number,
        cause: 'was-off-ring',
        node: '10.0.0.1:8000',
        count: 1,
        movedShare: ring.shares().get('10.0.0.1:8000'),
        digests: { before: ring.digest, after: ring.digest },
      },
    ])
    // A liar who says so again and again is not believed each time.
    holdDead(2)
    await virtual.advance(1000)
    expect(manager.snapshot.epoch).toBe(epoch + 1)
    await service.stop()
    expect(virtual.pendingTimers).toBe(0)
  })

  test('tells so too when it was only cut off, without a beginning', async () => {
    const { service, logger, virtual, holdDead } = await stalling()
    holdDead(1)
    await virtual.advance(1000)
    expect(logger.of('ring.rejoined').map(({ fields }) => [fields['from'], fields['stalled']])).toEqual([
      [undefined, false],
    ])
    await service.stop()
  })

  test('is unsure from the first look-up on, and for two seconds, if it is set to be', async () => {
    const { service, virtual, stall } = await stalling(3000)
    const told: boolean[] = []
    const ignore = service.onUnsure((unsure) => told.push(unsure))
    stall(2000)
    expect(service.unsure).toBe(false)
    await virtual.advance(1000)
    stall(3300)
    expect(service.unsure).toBe(true)
    expect(service.health().condition).toBe('unsure')
    await virtual.advance(1900)
    expect(service.unsure).toBe(true)
    await virtual.advance(500)
    expect(service.unsure).toBe(false)
    expect(service.health().condition).toBe('well')
    expect(told).toEqual([true, false])
    ignore()
    stall(3300)
    await virtual.advance(5000)
    expect(told).toHaveLength(2)
    await service.stop()
  })
})
