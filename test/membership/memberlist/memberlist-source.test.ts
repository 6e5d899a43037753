import { describe, expect, onTestFinished, test } from 'vitest'
import { describeHealth, type HealthFacts } from '../../../src/membership/memberlist/memberlist-health.ts'
import { MemberlistSource } from '../../../src/membership/memberlist/memberlist-source.ts'
import { TurnClock } from '../../support/turn-clock.ts'
import { alive, Machine } from './protocol/machine.ts'
import { LOOPBACK } from '../../support/loopback.ts'

test('times of states follow a step of the clock', async () => {
  const clock = new TurnClock()
  const { wallOriginMs } = clock
  const start = async (name: string) => {
    const source = new MemberlistSource({
      ...LOOPBACK,
      name,
      clock,
    })
    onTestFinished(() => source.stop())
    await source.start(new AbortController().signal)
    return source
  }
  clock.wallOriginMs = 0
  const [a, b] = [await start('a'), await start('b')]
  clock.wallOriginMs = wallOriginMs
  a.node.join([{ address: '127.0.0.1', port: b.gossipAddress!.port }])
  await clock.until(() => a.members.length === 2)
  for (const { stateSinceMs } of a.members) {
    expect(Math.abs(stateSinceMs - clock.wallNow())).toBeLessThan(10_000)
  }
})

describe('health', () => {
  const facts = (machine: Machine): HealthFacts => ({
    node: {
      livingCount: 3,
      healthScore: 0,
      udpBlockedCount: 1,
      drops: {} as HealthFacts['node']['drops'],
      contested: () => machine.protocol.contested(),
      isEvicted: machine.protocol.isEvicted(machine.nowMs),
      isUnlisted: machine.protocol.isUnlisted,
      unreachedAt: undefined,
    },
    seeds: [],
    seedStatus: { rounds: 1, addresses: [], foundSelf: false, failures: [] },
    lastJoin: undefined,
    state: 'running',
    uptimeMs: 0,
  })

  test('a member that hears that it is evicted takes no work, whom it lists notwithstanding', () => {
    const { node, ...rest } = facts(new Machine())
    expect(describeHealth({ ...rest, node: { ...node, isEvicted: true } })).toMatchObject({
      condition: 'draining',
      message: 'The others do not take it: an operator evicted it',
    })
  })

  test('a member that nobody reaches names its address, and whether it is one of its own', () => {
    const { node, ...rest } = facts(new Machine())
    const endpoint = { address: '10.9.9.9', port: 7946 }
    const messageOf = (isOwn: boolean) =>
      describeHealth({ ...rest, node: { ...node, unreachedAt: { endpoint, isOwn } } })
    expect(messageOf(true)).toMatchObject({
      condition: 'unreachable',
      message: 'Nobody reaches it at 10.9.9.9:7946, its port is closed to the others',
    })
    expect(messageOf(false).message).toBe(
      'Nobody reaches it at 10.9.9.9:7946, which is not an address of this host: look at --advertise',
    )
  })

  test('one other member is not several', () => {
    const { node, ...rest } = facts(new Machine())
    const messageOf = (udpBlockedCount: number) =>
      describeHealth({ ...rest, node: { ...node, livingCount: 2, udpBlockedCount } }).message
    expect(messageOf(1)).toBe('UDP is blocked: only TCP works to 1 other member')
    expect(messageOf(0)).toBe('Gossips with 1 other member')
  })

  test('a member that nobody is with waits for the first news of its seeds, for two seconds at most', () => {
    const { node, seedStatus, ...rest } = facts(new Machine())
    const seeds = [{ kind: 'address', address: '10.0.0.9', port: 7946 }] as const
    const conditionOf = (over: Partial<HealthFacts> & { addresses?: number; rounds?: number } = {}) => {
      const { addresses = 1, rounds = 1, ...more } = over
      const found = Array.from({ length: addresses }, () => ({ address: '10.0.0.9', port: 7946 }))
      return describeHealth({
        ...rest,
        seeds,
        node: { ...node, livingCount: 1 },
        seedStatus: { ...seedStatus, rounds, addresses: found },
        ...more,
      }).condition
    }
    expect(conditionOf({ uptimeMs: 1999 })).toBe('starting')
    expect(conditionOf({ addresses: 0, rounds: 0, uptimeMs: 1999 })).toBe('starting')
    expect(conditionOf({ uptimeMs: 2000 })).toBe('alone')
    // The seeds have no address: there is nobody to wait for.
    expect(conditionOf({ addresses: 0 })).toBe('alone')
    const lastJoin = { kind: 'join-finished', reached: [], failed: [] } as unknown as HealthFacts['lastJoin']
    expect(conditionOf({ lastJoin })).toBe('alone')
  })

  test('while a name is used twice others say so and may be ready; the one not listed says who is in its place', () => {
    const machine = new Machine().withMembers(3)
    machine.answering.add(9)
    machine.packet(9, alive(2, 2, { address: Uint8Array.of(10, 0, 0, 9) }))
    machine.run(100)
    expect(describeHealth(facts(machine))).toMatchObject({
      condition: 'contested',
      message: 'Two processes have the name "m2": at 10.0.0.2:7946 and at 10.0.0.9:7946',
    })
    const second = new Machine().withMembers(3)
    second.answering.add(8)
    second.packet(2, alive(1, 2, { address: Uint8Array.of(10, 0, 0, 8) }))
    const { meta, vsn } = alive(1)
    const own = { name: 'm1', address: Uint8Array.of(10, 0, 0, 8), port: 7946, meta, vsn, incarnation: 1 }
    const state = { join: false, nodes: [{ ...own, state: 0 }], userState: new Uint8Array(0) }
    for (const { exchange } of second.of('start-push-pull'))
      second.handle({ kind: 'push-pull-answered', exchange, state })
    second.run(100)
    expect(describeHealth(facts(second))).toMatchObject({
      condition: 'unlisted',
      message: 'The others list another process of its name, at 10.0.0.8:7946, and not this one',
    })
  })
})
