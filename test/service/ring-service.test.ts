import { describe, expect, test } from 'vitest'
import { Readiness } from '../../src/http/readiness.ts'
import { DEFAULT_FOLD_WINDOW_MS, type HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import type { RingChange } from '../../src/manager/snapshot.ts'
import type { Member, MemberState } from '../../src/membership/member.ts'
import type { RingServiceDeps } from '../../src/service/ring-service.ts'
import { collectRing } from '../../src/telemetry/ring-collector.ts'
import { fakeMember, FakeSource } from '../support/fake-source.ts'
import { fullStatistics } from '../telemetry/full-statistics.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { settle } from '../support/virtual-clock.ts'
import { makeService, startService } from './started-service.ts'

const self = fakeMember('a', '10.0.0.1')
const other = fakeMember('b', '10.0.0.2')

/** A service of these members, of which this process is `a`. */
const started = (members: readonly Member[] = [self, other], options: Partial<RingServiceDeps> = {}) =>
  startService(new FakeSource(members, { selfName: 'a' }), options)

const keysOf = (manager: HashRingManager) => manager.snapshot.ring.nodes.map(({ ringKey }) => ringKey)

describe('RingService', () => {
  test('is started once the ring holds the first set, and follows the source from then on', async () => {
    const { manager, service, become } = await started()
    expect(service.state).toBe('running')
    expect(keysOf(manager)).toEqual(['10.0.0.1:8000', '10.0.0.2:8000'])

    await become([self, { ...other, state: 'suspect' }])
    expect(manager.snapshot.epoch).toBe(1)
    await become([self, { ...other, state: 'dead' }])
    expect(keysOf(manager)).toEqual(['10.0.0.1:8000'])
    await become([self, fakeMember('b', '10.0.0.2', { servicePort: '9000', weight: 2 })])
    expect(manager.snapshot.ring.get('10.0.0.2:9000')).toMatchObject({ weight: 2, name: 'b', port: 9000 })
  })

  test('makes one ring of deaths that come one after the other, with the cause mass-failure', async () => {
    const all = ['b', 'c', 'd'].map((name, i) => fakeMember(name, `10.0.0.${i + 2}`))
    const inState = (...states: MemberState[]) => [
      self,
      ...all.map((one, i) => ({ ...one, state: states[i]! })),
    ]
    const { source, clock, manager, become } = await started([self, ...all], { gatherDeathsMs: 1000 })
    const changes: RingChange[] = []
    manager.subscribe((change) => changes.push(change))
    source.set(inState('suspect', 'suspect', 'suspect'))
    source.set(inState('dead', 'suspect', 'suspect'))
    await clock.advance(300)
    source.set(inState('dead', 'dead', 'suspect'))
    await clock.advance(300)
    expect(changes).toEqual([])
    await become(inState('dead', 'dead', 'dead'))
    expect(changes).toHaveLength(1)
    expect(changes[0]!.records).toMatchObject([{ cause: 'mass-failure', count: 3 }])
  })

  test('waits no longer than it is told to for the deaths of other suspects, and not at all after its end', async () => {
    const members = [self, other, fakeMember('c', '10.0.0.3')]
    const { source, clock, manager, service } = await started(members, { gatherDeathsMs: 1000 })
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
    const { manager, become } = await started([self, other], { ringKeyMode: 'name' })
    const { digest } = manager.snapshot.ring
    await become([self, fakeMember('b', '10.7.7.7')])
    expect(manager.snapshot.ring.digest).toBe(digest)
    expect(manager.snapshot.ring.get('b')?.address).toBe('10.7.7.7')
  })

  test('knows its own node by the ring key: a dead member may be listed at the same address', async () => {
    const ghost = fakeMember('a-before', '10.0.0.2')
    const source = new FakeSource([self, ghost, other], { selfName: 'b' })
    const { clock, manager, service } = await startService(source)
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
    const samples = await collectRing(service, clock)
    expect(samples.ringShareRatio?.[0]?.value).toBe(manager.snapshot.ring.shares().get('10.0.0.2:8000'))
  })

  test('owns nothing where it only watches, and what its pod owns where it is told the name', async () => {
    const watcher = (await startService(new FakeSource([self]))).service
    expect([watcher.ownRingKey, watcher.owns('k')]).toEqual([undefined, false])
    const told = (await startService(new FakeSource([self]), { ownName: 'a' })).service
    expect(told.owns('k')).toBe(true)
  })

  test('leave takes this process off the ring and keeps answering; stop ends source and manager', async () => {
    const { source, clock, manager, service } = await started()
    await clock.during(DEFAULT_FOLD_WINDOW_MS, service.leave())
    expect(keysOf(manager)).toEqual(['10.0.0.2:8000'])
    expect(manager.getNode('k').ringKey).toBe('10.0.0.2:8000')
    await service.stop()
    await service.stop()
    expect(source.calls).toEqual(['start', 'leave', 'stop'])
    expect(manager.running).toBe(false)
    await expect(service.done).resolves.toBeUndefined()
  })

  test('leave drains; who leaves again, or stops, waits for the farewell alone', async () => {
    const { source, clock, service } = await started()
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
      const logger = new RecordingLogger()
      const { clock, source, service } = await started([self, other], { logger })
      source.leave = leave
      const left = service.leave().then(() => clock.now())
      expect(await clock.during(10_000, left)).toBe(atMs)
      expect(logger.errors).toMatchObject([{ event }])
    }
  })

  test('a ring that dies during the drain ends it', async () => {
    const { source, clock, service } = await started()
    const left = service.leave(60_000).catch((error: unknown) => error)
    await clock.advance(100)
    source.die(new Error('loop died'))
    expect(await left).toMatchObject({ message: 'loop died' })
  })

  test('a failed start stops everything and says why', async () => {
    const source = new FakeSource([self], { selfName: 'a' })
    source.startError = new Error('port in use')
    const { service } = makeService(source)
    await expect(service.start()).rejects.toBe(source.startError)
    expect(service.state).toBe('stopped')
    expect(source.calls).toEqual(['start', 'stop'])
    await expect(service.start()).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
  })

  test('stop while starting makes start fail', async () => {
    const source = new FakeSource([self], { selfName: 'a' })
    const { service } = makeService(source)
    const starting = service.start().catch((error: unknown) => error)
    await settle()
    await service.stop()
    expect(await starting).toMatchObject({ code: 'MANAGER_NOT_RUNNING' })
    expect(service.state).toBe('stopped')
  })

  test('done rejects when the source dies', async () => {
    const { source, service } = await started()
    source.die(new Error('loop died'))
    await expect(service.done).rejects.toThrow('loop died')
  })

  test('a listener that throws does not end the ring, which leaves as ever', async () => {
    const { source, clock, manager, service, become } = await started()
    const broken = () => {
      throw new Error('a listener of the program')
    }
    manager.subscribe(broken)
    source.subscribe(broken)
    await become([self])
    expect(keysOf(manager)).toEqual(['10.0.0.1:8000'])
    await clock.during(DEFAULT_FOLD_WINDOW_MS, service.leave())
    expect(keysOf(manager)).toEqual([])
    await service.stop()
    await service.done
  })

  test('leaves also while it starts: the source may be on the ring already', async () => {
    const source = new FakeSource([self, other], { selfName: 'a' })
    const { clock, manager, service } = makeService(source)
    const starting = service.start()
    await settle()
    expect(service.state).toBe('starting')
    const leaving = service.leave()
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await Promise.all([starting, leaving])
    expect(source.calls).toEqual(['start', 'leave'])
    expect([service.state, keysOf(manager)]).toEqual(['leaving', ['10.0.0.2:8000']])
  })
})

describe('a process that stood still', () => {
  async function stalling(unsureAfterMs = 0) {
    const logger = new RecordingLogger()
    const made = await started([self, other], { logger, unsureAfterMs })
    await made.clock.advance(20_000)
    const changes: RingChange[] = []
    made.manager.subscribe((change) => changes.push(change))
    const holdDead = (heldDead: number) => {
      const { gossip } = fullStatistics('memberlist')
      made.source.statisticsNow = { gossip: { ...gossip!, heldDead } }
    }
    return { ...made, logger, changes, holdDead }
  }

  test('tells that it was off the ring, with the time from its own clock', async () => {
    const { service, logger, manager, changes, clock, holdDead } = await stalling()
    const { ring, epoch } = manager.snapshot
    clock.stall(4000)
    await clock.advance(250)
    expect(logger.of('ring.rejoined')).toEqual([])
    holdDead(1)
    await clock.advance(1000)
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
    await clock.advance(1000)
    expect(manager.snapshot.epoch).toBe(epoch + 1)
    await service.stop()
    expect(clock.pendingTimers).toBe(0)
  })

  test('tells so too when it was only cut off, without a beginning', async () => {
    const { logger, clock, holdDead } = await stalling()
    holdDead(1)
    await clock.advance(1000)
    expect(logger.of('ring.rejoined').map(({ fields }) => [fields['from'], fields['stalled']])).toEqual([
      [undefined, false],
    ])
  })

  test('does not tell so once it leaves', async () => {
    const { service, logger, clock, holdDead } = await stalling()
    clock.stall(4000)
    const left = service.leave()
    holdDead(1)
    await clock.advance(10_000)
    await left
    expect(logger.of('ring.rejoined')).toEqual([])
  })

  test('is unsure from the first look-up on, and for two seconds, if it is set to be', async () => {
    const { service, clock } = await stalling(3000)
    const told: boolean[] = []
    const ignore = service.onUnsure((unsure) => told.push(unsure))
    clock.stall(2000)
    expect(service.unsure).toBe(false)
    await clock.advance(1000)
    clock.stall(3300)
    expect(service.unsure).toBe(true)
    expect(service.health().condition).toBe('unsure')
    await clock.advance(1900)
    expect(service.unsure).toBe(true)
    await clock.advance(500)
    expect(service.unsure).toBe(false)
    expect(service.health().condition).toBe('well')
    expect(told).toEqual([true, false])
    ignore()
    clock.stall(3300)
    await clock.advance(5000)
    expect(told).toHaveLength(2)
  })
})
