import { setImmediate } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { isRingmanError } from '../../src/errors.ts'
import type { HashRingController } from '../../src/rings/hash-ring-controller.ts'
import { COLLECTIONS } from '../support/fake-kubernetes-api.ts'
import { PHASES, type SlicePod } from '../membership/kubernetes/slice-fixtures.ts'
import { HashRingWorld } from './hash-ring-world.ts'

let world: HashRingWorld

beforeEach(() => {
  world = new HashRingWorld()
})

const serving = (...names: readonly string[]): SlicePod[] =>
  names.map((name, i) => ({ name, address: `10.0.0.${i + 1}`, ...PHASES.serving }))

/** The ring keys of a ring, or the code of the error. */
function ringOf(controller: HashRingController, name: string): string {
  try {
    return controller
      .get(name)
      .service.manager.snapshot.ring.nodes.map(({ ringKey }) => ringKey)
      .join(' ')
  } catch (error) {
    return isRingmanError(error) ? error.code : 'another error'
  }
}

describe('rings of HashRings', () => {
  test.each([
    ['a Service of a megabyte', { service: { name: 'x'.repeat(1_000_000) } }],
    ['a Service elsewhere', { service: { name: '../../secrets' } }],
    ['a port of a megabyte', { service: { name: 'cache', port: 'p'.repeat(1_000_000) } }],
    ['a ConfigMap elsewhere', { service: { name: 'cache' }, publish: { configMap: '../../secrets/x' } }],
    ['a key elsewhere', { service: { name: 'cache' }, publish: { key: '../x' } }],
    ['a hold of a megabyte', { service: { name: 'cache' }, hold: '9'.repeat(1_000_000) }],
    ['no spec', null],
  ])('one with %s makes no ring, and says so in short', async (_, spec) => {
    world.putRing('shop/odd', spec as object)
    world.putSlice('shop', 'cache', serving('cache-0'))
    const controller = await world.pod()
    world.writer(controller)
    await world.clock.advance(5000)
    expect(ringOf(controller, 'shop/odd')).toBe('RING_NOT_ACCEPTED')
    expect(world.condition('shop/odd', 'Accepted')).toBe('False Invalid')
    expect(JSON.stringify([world.status('shop/odd'), world.logger.lines]).length).toBeLessThan(10_000)
  })

  test('follow the endpoints of the Services that they name, in all namespaces, by one watch of each kind', async () => {
    world.putRing('shop/cache')
    world.putRing('bank/cache', { service: { name: 'ledger', port: 'app' }, ringKey: 'Address' })
    world.putSlice('shop', 'cache', serving('cache-0', 'cache-1'))
    world.putSlice('bank', 'ledger', serving('ledger-0'))
    world.putSlice('bank', 'cache', serving('other-0'))
    const controller = await world.pod()
    expect(ringOf(controller, 'shop/cache')).toBe('cache-0 cache-1')
    expect(ringOf(controller, 'bank/cache')).toBe('10.0.0.1:8000')
    expect(controller.readiness.ok).toBe(true)
    expect(world.api.watchCount).toBe(2)

    world.putSlice('shop', 'cache', serving('cache-0', 'cache-1', 'cache-2'))
    await world.clock.advance(20)
    expect(ringOf(controller, 'shop/cache')).toBe('cache-0 cache-1 cache-2')
  })

  test('keep no slice of a Service that no ring names: not of a list, not of a watch, not once the ring is gone', async () => {
    const putForeign = (from: number, to: number) => {
      for (let i = from; i < to; i++) world.putSlice('shop', `foreign-${i}`, serving(`foreign-${i}-0`))
    }
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('cache-0'))
    putForeign(0, 500)
    // Whoever holds more than two slices fails.
    const controller = await world.pod({ listWatch: { maxObjects: 2 } })
    expect(ringOf(controller, 'shop/cache')).toBe('cache-0')
    putForeign(250, 750)
    world.putSlice('shop', 'cache', serving('cache-0', 'cache-1'))
    await world.clock.advance(50)
    expect(ringOf(controller, 'shop/cache')).toBe('cache-0 cache-1')

    // Names that no ring has any more are foreign, too.
    for (let i = 0; i < 10; i++) {
      world.putRing('shop/cache', { service: { name: `foreign-${i}` } })
      await world.clock.advance(50)
      putForeign(0, 20)
      await world.clock.advance(50)
      expect(ringOf(controller, 'shop/cache')).toBe(`foreign-${i}-0`)
    }
    expect(controller.readiness.ok).toBe(true)
    expect(world.logger.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])

    // The bound itself: three slices of a Service that a ring names are too many.
    for (const part of ['b', 'c', 'd'])
      world.putSlice('shop', 'foreign-9', serving(part), `foreign-9-${part}`)
    await world.clock.advance(50)
    expect(world.logger.of('kubernetes.failed')).not.toEqual([])
  })

  test('that come later list their slices once by themselves, and follow from there', async () => {
    world.putSlice('shop', 'cache', serving('cache-0'))
    world.putSlice('shop', 'other', serving('other-0'))
    const controller = await world.pod()
    expect(ringOf(controller, 'shop/cache')).toBe('RING_NOT_FOUND')
    world.putRing('shop/cache')
    world.putRing('shop/twin')
    await world.clock.advance(50)
    expect(ringOf(controller, 'shop/cache')).toBe('cache-0')
    expect(ringOf(controller, 'shop/twin')).toBe('cache-0')
    world.putSlice('shop', 'cache', serving('cache-0', 'cache-1'))
    await world.clock.advance(50)
    expect(ringOf(controller, 'shop/cache')).toBe('cache-0 cache-1')
    world.removeRing('shop/cache')
    world.api.remove(COLLECTIONS.allSlices, 'shop/cache-a')
    await world.clock.advance(31_000)
    expect(ringOf(controller, 'shop/cache')).toBe('RING_NOT_FOUND')
    // A twin of the same Service goes on; its brake keeps what vanished.
    expect(ringOf(controller, 'shop/twin')).toBe('cache-0 cache-1')
  })

  test('change with their spec, without a moment in which nobody answers', async () => {
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('cache-0'))
    world.putSlice('shop', 'next', serving('next-0', 'next-1'))
    const controller = await world.pod()
    const before = controller.get('shop/cache')
    world.putRing('shop/cache', { service: { name: 'next' } }, { generation: 2 })
    const seen = new Set<string>()
    for (let i = 0; i < 40; i++) {
      await world.clock.advance(1)
      seen.add(ringOf(controller, 'shop/cache'))
    }
    expect([...seen]).toEqual(['cache-0', 'next-0 next-1'])
    expect(before.service.state).toBe('stopped')
    // What can be adjusted makes no other ring.
    const now = controller.get('shop/cache')
    world.putRing('shop/cache', { service: { name: 'next' }, hold: '1m', brake: '10%' }, { generation: 3 })
    await world.clock.advance(50)
    expect(controller.get('shop/cache')).toBe(now)
  })

  test.each([
    [{}, 'spec.service'],
    [{ service: {} }, 'spec.service.name'],
    [{ service: { name: 'cache' }, hold: '2h' }, 'spec.hold'],
    [{ service: { name: 'cache' }, brake: '101%' }, 'spec.brake'],
    [{ service: { name: 'cache' }, ringKey: 'Host' }, 'spec.ringKey'],
    [{ service: { name: 'cache' }, publish: { format: 'YAML' } }, 'spec.publish'],
  ])('that the API server should not have taken are refused with the reason: %j', async (spec, named) => {
    world.putRing('shop/cache', spec)
    const controller = await world.pod()
    expect(ringOf(controller, 'shop/cache')).toBe('RING_NOT_ACCEPTED')
    expect(() => controller.get('shop/cache')).toThrow(named)
    expect(controller.readiness.ok).toBe(true)
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('cache-0'))
    await world.clock.advance(1100)
    expect(ringOf(controller, 'shop/cache')).toBe('cache-0')
  })

  test('may be written to ConfigMaps where the installation allows it', async () => {
    world.putRing('shop/cache', { service: { name: 'cache' }, publish: {} })
    const controller = await world.pod({ mayPublish: false })
    expect(ringOf(controller, 'shop/cache')).toBe('RING_NOT_ACCEPTED')
  })

  test('of named namespaces are watched there alone', async () => {
    for (const namespace of ['shop', 'bank', 'other']) {
      world.putRing(`${namespace}/cache`)
      world.putSlice(namespace, 'cache', serving(namespace))
    }
    const controller = await world.pod({ namespaces: ['shop', 'bank'] })
    expect(world.api.requests.every(({ path }) => path.includes('/namespaces/'))).toBe(true)
    expect(controller.list().map(({ name }) => name)).toEqual(['bank/cache', 'shop/cache'])
    expect(ringOf(controller, 'bank/cache')).toBe('bank')
    expect(ringOf(controller, 'other/cache')).toBe('RING_NOT_FOUND')
  })
})

describe('the brake', () => {
  const unready = (...names: readonly string[]): SlicePod[] =>
    names.map((name, i) => ({ name, address: `10.0.1.${i + 1}`, ...PHASES.unready }))

  test('keeps a ring, says so, and lets it go by an annotation with its digest', async () => {
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a', 'b', 'c', 'd'))
    const controller = await world.pod()
    world.putSlice('shop', 'cache', [...serving('a'), ...unready('b', 'c', 'd')])
    await world.clock.advance(60_000)
    expect(ringOf(controller, 'shop/cache')).toBe('a b c d')
    const ring = controller.get('shop/cache')
    expect(ring.service.health().condition).toBe('braked')
    expect(world.logger.lines.map(({ fields }) => fields['event'])).toContain('brake.on')

    const { digest } = ring.service.manager.snapshot.ring
    const spec = { service: { name: 'cache' } }
    world.putRing('shop/cache', spec, { annotations: { 'ringman.dev/accept-loss': 'another' } })
    await world.clock.advance(50)
    expect(ringOf(controller, 'shop/cache')).toBe('a b c d')
    world.putRing('shop/cache', spec, { annotations: { 'ringman.dev/accept-loss': digest } })
    await world.clock.advance(50)
    expect(ringOf(controller, 'shop/cache')).toBe('a')
  })

  test('is told of while the API server is away too, so that a pod which starts takes it over', async () => {
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a', 'b', 'c', 'd'))
    const controller = await world.pod()
    world.putSlice('shop', 'cache', [...serving('a'), ...unready('b', 'c', 'd')])
    await world.clock.advance(1000)
    world.api.faultFor = () => ({ kind: 'refuse' })
    world.api.dropAll()
    await world.clock.advance(60_000)
    const ring = controller.get('shop/cache')
    expect(ring.service.health().condition).toBe('stale')
    expect(ring.braked).toBe(true)
  })

  test('and who is held are taken over from another pod by one that starts', async () => {
    world.putRing('shop/braked')
    world.putRing('shop/held', { service: { name: 'held' } })
    world.putSlice('shop', 'cache', serving('a'))
    world.putSlice('shop', 'held', [...serving('h0'), ...unready('h1')])
    const nodes = ['a', 'b', 'c'].map((ringKey) => ({
      ringKey,
      weight: 1,
      name: ringKey,
      address: '10.0.0.9',
      port: 80,
    }))
    const sinceMs = world.clock.wallNow() - 20_000
    const peers = world.peers({
      from: 'ringman-1',
      url: '',
      rings: new Map([
        ['shop/braked', { ringKey: 'name', braked: true, nodes, heldSinceMs: new Map() }],
        [
          'shop/held',
          { ringKey: 'name', braked: false, nodes: undefined, heldSinceMs: new Map([['h1', sinceMs]]) },
        ],
      ]),
    })
    const controller = await world.pod({ peers })
    // The rings are those of the API server, which answers.
    expect(world.logger.of('rings.taken')).toEqual([])
    expect(ringOf(controller, 'shop/braked')).toBe('a b c')
    expect(ringOf(controller, 'shop/held')).toBe('h0 h1')
    await world.clock.advance(12_000)
    expect(ringOf(controller, 'shop/held')).toBe('h0')
  })
})

describe('an API server that is away', () => {
  test('at the start: the rings are another pod’s until it answers', async () => {
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a', 'b'))
    world.api.faultFor = () => ({ kind: 'refuse' })
    const node = (ringKey: string) => ({ ringKey, weight: 1, name: ringKey, address: '10.0.0.9', port: 80 })
    const peers = world.peers({
      from: 'ringman-1',
      url: '',
      rings: new Map([
        ['shop/cache', { ringKey: 'name', braked: false, nodes: [node('a')], heldSinceMs: new Map() }],
      ]),
    })
    const controller = await world.pod({ peers })
    expect(ringOf(controller, 'shop/cache')).toBe('RINGS_NOT_LISTED')
    expect(controller.readiness.ok).toBe(false)
    const advanced = world.clock.advance(5000)
    while (!controller.readiness.ok) await setImmediate()
    expect(ringOf(controller, 'shop/cache')).toBe('a')
    await advanced
    expect(controller.get('shop/cache').service.health().condition).toBe('stale')
    expect(controller.readiness).toMatchObject({
      ok: true,
      message: expect.stringContaining('ringman-1') as string,
    })

    world.api.faultFor = () => undefined
    await world.clock.advance(40_000)
    expect(ringOf(controller, 'shop/cache')).toBe('a b')
    expect(controller.get('shop/cache').service.health().ok).toBe(true)
  })

  test('at the start, before any other pod is known: they are asked again until one has rings', async () => {
    world.putRing('shop/cache')
    world.api.faultFor = () => ({ kind: 'refuse' })
    const peers = world.peers()
    const controller = await world.pod({ peers })
    await world.clock.advance(20_000)
    expect(controller.readiness.ok).toBe(false)
    const nodes = [{ ringKey: 'a', weight: 1, name: 'a', address: '10.0.0.9', port: 80 }]
    peers.kept = {
      from: 'ringman-1',
      url: '',
      rings: new Map([['shop/cache', { ringKey: 'name', braked: false, nodes, heldSinceMs: new Map() }]]),
    }
    await world.clock.advance(1000)
    expect(ringOf(controller, 'shop/cache')).toBe('a')
    expect(controller.readiness.ok).toBe(true)
  })

  test('later on: all rings stay, and nobody loses a place', async () => {
    world.putRing('shop/cache')
    world.putSlice('shop', 'cache', serving('a', 'b'))
    const controller = await world.pod()
    world.api.faultFor = () => ({ kind: 'refuse' })
    world.api.dropAll()
    await world.clock.advance(3_600_000)
    expect(ringOf(controller, 'shop/cache')).toBe('a b')
    expect(controller.get('shop/cache').service.health().condition).toBe('stale')
    world.api.faultFor = () => undefined
    world.putSlice('shop', 'cache', serving('a', 'b', 'c'))
    await world.clock.advance(60_000)
    expect(ringOf(controller, 'shop/cache')).toBe('a b c')
  })
})
