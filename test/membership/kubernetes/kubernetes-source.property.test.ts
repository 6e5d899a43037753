import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { silentLogger } from '../../../src/logger.ts'
import type { Member } from '../../../src/membership/member.ts'
import { KubernetesSource } from '../../../src/membership/kubernetes/kubernetes-source.ts'
import { seededRandom } from '../../../lab/sim/seeded-random.ts'
import { COLLECTIONS, FakeKubernetesApi, type FakeFault } from '../../support/fake-kubernetes-api.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { SliceWorld, type Phase } from './slice-world.ts'
import { disturb, DISTURBANCES } from './watch-disturbances.ts'

/** Runs, by default as many as take a second or two; on a busy machine as many as fit into the time. */
const RUNS = Number(process.env['KUBERNETES_RUNS'] ?? 150)
const LIMIT_MS = process.env['KUBERNETES_RUNS'] === undefined ? 10_000 : 1_000_000

const pod = fc.nat(7)
const phase = fc.constantFrom<Phase>('serving', 'serving', 'unready', 'draining', 'terminating')

const fault = fc.oneof(
  fc.constant<FakeFault>({ kind: 'refuse' }),
  fc.constant<FakeFault>({ kind: 'hang' }),
  fc.constant<FakeFault>({ kind: 'mute' }),
  fc
    .constantFrom(400, 401, 403, 404, 410, 429, 500, 503, 504)
    .map((status) => ({ kind: 'status', status }) as const),
  fc.constant<FakeFault>({ kind: 'status', status: 429, retryAfterSeconds: 3 }),
  fc.record({ kind: fc.constant('cut' as const), afterBytes: fc.nat(900), clean: fc.boolean() }),
  fc
    .constantFrom(
      '',
      '{',
      'null',
      '[]',
      '{"metadata":{}}',
      '<html></html>',
      '{"items":{},"metadata":{"resourceVersion":"1"}}',
    )
    .map((text) => ({ kind: 'body', text }) as const),
)

/** Something that happens; the name is for counterexamples. */
interface Step {
  readonly name: string
  readonly happen: (world: SliceWorld, api: FakeKubernetesApi) => void
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(pod, phase)
      .map(([n, to]) => ({ name: `pod ${n} ${to}`, happen: (world: SliceWorld) => world.setPhase(n, to) })),
  },
  {
    weight: 3,
    arbitrary: pod.map((n) => ({ name: `pod ${n} gone`, happen: (world: SliceWorld) => world.remove(n) })),
  },
  {
    weight: 2,
    arbitrary: pod.map((n) => ({
      name: `pod ${n} replaced`,
      happen: (world: SliceWorld) => world.replace(n),
    })),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(pod, fc.nat(2)).map(([n, to]) => ({
      name: `pod ${n} to slice ${to}`,
      happen: (world: SliceWorld) => world.move(n, to),
    })),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Step>(
      { name: 'service deleted', happen: (world) => world.deleteService() },
      { name: 'service restored', happen: (world) => world.restoreService() },
      { name: 'history compacted', happen: (_world, api) => api.compact() },
      {
        name: 'token replaced',
        happen: (_world, api) => (api.tokens = new Set([`token-${api.requests.length}`])),
      },
    ),
  },
  {
    weight: 4,
    arbitrary: fc.constantFrom(...DISTURBANCES).map((kind) => ({
      name: kind,
      happen: (_: SliceWorld, api: FakeKubernetesApi) => disturb(kind, api.streams),
    })),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(fault, fc.integer({ min: 1, max: 4 })).map(([what, times]) => ({
      name: `${times} times ${JSON.stringify(what)}`,
      happen: (_: SliceWorld, api: FakeKubernetesApi) => {
        let left = times
        api.faultFor = () => (left-- > 0 ? what : undefined)
      },
    })),
  },
)

const history = fc.array(fc.tuple(step, fc.constantFrom(0, 0, 1, 20, 500, 1500, 12_000, 31_000, 95_000)), {
  maxLength: 40,
})

/** Longer than a stall, the longest wait after failures, the hold and a list together. */
const QUIET_MS = 300_000

test(
  'after any changes and faults the ring is what Kubernetes says, and on the way it is never made up',
  async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.integer(), fc.boolean(), async (steps, seed, bookmarks) => {
        const clock = new VirtualClock()
        const random = seededRandom(seed)
        const api = new FakeKubernetesApi(clock, random)
        api.chop = true
        if (!bookmarks) api.bookmarkEveryMs = 0
        const world = new SliceWorld(api)
        // The token file is read anew only when it was refused.
        let token: string | undefined
        const transport = api.transport(() => token)
        transport.renewCredentials = () => {
          token = [...(api.tokens ?? [])].at(-1)
        }
        world.setPhase(0, 'serving')
        world.setPhase(1, 'serving')
        const source = KubernetesSource.watching(
          {
            slices: { serviceName: 'cache' },
            listWatch: { pageSize: 2 },
            client: { lineLimitBytes: 20_000 },
          },
          { transport, clock, random, logger: silentLogger },
        )
        const check = (members: readonly Member[]) => {
          for (const { name, address, state } of members) {
            if (state === 'left') continue
            expect(world.everServed.has(`${name} ${address}`), `${name} at ${address} once served`).toBe(true)
          }
        }
        source.subscribe(check)
        await source.start(new AbortController().signal)
        let over = false
        source.done.then(
          () => (over = true),
          () => (over = true),
        )
        for (const [{ happen }, waitMs] of steps) {
          happen(world, api)
          await clock.advance(waitMs)
        }
        api.faultFor = () => undefined
        await clock.advance(QUIET_MS)
        expect(over).toBe(false)
        const places = source.members
          .filter(({ state }) => state === 'alive' || state === 'suspect')
          .map(({ name, address, state, metadata }) => `${name} ${address}:${metadata?.servicePort} ${state}`)
        expect(places).toEqual(world.truth().map((place) => `${place} alive`))
        expect(source.members.filter(({ state }) => state === 'left').map(({ name }) => name)).toEqual(
          world.terminating(),
        )
        // A watch that an earlier fault cuts only now is opened again in a moment, and is well once it has lasted for 5 s.
        if (!source.health().ok) await clock.advance(7000)
        // A Service that is not there is a problem of its own; apart from it all is well again.
        expect(source.health().ok).toBe(world.serviceExists)
        expect(api.watchCount).toBe(1)
        await source.stop()
        expect(api.openCount).toBe(0)
        expect(clock.pendingTimers).toBe(0)
      }),
      {
        numRuns: RUNS,
        interruptAfterTimeLimit: LIMIT_MS,
        markInterruptAsFailure: false,
      },
    )
  },
  LIMIT_MS + 10_000,
)

test('the fake API can tell a follower nothing that it does not know', () => {
  const api = new FakeKubernetesApi(new VirtualClock())
  const world = new SliceWorld(api)
  world.setPhase(3, 'serving')
  expect(api.objects(COLLECTIONS.slices)).not.toEqual([])
  expect(world.truth()).toEqual([expect.stringMatching(/^pod-3 10\.\d+\.\d+\.\d+:8000$/)])
})
