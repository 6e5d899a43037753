import { beforeAll, expect, test } from 'vitest'
import { buildGoProgram } from '../../../lab/peers/go-program.ts'
import { eventually } from './eventually.ts'
import { untilHeld } from './held-state.ts'
import { everybodyShows, metaOf, NEWS_MS, NOTICE_MS, startMixed } from './mixed-cluster.ts'
import { OurMember } from './our-member.ts'

/** Between two probes of a Go member, which are over by then: Go takes time in which the whole machine stood still for a silence. */
const PROBE_INTERVAL_MS = 3000
/** Several rounds in which each Go member probes the one without UDP. */
const QUIET_MS = 6 * PROBE_INTERVAL_MS

beforeAll(async () => {
  await buildGoProgram('memberlist-peer')
})

test('one of ours without UDP lives among Go members: news goes both ways, and nobody takes it for dead', async () => {
  await using stack = new AsyncDisposableStack()
  const { go, ours, all, names } = await startMixed(stack, {
    each: 2,
    go: { timing: { probeIntervalMs: PROBE_INTERVAL_MS } },
  })
  const tcp = stack.use(
    await OurMember.start({
      name: 'tcp',
      tcpOnly: true,
      servicePort: 8009,
      join: [go[0]!.gossipAddress, ours[0]!.gossipAddress],
    }),
  )
  const everybody = [...all, tcp]
  await everybodyShows(everybody, [...names, 'tcp'], NEWS_MS)
  await go[1]!.updateMeta(metaOf(9999))
  await tcp.until('new metadata of Go', () => tcp.get('g2')?.metadata?.servicePort === '9999', NEWS_MS)
  await tcp.updateMeta(metaOf(7777))
  for (const peer of go) {
    await peer.process.until(
      'new metadata of the one without UDP',
      () => peer.process.view.get('tcp')?.meta === metaOf(7777),
      NEWS_MS,
    )
  }

  const startedMs = performance.now()
  await eventually('some rounds of probes', () => performance.now() - startedMs > QUIET_MS, 2 * QUIET_MS)
  expect(tcp.timesSeen('dead'), tcp.facts()).toBe(0)
  for (const our of ours) expect(our.timesSeen('dead'), our.facts()).toBe(0)
  for (const peer of go) {
    expect(
      peer.process.lines.filter(({ type }) => type === 'leave'),
      peer.name,
    ).toEqual([])
  }
  // Ours say why: the member answers, but not over UDP.
  for (const our of ours) {
    await our.until('the finding', () => our.logger.of('udp.blocked').length > 0, NEWS_MS)
    expect(our.logger.of('udp.blocked')[0]?.fields).toMatchObject({ peer: 'tcp' })
  }

  await go[1]!.kill()
  await tcp.untilState('g2', 'dead', NOTICE_MS)
  await tcp.leave()
  await everybodyShows([go[0]!, ...ours], ['g1', 'r1', 'r2'], NOTICE_MS)
  await untilHeld(go[0]!, 'tcp', 'left', NEWS_MS)
})
