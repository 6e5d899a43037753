import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { isRingmanError } from '../../../src/errors.ts'
import { placeMembers } from '../../../src/membership/placement.ts'
import type { KubernetesSourceOptions } from '../../../src/membership/kubernetes/kubernetes-options.ts'
import { KubernetesSource } from '../../../src/membership/kubernetes/kubernetes-source.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../../support/fake-kubernetes-api.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { PHASES, sliceOf, type SlicePod } from './slice-fixtures.ts'

let clock: VirtualClock
let api: FakeKubernetesApi
let logger: RecordingLogger

beforeEach(() => {
  clock = new VirtualClock()
  api = new FakeKubernetesApi(clock, () => 0.9)
  logger = new RecordingLogger()
})

function makeSource(options: Partial<KubernetesSourceOptions> = {}): KubernetesSource {
  const source = KubernetesSource.watching(
    { slices: { serviceName: 'cache' }, ...options },
    { transport: api.transport(), clock, random: () => 0.5, logger },
  )
  onTestFinished(() => source.stop())
  return source
}

async function startSource(options: Partial<KubernetesSourceOptions> = {}): Promise<KubernetesSource> {
  const source = makeSource(options)
  await source.start(new AbortController().signal)
  return source
}

const put = (...pods: SlicePod[]) => api.put(COLLECTIONS.slices, sliceOf('cache-a', pods))
/** Fills a slice of its own with pods that serve, at addresses of their generation. */
const putMany = (slice: number, generation: number, count = 100) =>
  api.put(
    COLLECTIONS.slices,
    sliceOf(
      `cache-${slice}`,
      Array.from({ length: count }, (_, i) => ({
        name: `pod-${slice}-${i}`,
        address: `10.${generation}.${slice}.${i % 256}`,
        ...PHASES.serving,
      })),
    ),
  )
const a: SlicePod = { name: 'ring-0', address: '10.0.0.1', zone: 'z1', ...PHASES.serving }
const b: SlicePod = { name: 'ring-1', address: '10.0.0.2', zone: 'z2', ...PHASES.serving }
const states = (source: KubernetesSource) => source.members.map(({ name, state }) => `${name} ${state}`)

/** Starts, and lets virtual time pass until that has failed. */
async function failure(source: KubernetesSource, afterMs: number): Promise<string> {
  const outcome = source.start(new AbortController().signal).then(
    () => undefined,
    (error: unknown) => error,
  )
  await clock.advance(afterMs)
  const error = await outcome
  expect(isRingmanError(error) ? error.code : error).toBe('SOURCE_FAILED')
  return isRingmanError(error) ? error.message : ''
}

/** A clock by which every look takes longer than a turn of the event loop may, so that each step has a turn of its own. */
class SlowClock extends VirtualClock {
  #looks = 0

  override now(): number {
    return super.now() + ++this.#looks
  }
}

test('of thousands of members a change takes several turns, and what comes meanwhile or soon after is taken all at once', async () => {
  clock = new SlowClock()
  api = new FakeKubernetesApi(clock, () => 0.9)
  for (let i = 0; i < 20; i++) putMany(i, 0)
  const source = await startSource()
  expect(source.members).toHaveLength(2000)
  const published: number[] = []
  source.subscribe((members) => {
    published.push(members.filter(({ address }) => address.startsWith('10.1.')).length)
  })
  await clock.advance(1000)
  putMany(0, 1)
  await clock.advance(0)
  expect(published).toEqual([100])
  // The members of now stand for a while: a millisecond for each ten of them.
  for (let i = 1; i < 10; i++) {
    putMany(i, 1)
    await clock.advance(0)
  }
  expect(published).toEqual([100])
  await clock.advance(200)
  expect(published).toEqual([100, 1000])
  // The rest of the last change is not taken once the source is stopped.
  putMany(10, 1)
  await source.stop()
  await clock.advance(1000)
  expect(clock.pendingTimers).toBe(0)
  expect(source.members.filter(({ address }) => address.startsWith('10.1.'))).toHaveLength(1000)
})

test.each([
  [9, 0],
  [1010, 101],
  [6000, 500],
])('%i members stand for %i ms before they are made again', async (count, restMs) => {
  const countOf = (slice: number) => Math.min(1000, count - slice * 1000)
  for (let slice = 0; slice * 1000 < count; slice++) putMany(slice, 0, countOf(slice))
  const source = await startSource()
  expect(source.members).toHaveLength(count)
  let published = 0
  source.subscribe(() => published++)
  await clock.advance(1000)
  for (let generation = 1; generation <= 3; generation++) {
    putMany(0, generation, countOf(0))
    await clock.advance(0)
  }
  expect(published).toBe(restMs === 0 ? 3 : 1)
  await clock.advance(Math.max(0, restMs - 1))
  expect(published).toBe(restMs === 0 ? 3 : 1)
  await clock.advance(1)
  expect(published).toBe(restMs === 0 ? 3 : 2)
  expect(source.members[0]?.address).toMatch(/^10\.3\./)
})

describe('members', () => {
  test('are pods, with address, port and zone, and the ring is made of them', async () => {
    put(a, b)
    const source = await startSource()
    expect(source.members).toMatchObject([
      {
        name: 'ring-0',
        address: '10.0.0.1',
        port: 0,
        state: 'alive',
        metadata: { servicePort: '8000', zone: 'z1' },
      },
      {
        name: 'ring-1',
        address: '10.0.0.2',
        port: 0,
        state: 'alive',
        metadata: { servicePort: '8000', zone: 'z2' },
      },
    ])
    expect(placeMembers(source.members, 'address').map(({ ringKey }) => ringKey)).toEqual([
      '10.0.0.1:8000',
      '10.0.0.2:8000',
    ])
    expect(placeMembers(source.members, 'name').map(({ ringKey }) => ringKey)).toEqual(['ring-0', 'ring-1'])
    expect(source.selfName).toBeUndefined()
  })

  test('are found by labels in place of a Service, and by the port', async () => {
    const over = {
      labels: { tier: 'ring' },
      ports: [
        { name: 'app', port: 8000 },
        { name: 'x', port: 1 },
      ],
    }
    api.put(COLLECTIONS.slices, sliceOf('other', [a], over))
    api.put(COLLECTIONS.slices, sliceOf('cache-a', [b]))
    const source = await startSource({ slices: { labelSelector: 'tier in (ring,wheel)' }, port: 'app' })
    expect(states(source)).toEqual(['ring-0 alive'])
  })

  test('a change that changes no member publishes nothing', async () => {
    put(a, b)
    const source = await startSource()
    let published = 0
    source.subscribe(() => (published += 1))
    put(b, a)
    await clock.advance(10)
    expect(published).toBe(0)
    put(a, { ...b, address: '10.0.0.3' })
    await clock.advance(10)
    expect(published).toBe(1)
    expect(source.members.at(-1)).toMatchObject({ address: '10.0.0.3', state: 'alive' })
  })

  test('a restart keeps the place for the hold; a deletion does not', async () => {
    put(a, b)
    const source = await startSource({ holdRestartingMs: 20_000 })
    put({ ...a, ...PHASES.unready }, { ...b, ...PHASES.terminating })
    await clock.advance(10)
    expect(states(source)).toEqual(['ring-0 suspect', 'ring-1 left'])
    expect(placeMembers(source.members, 'name').map(({ name }) => name)).toEqual(['ring-0'])
    expect(source.health().detail).toMatchObject({ held: 1, members: 2 })
    await clock.advance(19_000)
    expect(states(source)).toEqual(['ring-0 suspect', 'ring-1 left'])
    await clock.advance(1000)
    expect(states(source)).toEqual(['ring-0 dead', 'ring-1 left'])
  })
})

test('what came from the API is counted', async () => {
  put(a)
  const source = await startSource()
  await clock.advance(0)
  put(a, b)
  api.bookmark()
  await clock.advance(500)
  expect(source.statistics()).toEqual({
    staleMs: 500,
    kubernetes: { lists: 1, watches: 1, changes: 1, bookmarks: 1, failures: 0 },
  })
  api.dropAll()
  await clock.advance(1000)
  expect(source.statistics().kubernetes).toMatchObject({ lists: 1, watches: 2, failures: 1 })
})

describe('while the API is away', () => {
  test('the last known ring stays, also one that is held beyond its time', async () => {
    put(a, b)
    const source = await startSource({ holdRestartingMs: 20_000 })
    put({ ...a, ...PHASES.unready }, b)
    await clock.advance(10)
    api.faultFor = () => ({ kind: 'refuse' })
    api.dropAll()
    put(a)
    await clock.advance(600_000)
    expect(states(source)).toEqual(['ring-0 suspect', 'ring-1 alive'])
    const { ok, message, detail } = source.health()
    expect(ok).toBe(false)
    expect(message).toMatch(/nothing for \d+ s/)
    expect(detail['secondsSinceConfirmed']).toBeGreaterThan(500)
    expect(detail['failuresInARow']).toBeGreaterThan(10)

    api.faultFor = () => undefined
    await clock.advance(40_000)
    expect(states(source)).toEqual(['ring-0 alive'])
    expect(source.health().ok).toBe(true)
  })

  test('health says so only when it lasts', async () => {
    put(a)
    const source = await startSource()
    api.faultFor = () => ({ kind: 'refuse' })
    api.dropAll()
    await clock.advance(100)
    expect(source.health().ok).toBe(true)
    await clock.advance(15_000)
    expect(source.health().ok).toBe(false)
  })
})

describe('start', () => {
  test('waits for an API server that comes late', async () => {
    put(a)
    api.faultFor = () => (clock.now() < 20_000 ? { kind: 'refuse' } : undefined)
    const source = makeSource()
    const started = source.start(new AbortController().signal)
    await clock.advance(29_000)
    await started
    expect(states(source)).toEqual(['ring-0 alive'])
  })

  test('fails with the reason after half a minute', async () => {
    api.forbidden.add(`list ${COLLECTIONS.slices}`)
    const message = await failure(makeSource(), 30_000)
    expect(message).toContain('Service "cache"')
    expect(message).toContain('endpointslices.discovery.k8s.io in the namespace "default"')
    expect(message).toContain(
      '{apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"]}',
    )
    expect(api.openCount).toBe(0)
  })
})

describe('a Service that is not as it should be', () => {
  test('one that does not exist is told of, and is followed once it does', async () => {
    const source = await startSource()
    expect(source.members).toEqual([])
    const { ok, message } = source.health()
    expect(ok).toBe(false)
    expect(message).toContain('Service "cache" has no EndpointSlice in the namespace "default"')
    expect(logger.of('service.absent')).toHaveLength(1)
    put(a)
    await clock.advance(10)
    expect(states(source)).toEqual(['ring-0 alive'])
    expect(source.health().ok).toBe(true)
  })

  test('one without endpoints is no problem', async () => {
    put()
    const source = await startSource()
    expect(source.health().ok).toBe(true)
    expect(logger.of('service.absent')).toEqual([])
  })

  test('one that is deleted and made anew keeps its ring', async () => {
    put(a, b)
    const source = await startSource()
    let published = 0
    source.subscribe(() => (published += 1))
    api.remove(COLLECTIONS.slices, 'cache-a')
    await clock.advance(10_000)
    put(a, b)
    await clock.advance(60_000)
    expect(published).toBe(0)
    api.remove(COLLECTIONS.slices, 'cache-a')
    await clock.advance(31_000)
    expect(source.members).toEqual([])
  })

  test('ports that do not fit are named, with the flag', async () => {
    put(a)
    const source = await startSource({ port: 'http' })
    const { ok, message } = source.health()
    expect(ok).toBe(false)
    expect(message).toContain('app=8000')
    expect(message).toContain('--kubernetes-port')
    expect(logger.of('endpoint.skipped')).toHaveLength(1)
  })

  test('with more endpoints than make a ring, the last ring stays', async () => {
    put(a)
    const source = await startSource()
    for (let slice = 0; slice < 11; slice++) {
      const pods = Array.from({ length: 1000 }, (_, n) => ({ name: `p-${slice}-${n}`, address: '10.0.0.1' }))
      api.put(COLLECTIONS.slices, sliceOf(`cache-${slice}`, pods))
    }
    await clock.advance(1000)
    expect(states(source).length).toBeLessThanOrEqual(10_001)
    expect(source.health().message).toContain('11001 endpoints')
    expect(logger.of('endpoint.refused')).toHaveLength(1)
    for (let slice = 0; slice < 11; slice++) api.remove(COLLECTIONS.slices, `cache-${slice}`)
    await clock.advance(2000)
    expect(states(source)).toEqual(['ring-0 alive'])
  })

  test('host names in place of addresses are told of', async () => {
    api.put(
      COLLECTIONS.slices,
      sliceOf('cache-a', [{ ...a, address: 'example.com' }], { addressType: 'FQDN' }),
    )
    await startSource()
    expect(logger.of('slice.skipped')).toHaveLength(1)
  })
})
