import { beforeEach, describe, expect, test } from 'vitest'
import { COLLECTIONS, type FakeObject } from '../support/fake-kubernetes-api.ts'
import { PHASES, type SlicePod } from '../membership/kubernetes/slice-fixtures.ts'
import { HashRingWorld } from './hash-ring-world.ts'

let world: HashRingWorld

beforeEach(() => {
  world = new HashRingWorld()
})

const serving = (...names: readonly string[]): SlicePod[] =>
  names.map((name, i) => ({ name, address: `10.0.0.${i + 1}`, zone: 'z1', ...PHASES.serving }))

/** Has a pod write the status of `shop/cache`, a ring of these pods of a workload, and gives it time to. */
async function written(pods: readonly SlicePod[], spec?: object) {
  world.putRing('shop/cache', spec)
  world.putSlice('shop', 'cache', pods)
  const controller = await world.pod()
  const writer = world.writer(controller)
  await world.clock.advance(3000)
  return { controller, writer }
}

const statusWrites = () => world.api.writes.filter(({ path }) => path.endsWith('/status'))
const events = () =>
  world.api.writes.filter(({ path }) => path.endsWith('/events')).map(({ body }) => body['note'])

describe('the status', () => {
  test('says what the ring is, and each published ring gets the next number', async () => {
    const { controller } = await written(serving('a', 'b'))
    const ring = controller.get('shop/cache')
    expect(world.status('shop/cache')).toMatchObject({
      observedGeneration: 1,
      version: 1,
      digest: ring.service.manager.snapshot.ring.digest,
      nodeCount: 2,
      onRingCount: 2,
      nodes: [
        { name: 'a', address: '10.0.0.1', port: 8000, zone: 'z1', state: 'alive' },
        { name: 'b', address: '10.0.0.2', port: 8000, zone: 'z1', state: 'alive' },
      ],
      lastChange: { cause: 'joined', node: 'a', count: 2 },
    })
    expect(world.condition('shop/cache', 'Accepted')).toBe('True Accepted')
    expect(world.condition('shop/cache', 'Ready')).toBe('True RingReady')
    expect(world.condition('shop/cache', 'Degraded')).toBe('False AsExpected')
    expect(world.condition('shop/cache', 'Settled')).toBe('True SameRing')
    expect(ring.version).toBe(1)

    // Another address and the same digest is another ring all the same.
    const [a, b] = serving('a', 'b')
    world.putSlice('shop', 'cache', [a!, { ...b!, address: '10.0.0.77' }])
    await world.clock.advance(1000)
    expect(world.status('shop/cache')).toMatchObject({
      version: 2,
      lastChange: { cause: 'updated', node: 'b' },
    })
    expect(ring.version).toBe(2)
    expect(events()).toEqual([
      '2 nodes: joined, 0.00% of the keys moved; version 1 has 2 nodes',
      'b: updated, 0.00% of the keys moved; version 2 has 2 nodes',
    ])
  })

  test('of a HashRing that is made later says just as soon whether all pods hold its ring', async () => {
    world.writer(await world.pod())
    await world.clock.advance(20_000)
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a', 'b'))
    await world.clock.advance(4000)
    expect(world.condition('shop/cache', 'Settled')).toBe('True SameRing')
  })

  test('a change of one endpoint costs one write, or two; nothing that stays costs any', async () => {
    await written(serving('a', 'b'))
    await world.clock.advance(60_000)
    const before = statusWrites().length
    await world.clock.advance(3_600_000)
    expect(statusWrites()).toHaveLength(before)
    world.putSlice('shop', 'cache', serving('a', 'b', 'c'))
    await world.clock.advance(60_000)
    expect(statusWrites().length - before).toBeLessThanOrEqual(2)
    expect(world.status('shop/cache')).toMatchObject({ version: 2, onRingCount: 3 })
  })

  test('a workload that flaps makes no flood of writes and events', async () => {
    world.putRing('shop/cache')
    const controller = await world.pod()
    world.writer(controller)
    for (let i = 0; i < 600; i++) {
      world.putSlice('shop', 'cache', i % 2 === 0 ? serving('a', 'b', 'c') : serving('a', 'b'))
      await world.clock.advance(1500)
    }
    // In a quarter of an hour.
    expect(statusWrites().length).toBeLessThan(110)
    expect(events().length).toBeLessThan(110)
    await world.clock.advance(20_000)
    expect(world.status('shop/cache')).toMatchObject({ onRingCount: 2 })
  })

  test.each([
    ['no slice', () => {}, 'Accepted', 'False NoEndpointSlices'],
    [
      'several ports',
      () => {
        const ports = [
          { name: 'x', port: 1 },
          { name: 'y', port: 2 },
        ]
        const slice = {
          metadata: { name: 's', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'cache' } },
        }
        const endpoints = [{ addresses: ['10.0.0.1'] }]
        world.api.put(COLLECTIONS.allSlices, { ...slice, addressType: 'IPv4', ports, endpoints })
      },
      'Accepted',
      'False PortAmbiguous',
    ],
    ['no endpoint', () => world.putSlice('shop', 'cache', []), 'Ready', 'False RingEmpty'],
  ])('says what is wrong: %s', async (_, arrange, type, wanted) => {
    world.putRing('shop/cache')
    arrange()
    world.writer(await world.pod())
    await world.clock.advance(3000)
    expect(world.condition('shop/cache', type)).toBe(wanted)
  })

  test('of a spec that makes no ring has no ring, and keeps its number', async () => {
    await written(serving('a'))
    world.putRing('shop/cache', { service: { name: 'cache' }, brake: 'much' }, { generation: 2 })
    await world.clock.advance(3000)
    expect(world.condition('shop/cache', 'Accepted')).toBe('False Invalid')
    expect(world.status('shop/cache')).toMatchObject({ observedGeneration: 2, version: 1 })
    expect(world.status('shop/cache')).not.toHaveProperty('digest')
    world.putRing('shop/cache', { service: { name: 'cache' } }, { generation: 3 })
    world.putSlice('shop', 'cache', serving('a', 'b'))
    await world.clock.advance(5000)
    expect(world.status('shop/cache')).toMatchObject({ version: 2 })
  })

  test('says that the brake is on, and how to accept the loss', async () => {
    const { controller } = await written(serving('a', 'b', 'c'))
    world.putSlice('shop', 'cache', [
      ...serving('a'),
      ...['b', 'c'].map((name) => ({ name, address: '10.0.0.9', ...PHASES.unready })),
    ])
    await world.clock.advance(3000)
    expect(world.condition('shop/cache', 'Degraded')).toBe('True BrakeOn')
    const { digest } = controller.get('shop/cache').service.manager.snapshot.ring
    expect(JSON.stringify(world.status('shop/cache')['conditions'])).toContain(
      `ringman.dev/accept-loss=${digest}`,
    )
  })
})

describe('who writes it', () => {
  test('is the pod that owns the name; two that both believe so do no harm', async () => {
    world.putRing('shop/cache')
    world.putRing('shop/other', { service: { name: 'other' } })
    world.putSlice('shop', 'cache', serving('a'))
    world.putSlice('shop', 'other', serving('x'))
    const one = await world.pod()
    const two = await world.pod()
    world.writer(one, world.peers(), (name) => name === 'shop/cache')
    world.writer(two, world.peers(), () => true)
    await world.clock.advance(5000)
    expect(world.status('shop/cache')).toMatchObject({ version: 1 })
    for (let i = 2; i <= 5; i++) {
      world.putSlice('shop', 'cache', serving(...['a', 'b', 'c', 'd', 'e'].slice(0, i)))
      await world.clock.advance(15_000)
      expect(world.status('shop/cache')).toMatchObject({ version: i, onRingCount: i })
    }
    // Each version was written once.
    const versions = statusWrites()
      .filter(({ path }) => path.includes('/cache/'))
      .map(({ body }) => (body['status'] as { version: number }).version)
    expect([...new Set(versions)]).toEqual([1, 2, 3, 4, 5])
  })

  test('never numbers a ring that the slices have gone past', async () => {
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a'))
    const fresh = await world.pod()
    const behind = await world.pod()
    const [stalled] = world.api.streams.slice(-1)
    world.writer(fresh)
    await world.clock.advance(5000)
    // The watch of one pod brings nothing more; what it holds is old.
    stalled?.silence()
    world.putSlice('shop', 'cache', serving('a', 'b'))
    await world.clock.advance(5000)
    expect(world.status('shop/cache')).toMatchObject({ version: 2, onRingCount: 2 })
    expect(behind.get('shop/cache').service.manager.snapshot.ring.size).toBe(1)
    const writes = statusWrites().length
    world.writer(behind)
    await world.clock.advance(30_000)
    expect(statusWrites()).toHaveLength(writes)
    expect(world.status('shop/cache')).toMatchObject({ version: 2, onRingCount: 2 })
  })

  test('goes on numbering where the one before stopped, and from the beginning for a new object', async () => {
    const { controller: first, writer } = await written(serving('a'))
    await writer.stop()
    await first.stop()
    world.putSlice('shop', 'cache', serving('a', 'b'))
    const second = await world.pod()
    world.writer(second)
    await world.clock.advance(5000)
    expect(world.status('shop/cache')).toMatchObject({ version: 2 })
    world.removeRing('shop/cache')
    await world.clock.advance(100)
    world.putRing('shop/cache', { service: { name: 'cache' } }, { uid: 'another' })
    await world.clock.advance(5000)
    expect(world.status('shop/cache')).toMatchObject({ version: 1 })
  })
})

describe('whether all pods hold the ring', () => {
  test('is False after five seconds of difference, and True again', async () => {
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a'))
    const controller = await world.pod()
    const peers = world.peers()
    const told = (fingerprint: string) => new Map([['ringman-1', new Map([['shop/cache', fingerprint]])]])
    peers.told = told(controller.get('shop/cache').fingerprint)
    world.writer(controller, peers)
    await world.clock.advance(3000)
    expect(world.condition('shop/cache', 'Settled')).toBe('True SameRing')
    peers.told = told('another')
    await world.clock.advance(4000)
    expect(world.condition('shop/cache', 'Settled')).toBe('True SameRing')
    await world.clock.advance(20_000)
    expect(world.condition('shop/cache', 'Settled')).toBe('False RingsDiffer')
    peers.told = new Map([['ringman-1', undefined]])
    await world.clock.advance(20_000)
    expect(JSON.stringify(world.status('shop/cache')['conditions'])).toContain('ringman-1 (no answer)')
    peers.told = told(controller.get('shop/cache').fingerprint)
    await world.clock.advance(20_000)
    expect(world.condition('shop/cache', 'Settled')).toBe('True SameRing')
  })
})

describe('a ring in a ConfigMap', () => {
  interface ConfigMap extends FakeObject {
    readonly data: Readonly<Record<string, string>>
  }
  const map = (name = 'cache') =>
    world.api.get(COLLECTIONS.configMaps, `shop/${name}`) as ConfigMap | undefined
  const versionOf = (name = 'cache') => map(name)?.metadata.resourceVersion
  const data = (key: string, name?: string): unknown => JSON.parse(map(name)?.data[key] ?? 'null')

  test('is ringman’s JSON, owned by the HashRing, and follows it', async () => {
    await written(serving('a', 'b'), { service: { name: 'cache' }, publish: { configMap: 'cache-ring' } })
    expect(map('cache-ring')?.metadata).toMatchObject({
      ownerReferences: [{ kind: 'HashRing', name: 'cache', uid: 'uid-shop/cache' }],
    })
    expect(data('ring.json', 'cache-ring')).toMatchObject({
      version: 1,
      nodes: [{ ringKey: 'a' }, { ringKey: 'b' }],
    })
    const first = versionOf('cache-ring')
    await world.clock.advance(3_600_000)
    expect(versionOf('cache-ring')).toBe(first)
    world.putSlice('shop', 'cache', serving('a', 'b', 'c'))
    await world.clock.advance(60_000)
    expect(data('ring.json', 'cache-ring')).toMatchObject({
      version: 2,
      nodes: [{}, {}, { ringKey: 'c' }],
    })
    expect(world.status('shop/cache')['publishedVersion']).toBe(2)
  })

  test('is the file that Thanos reads, and never an empty one', async () => {
    await written(serving('a', 'b'), {
      service: { name: 'cache' },
      brake: '100%',
      publish: { format: 'Thanos' },
    })
    const wanted = [{ hashring: 'cache', endpoints: ['10.0.0.1:8000', '10.0.0.2:8000'] }]
    expect(data('hashrings.json')).toEqual(wanted)
    world.putSlice('shop', 'cache', [])
    await world.clock.advance(3000)
    expect(world.status('shop/cache')).toMatchObject({ onRingCount: 0, version: 2, publishedVersion: 1 })
    expect(data('hashrings.json')).toEqual(wanted)
  })

  test('that belongs to somebody else is left as it is, and becomes the HashRing’s where they say so', async () => {
    const theirs = { metadata: { name: 'cache', namespace: 'shop' }, data: { password: 'x' } }
    world.api.put(COLLECTIONS.configMaps, theirs)
    const before = map()
    world.putRing('shop/cache', { service: { name: 'cache' }, publish: {} })
    world.putSlice('shop', 'cache', serving('a'))
    world.writer(await world.pod())
    await world.clock.advance(30_000)
    expect(map()).toEqual(before)
    expect(world.condition('shop/cache', 'Degraded')).toBe('True PublishFailed')
    const text = JSON.stringify(world.status('shop/cache')['conditions'])
    expect(text).toContain('does not belong to this HashRing')
    const [, annotation = '', uid = ''] = /--overwrite (\S+)=(\S+) /.exec(text) ?? []
    const annotations = { [annotation]: uid }
    world.api.put(COLLECTIONS.configMaps, { ...theirs, metadata: { ...theirs.metadata, annotations } })
    await world.clock.advance(15_000)
    expect(data('ring.json')).toMatchObject({ version: 1 })
    expect(world.condition('shop/cache', 'Degraded')).toBe('False AsExpected')
  })

  test('of a HashRing that was deleted is not taken by the next one of its name, before it is gone', async () => {
    await written(serving('a'), { service: { name: 'cache' }, publish: {} })
    world.removeRing('shop/cache')
    world.putRing('shop/cache', { service: { name: 'cache' }, publish: {} }, { uid: 'another' })
    await world.clock.advance(3000)
    expect(world.condition('shop/cache', 'Degraded')).toBe('True PublishFailed')
    world.api.remove(COLLECTIONS.configMaps, 'shop/cache')
    await world.clock.advance(15_000)
    expect(map()?.metadata).toMatchObject({ ownerReferences: [{ uid: 'another' }] })
    expect(world.condition('shop/cache', 'Degraded')).toBe('False AsExpected')
  })

  test('is put right when somebody deletes or changes it, and written to the next one when its name changes', async () => {
    await written(serving('a'), { service: { name: 'cache' }, publish: {} })
    world.api.put(COLLECTIONS.configMaps, { ...map()!, data: { other: 'x' } })
    await world.clock.advance(310_000)
    expect(Object.keys(map()?.data ?? {})).toEqual(['ring.json'])
    world.api.remove(COLLECTIONS.configMaps, 'shop/cache')
    await world.clock.advance(310_000)
    expect(data('ring.json')).toMatchObject({ version: 1 })
    const spec = { service: { name: 'cache' }, publish: { configMap: 'other' } }
    world.putRing('shop/cache', spec, { generation: 2 })
    await world.clock.advance(5000)
    expect(data('ring.json', 'other')).toMatchObject({ version: 1 })
  })

  test('never goes back to an older ring', async () => {
    const { controller, writer } = await written(serving('a'), { service: { name: 'cache' }, publish: {} })
    await writer.stop()
    // Another pod was faster: what it wrote is newer than what this one is about to write.
    const { metadata } = map()!
    const annotations = { ...metadata.annotations, 'ringman.dev/version': '7' }
    world.api.put(COLLECTIONS.configMaps, {
      ...map()!,
      metadata: { ...metadata, annotations },
      data: { 'ring.json': '7' },
    })
    world.writer(controller)
    await world.clock.advance(600_000)
    expect(map()?.data).toEqual({ 'ring.json': '7' })
  })

  test('that cannot be written makes the ring Degraded, and is not asked for all the time', async () => {
    world.putRing('shop/cache', { service: { name: 'cache' }, publish: {} })
    world.putSlice('shop', 'cache', serving('a'))
    world.api.faultFor = ({ path }) =>
      path.includes('/configmaps/') ? { kind: 'status', status: 403 } : undefined
    world.writer(await world.pod())
    await world.clock.advance(30_000)
    expect(world.condition('shop/cache', 'Degraded')).toBe('True PublishFailed')
    expect(world.api.requests.filter(({ path }) => path.includes('/configmaps/')).length).toBeLessThan(6)
    world.api.faultFor = () => undefined
    await world.clock.advance(60_000)
    expect(world.condition('shop/cache', 'Degraded')).toBe('False AsExpected')
  })
})

describe('two installations that watch one namespace', () => {
  test('are told of in a condition, and do not write the status in turns', async () => {
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a'))
    const [one, two] = [await world.pod(), await world.pod()]
    world.writer(one, world.peers(), () => true, 'rings/a')
    await world.clock.advance(5000)
    const second = world.writer(two, world.peers(), () => true, 'ops/b')
    await world.clock.advance(5000)
    expect(world.status('shop/cache')).toMatchObject({
      installation: { name: 'rings/a' },
      otherInstallations: [{ name: 'ops/b' }],
    })
    expect(world.condition('shop/cache', 'Degraded')).toBe('True SeveralInstallations')
    expect(JSON.stringify(world.status('shop/cache')['conditions'])).toContain(
      'ops/b makes this ring as well',
    )
    const before = statusWrites().length
    await world.clock.advance(2 * 3_600_000)
    // Each says so twice an hour.
    expect(statusWrites().length - before).toBeLessThanOrEqual(4 * 2)
    for (let i = 2; i <= 5; i++) {
      world.putSlice('shop', 'cache', serving(...['a', 'b', 'c', 'd', 'e'].slice(0, i)))
      await world.clock.advance(60_000)
      expect(world.status('shop/cache')).toMatchObject({ version: i, installation: { name: 'rings/a' } })
    }
    expect(two.get('shop/cache').version).toBe(5)

    await second.stop()
    await world.clock.advance(3_700_000)
    expect(world.status('shop/cache')).not.toHaveProperty('otherInstallations')
    expect(world.condition('shop/cache', 'Degraded')).toBe('False AsExpected')
  })

  test('of which the one that writes goes: the other one takes its place, and goes on numbering', async () => {
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a'))
    const [one, two] = [await world.pod(), await world.pod()]
    const first = world.writer(one, world.peers(), () => true, 'rings/a')
    await world.clock.advance(5000)
    world.writer(two, world.peers(), () => true, 'ops/b')
    await world.clock.advance(5000)
    await first.stop()
    world.putSlice('shop', 'cache', serving('a', 'b'))
    await world.clock.advance(180_000)
    const { otherInstallations, ...status } = world.status('shop/cache')
    expect(otherInstallations).toBeUndefined()
    expect(status).toMatchObject({ version: 2, installation: { name: 'ops/b' } })
    expect(world.condition('shop/cache', 'Degraded')).toBe('False AsExpected')
  })

  test('of which the first was uninstalled before the second came', async () => {
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a'))
    const first = world.writer(await world.pod(), world.peers(), () => true, 'rings/a')
    await world.clock.advance(5000)
    await first.stop()
    world.putSlice('shop', 'cache', serving('a', 'b'))
    world.writer(await world.pod(), world.peers(), () => true, 'rings/b')
    await world.clock.advance(70_000)
    expect(world.status('shop/cache')).toMatchObject({ version: 2, installation: { name: 'rings/b' } })
  })

  test('that start at once end with one writer', async () => {
    const controllers = [await world.pod(), await world.pod(), await world.pod()]
    controllers.forEach((controller, i) => world.writer(controller, world.peers(), () => true, `rings/${i}`))
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a'))
    await world.clock.advance(120_000)
    const { installation, otherInstallations } = world.status('shop/cache') as {
      installation: { name: string }
      otherInstallations: { name: string }[]
    }
    expect([installation, ...otherInstallations].map(({ name }) => name).toSorted()).toEqual([
      'rings/0',
      'rings/1',
      'rings/2',
    ])
    const before = statusWrites().length
    await world.clock.advance(1_200_000)
    expect(statusWrites()).toHaveLength(before)
  })
})
