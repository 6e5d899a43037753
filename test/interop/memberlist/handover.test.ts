import { expect, test } from 'vitest'
import { createRing } from '../../../src/compose/create-ring.ts'
import type { Ring } from '../../../src/compose/ring.ts'
import { MemberlistPeer } from '../../../lab/peers/memberlist-peer.ts'
import { RingmanPeer } from '../../../lab/peers/ringman-peer.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { eventually } from './eventually.ts'
import { NEWS_MS, NOTICE_MS } from './mixed-cluster.ts'

const KEYS = Array.from({ length: 200 }, (_, i) => `user:${i}`)

/** Longer than the test may last: whoever waited for it would be found. */
const TIMEOUT_MS = 600_000

test('nobody waits in a ring with a member of Go ringman, which is said once; without it keys are warm again', async () => {
  await using stack = new AsyncDisposableStack()
  const warmed: string[] = []
  let neverEnds = true
  const start = async (name: string, servicePort: number, seeds: readonly string[]) => {
    const logger = new RecordingLogger()
    const ring = await createRing({
      name,
      servicePort,
      seeds,
      logger,
      clusterName: 'default',
      preset: 'local',
      bind: '127.0.0.1',
      gossipPort: 0,
      drainMs: 0,
      handover: {
        warm: () => {
          if (neverEnds) return new Promise<void>(() => {})
          warmed.push(name)
          return undefined
        },
        timeoutMs: TIMEOUT_MS,
      },
    })
    stack.use(ring)
    const outcomes = () =>
      logger
        .of('handover.ended')
        .map(({ fields }) => `${String(fields['phase'])} ${String(fields['outcome'])}`)
    const haveNodes = (ringKeys: readonly string[]) =>
      eventually(
        `the ring of ${name} is ${ringKeys.join(', ')}`,
        () =>
          ring.manager.snapshot.ring.nodes.map(({ ringKey }) => ringKey).join(', ') === ringKeys.join(', '),
        NOTICE_MS,
        () => `it is ${ring.manager.snapshot.ring.nodes.map(({ ringKey }) => ringKey).join(', ')}`,
      )
    return { ring, logger, outcomes, haveNodes }
  }
  const peer = await RingmanPeer.start({ name: 'g1', servicePort: '9001', preset: 'local' })
  stack.use(peer)
  const first = await start('r1', 8001, [peer.gossipAddress])
  await first.ring.settled()
  const second = await start('r2', 8002, [peer.gossipAddress])
  await second.ring.settled()

  const [one, two, go] = ['127.0.0.1:8001', '127.0.0.1:8002', '127.0.0.1:9001'] as const
  for (const member of [first, second]) await member.haveNodes([one, two, go])
  await peer.untilShown(['g1', 'r1', 'r2'], NEWS_MS)
  for (const key of KEYS) {
    const owner = await peer.owner(key)
    for (const { ring } of [first, second]) expect(ring.manager.getNode(key).ringKey, key).toBe(owner)
  }

  await second.ring.shutdown()
  await first.haveNodes([one, go])
  await peer.untilShown(['g1', 'r1'], NOTICE_MS)
  expect([first.outcomes(), second.outcomes()]).toEqual([
    ['pending not-possible'],
    ['pending not-possible', 'releasing not-possible'],
  ])
  // The second one moves twice: it says so again if that takes longer than ten seconds.
  expect(first.logger.of('handover.not-possible')).toHaveLength(1)
  expect(second.logger.of('handover.not-possible')[0]?.fields).toMatchObject({ members: 1, names: ['g1'] })

  await peer.leave()
  neverEnds = false
  await first.haveNodes([one])
  const { port } = first.ring.gossipAddress!
  const third = await start('r3', 8003, [`127.0.0.1:${port}`])
  await third.ring.settled()
  await first.haveNodes([one, '127.0.0.1:8003'])
  expect([third.outcomes(), warmed]).toEqual([['pending warmed'], ['r3']])
})

/** No key may have two owners for longer in planned moves, in milliseconds. */
const TWO_OWNERS_MS = 300
const LOOK_MS = 5

test("a stock memberlist member, without ringman's metadata, is no node: moves wait for whoever warms up, not for it", async () => {
  await using stack = new AsyncDisposableStack()
  const peer = stack.use(await MemberlistPeer.start({ name: 'g1', preset: 'local' }))
  const rings = new Map<string, Ring>()
  const warmed: string[] = []
  const start = async (name: string, servicePort: number) => {
    const logger = new RecordingLogger()
    const ring = await createRing({
      name,
      servicePort,
      logger,
      seeds: [peer.gossipAddress],
      ringKey: 'name',
      preset: 'local',
      bind: '127.0.0.1',
      gossipPort: 0,
      drainMs: 0,
      handover: {
        warm: async () => {
          await new Promise((wake) => setTimeout(wake, 50))
          warmed.push(name)
        },
        timeoutMs: TIMEOUT_MS,
      },
    })
    stack.use(ring)
    rings.set(name, ring)
    const endedAs = (expected: readonly string[]) =>
      eventually(
        `the moves of ${name} ended as ${expected.join(', ')}`,
        () =>
          logger
            .of('handover.ended')
            .map(({ fields }) => `${String(fields['phase'])} ${String(fields['outcome'])}`)
            .join() === expected.join(),
        NOTICE_MS,
      )
    await endedAs(['pending warmed'])
    // Who joins through the stock member takes its word on the others.
    await eventually(
      `the stock member knows that ${name} owns`,
      async () =>
        (await peer.members()).some((one) => one.name === name && one.meta.includes('"Handover":"o')),
      NEWS_MS,
    )
    return { ring, endedAs }
  }
  /** Since when each key has more than one member that takes itself for its owner, and the longest of it. */
  const since = new Map<string, number>()
  let longestMs = 0
  // Time in which this process, and with it the members, did not run does not count.
  let nowMs = 0
  let lookedMs = performance.now()
  const look = setInterval(() => {
    nowMs += Math.min(performance.now() - lookedMs, 4 * LOOK_MS)
    lookedMs = performance.now()
    for (const key of KEYS) {
      const owners = [...rings].filter(([name, { manager }]) => ownerOf(manager, key) === name)
      if (owners.length < 2) since.delete(key)
      else if (!since.has(key)) since.set(key, nowMs)
      longestMs = Math.max(longestMs, nowMs - (since.get(key) ?? Infinity))
    }
  }, LOOK_MS)
  stack.defer(() => {
    clearInterval(look)
  })
  const haveNodes = (names: readonly string[]) =>
    eventually(
      `the rings are ${names.join(', ')}`,
      () => [...rings.values()].every(({ manager }) => nodesOf(manager) === names.join(', ')),
      NOTICE_MS,
      () => [...rings].map(([name, { manager }]) => `${name}: ${nodesOf(manager)}`).join('; '),
    )
  await start('r1', 8001)
  await haveNodes(['r1'])
  const second = await start('r2', 8002)
  await haveNodes(['r1', 'r2'])
  await start('r3', 8003)
  await haveNodes(['r1', 'r2', 'r3'])
  await eventually(
    'the stock member lists all',
    async () => (await peer.members()).map(({ name }) => name).join() === 'g1,r1,r2,r3',
    NEWS_MS,
  )
  await second.ring.shutdown()
  rings.delete('r2')
  await haveNodes(['r1', 'r3'])
  clearInterval(look)
  await second.endedAs(['pending warmed', 'releasing warmed'])
  expect(new Set(warmed)).toEqual(new Set(['r1', 'r2', 'r3']))
  expect(longestMs).toBeLessThan(TWO_OWNERS_MS)
})

function nodesOf({ snapshot }: Ring['manager']): string {
  return snapshot.ring.nodes.map(({ ringKey }) => ringKey).join(', ')
}

function ownerOf(manager: Ring['manager'], key: string): string | undefined {
  return manager.snapshot.ring.ownerOf(key)?.ringKey
}
