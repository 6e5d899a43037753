import { expect, test } from 'vitest'
import { createRing } from '../../../src/compose/create-ring.ts'
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
      ...{ name, servicePort, seeds, logger, clusterName: 'default', preset: 'local' },
      ...{ bind: '127.0.0.1', gossipPort: 0, drainMs: 0 },
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
