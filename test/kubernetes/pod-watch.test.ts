import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { apiErrorKindOf } from '../../src/kubernetes/api-error.ts'
import { PodWatch } from '../../src/kubernetes/pod-watch.ts'
import { silentLogger } from '../../src/logger.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../support/fake-kubernetes-api.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

let clock: VirtualClock
let api: FakeKubernetesApi
let watch: PodWatch

beforeEach(() => {
  clock = new VirtualClock()
  api = new FakeKubernetesApi(clock)
  watch = new PodWatch({
    transport: api.transport(),
    selector: 'app=ring',
    clock,
    random: () => 0.5,
    logger: silentLogger,
  })
  onTestFinished(async () => {
    await watch.stop()
    expect(clock.pendingTimers).toBe(0)
    expect(api.openCount).toBe(0)
  })
})

function put(
  name: string,
  address: string,
  over: { phase?: string; labels?: Record<string, string> } = {},
): void {
  api.put(COLLECTIONS.pods, {
    metadata: { name, labels: over.labels ?? { app: 'ring' } },
    status: { phase: over.phase ?? 'Running', podIP: address },
  })
}

const never = () => new AbortController().signal

/** The `code` with which a promise rejects, as the seed resolver logs it. */
async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => (error as { code?: unknown }).code,
  )
}

describe('addresses', () => {
  test('are those of pods that run and have the labels, once they were listed', async () => {
    put('a', '10.0.0.1')
    put('b', '10.0.0.2', { phase: 'Pending' })
    put('c', '10.0.0.3', { labels: { app: 'other' } })
    watch.start()
    expect(await watch.addresses(never())).toEqual(['10.0.0.1'])
    put('b', '10.0.0.2')
    await clock.advance(10)
    expect(await watch.addresses(never())).toEqual(['10.0.0.1', '10.0.0.2'])
    expect(api.requests.filter(({ verb }) => verb === 'list')).toHaveLength(1)
  })

  test('have the reason as their code when they cannot be had, at once', async () => {
    api.forbidden.add(`list ${COLLECTIONS.pods}`)
    watch.start()
    expect(await codeOf(watch.addresses(never()))).toBe('KUBERNETES_FORBIDDEN')
    expect(await codeOf(watch.addresses(never()))).toBe('KUBERNETES_FORBIDDEN')
    api.forbidden.clear()
    await clock.advance(60_000)
    expect(await watch.addresses(never())).toEqual([])
  })

  test('are not waited for longer than the asker wants', async () => {
    api.faultFor = () => ({ kind: 'hang' })
    watch.start()
    const abort = new AbortController()
    const asked = codeOf(watch.addresses(abort.signal))
    abort.abort()
    expect(await asked).toBe('ECANCELLED')
  })

  test('stay for a while when the API server is away, and are no seeds any more after that', async () => {
    put('a', '10.0.0.1')
    watch.start()
    await watch.addresses(never())
    api.faultFor = () => ({ kind: 'refuse' })
    api.dropAll()
    await clock.advance(240_000)
    expect(await watch.addresses(never())).toEqual(['10.0.0.1'])
    await clock.advance(120_000)
    expect(await codeOf(watch.addresses(never()))).toBe('KUBERNETES_UNREACHABLE')
  })
})

describe('find', () => {
  test('asks for the pod by name, whatever its labels, and not the watch', async () => {
    put('c', '10.0.0.3', { labels: { app: 'other' } })
    expect(await watch.find('c', never())).toMatchObject({ name: 'c', addresses: ['10.0.0.3'] })
    expect(await watch.find('d', never())).toBeUndefined()
    expect(api.requests.map(({ query }) => query.get('fieldSelector'))).toEqual([
      'metadata.name=c',
      'metadata.name=d',
    ])
    expect(api.requests.every(({ query }) => !query.has('resourceVersion'))).toBe(true)
  })

  test('does not take another pod for the one that was asked for, nor a failure for an absence', async () => {
    const outcome = async () =>
      watch.find('c', never()).then(
        (pod) => pod,
        (error: unknown) => apiErrorKindOf(error),
      )
    const body = (items: unknown[]) => JSON.stringify({ metadata: { resourceVersion: '1' }, items })
    const other = { metadata: { name: 'other', uid: 'u' } }
    for (const text of [body([other]), body([other, other]), body([{}]), body([7])]) {
      api.faultFor = () => ({ kind: 'body', text })
      expect(await outcome()).toBe('malformed')
    }
    api.faultFor = () => ({ kind: 'status', status: 404 })
    expect(await outcome()).toBe('not-found')
    api.faultFor = () => ({ kind: 'refuse' })
    expect(await outcome()).toBe('unreachable')
  })
})
