import { describe, expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '../../../src/logger.ts'
import { PodWatch } from '../../../src/kubernetes/pod-watch.ts'
import { MemberlistSource } from '../../../src/membership/memberlist/memberlist-source.ts'
import { PodAwareSource } from '../../../src/membership/kubernetes/pod-aware-source.ts'
import { parseSeeds } from '../../support/seeds.ts'
import { seededRandom } from '../../../lab/sim/seeded-random.ts'
import { freePort } from '../../support/free-port.ts'
import { COLLECTIONS, FakeKubernetesApi, type FakeObject } from '../../support/fake-kubernetes-api.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { TurnClock } from '../../support/turn-clock.ts'

/** Members have one gossip port, each at an address of its own. */
const NETWORK = '127.77.1'
const PORT = await freePort()
const clock = new TurnClock()

function podObject(
  name: string,
  address: string,
  over: { uid?: string; deleting?: boolean; phase?: string } = {},
): FakeObject {
  return {
    metadata: {
      name,
      uid: over.uid ?? `uid-${name}`,
      labels: { app: 'ring' },
      ...(over.deleting === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    status: { phase: over.phase ?? 'Running', podIP: address, podIPs: [{ ip: address }, { ip: 'fd00::1' }] },
  }
}

function makeMember(
  api: FakeKubernetesApi,
  n: number,
  options: { seeds: string; check: boolean; logger?: RecordingLogger },
) {
  const random = seededRandom(n)
  const logger = options.logger ?? silentLogger
  const pods = new PodWatch({
    transport: api.transport(),
    selector: 'app=ring',
    clock,
    random,
    logger,
  })
  const inner = new MemberlistSource({
    name: `ring-${n}`,
    bindHost: `${NETWORK}.${n}`,
    gossipPort: PORT,
    advertise: `${NETWORK}.${n}`,
    // The slowest: by gossip alone a death takes half a minute.
    preset: 'wan',
    settings: { gossipIntervalMs: 50 },
    metadata: { servicePort: '8000' },
    seeds: parseSeeds(options.seeds),
    pods,
    clock,
    random,
    logger,
  })
  const source = new PodAwareSource({
    inner,
    pods,
    checked: options.check ? inner : undefined,
    clock,
    random,
    logger,
  })
  onTestFinished(() => source.stop())
  return source
}

const stateOf = (source: PodAwareSource, name: string) =>
  source.members.find((member) => member.name === name)?.state
const living = (source: PodAwareSource) =>
  source.members.filter(({ state }) => state === 'alive' || state === 'suspect').map(({ name }) => name)

async function startCluster(count: number, seeds: string, check: boolean) {
  const api = new FakeKubernetesApi(clock, seededRandom(1))
  const members: PodAwareSource[] = []
  for (let n = 1; n <= count; n++) {
    api.put(COLLECTIONS.pods, podObject(`ring-${n}`, `${NETWORK}.${n}`))
    const member = makeMember(api, n, { seeds, check })
    await member.start(new AbortController().signal)
    members.push(member)
  }
  for (const member of members) await clock.until(() => living(member).length === count, 15_000)
  return { api, members }
}

// By gossip alone each would take longer still.
describe('a cluster of memberlist members beside Kubernetes', () => {
  test('pods are seeds: those that run, not those that go, wait or have other labels', async () => {
    const { api, members } = await startCluster(3, `pods:${PORT}`, false)
    expect(members.map(living)).toEqual([0, 1, 2].map(() => ['ring-1', 'ring-2', 'ring-3']))
    api.put(COLLECTIONS.pods, podObject('ring-8', `${NETWORK}.8`, { phase: 'Pending' }))
    api.put(COLLECTIONS.pods, podObject('ring-9', `${NETWORK}.9`, { deleting: true }))
    const late = makeMember(api, 4, { seeds: `pods:${PORT}`, check: false })
    await late.start(new AbortController().signal)
    await clock.until(() => living(late).length === 4, 15_000)
    // Two addresses of the other family, of the pods that wait and that go, would be counted here.
    expect(late.health().detail).toMatchObject({ seedAddresses: 3, seedFailures: 0, pods: 5 })
  })

  test('a member whose pod is deleted is dead everywhere within seconds, by the check of one', async () => {
    const { api, members } = await startCluster(4, `pods:${PORT}`, true)
    const [first, second, third, fourth] = members as [
      PodAwareSource,
      PodAwareSource,
      PodAwareSource,
      PodAwareSource,
    ]
    // The process ends without a word; its pod is still there.
    await fourth.stop()
    await clock.advance(300)
    api.remove(COLLECTIONS.pods, 'ring-4')
    for (const member of [first, second, third]) {
      await clock.until(() => stateOf(member, 'ring-4') === 'dead', 15_000)
    }
    const declared = [first, second, third].map((member) =>
      Number(member.health().detail['membersDeclaredDead']),
    )
    expect(Math.max(...declared)).toBe(1)
  })

  test('one that lives denies it, and is left alone from then on', async () => {
    const { api, members } = await startCluster(2, `pods:${PORT}`, true)
    const [first, second] = members as [PodAwareSource, PodAwareSource]
    let deaths = 0
    first.subscribe(() => {
      if (stateOf(first, 'ring-2') === 'dead') deaths += 1
    })
    api.remove(COLLECTIONS.pods, 'ring-2')
    await clock.until(() => deaths > 0, 15_000)
    await clock.until(() => stateOf(first, 'ring-2') === 'alive', 15_000)
    expect(stateOf(second, 'ring-1')).toBe('alive')
    const before = deaths
    await clock.advance(15_000)
    expect(deaths).toBe(before)
  })

  test('gossip starts and runs while the API server is away, and says what it lacks', async () => {
    const api = new FakeKubernetesApi(clock, seededRandom(1))
    api.forbidden.add(`list ${COLLECTIONS.pods}`)
    const logger = new RecordingLogger()
    const member = makeMember(api, 5, { seeds: `pods:${PORT}`, check: true, logger })
    await member.start(new AbortController().signal)
    expect(living(member)).toEqual(['ring-5'])
    await clock.until(() => logger.of('seed.unresolved').length > 0, 15_000)
    expect(logger.of('seed.unresolved')[0]?.fields['reason']).toBe('KUBERNETES_FORBIDDEN')
    const { ok, message } = member.health()
    expect(ok).toBe(false)
    expect(message).toContain('resources: ["pods"], verbs: ["list", "watch"]')
    expect(logger.of('kubernetes.failed').filter(({ level }) => level === 'warn')).toHaveLength(1)
  })
})
