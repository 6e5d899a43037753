import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { ApiClient, type ApiClientSettings } from '../../src/kubernetes/api-client.ts'
import type { ApiTransport } from '../../src/kubernetes/api-transport.ts'
import { ListWatch, type ListWatchSettings } from '../../src/kubernetes/list-watch.ts'
import { PODS } from '../../src/kubernetes/api-resource.ts'
import { parsePod, type Pod } from '../../src/kubernetes/pod-watch.ts'
import {
  COLLECTIONS,
  FakeKubernetesApi,
  type FakeFault,
  type FakeObject,
} from '../support/fake-kubernetes-api.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

let clock: VirtualClock
let api: FakeKubernetesApi
let logger: RecordingLogger

beforeEach(() => {
  clock = new VirtualClock()
  // 0.9 makes the fake say "expired" within the stream's status.
  api = new FakeKubernetesApi(clock, () => 0.9)
  logger = new RecordingLogger()
})

const pod = (name: string): FakeObject => ({
  metadata: { name, uid: `uid-${name}` },
  status: { phase: 'Running', podIP: '10.0.0.1' },
})

const put = (name: string) => api.put(COLLECTIONS.pods, pod(name))

function follow(
  options: {
    settings?: Partial<ListWatchSettings>
    client?: Partial<ApiClientSettings>
    transport?: ApiTransport
    random?: () => number
    onObjects?: (objects: ReadonlyMap<string, Pod>) => void
  } = {},
) {
  const seen: string[][] = []
  const watch = new ListWatch({
    client: new ApiClient(options.transport ?? api.transport(), clock, options.client),
    selection: { kind: PODS },
    parse: parsePod,
    onObjects: (objects) => {
      seen.push([...objects.keys()].sort())
      options.onObjects?.(objects)
    },
    clock,
    random: options.random ?? (() => 0.5),
    logger,
    ...(options.settings === undefined ? {} : { settings: options.settings }),
  })
  watch.start()
  onTestFinished(() => watch.stop())
  return { watch, seen }
}

/** Requests so far, as `list` and `watch VERSION`. */
const asked = () =>
  api.requests.map(({ verb, query }) => (verb === 'list' ? 'list' : `watch ${query.get('resourceVersion')}`))

/** Lets `fault` befall the next requests. */
function befall(fault: FakeFault, times = 1, verb?: 'list' | 'watch'): void {
  let left = times
  api.faultFor = (request) => ((verb ?? request.verb) === request.verb && left-- > 0 ? fault : undefined)
}

describe('what is asked for', () => {
  test('a list from the server itself, then a watch from its version, one request at a time', async () => {
    put('a')
    const { watch, seen } = follow()
    await clock.advance(0)
    expect(seen).toEqual([['a']])
    expect(asked()).toEqual(['list', 'watch 1001'])
    expect(api.requests[0]?.query.has('resourceVersion')).toBe(false)
    expect(api.requests[1]?.query.get('allowWatchBookmarks')).toBe('true')
    put('b')
    await clock.advance(10)
    expect(seen.at(-1)).toEqual(['a', 'b'])
    expect(api.openCount).toBe(1)
    expect(watch.status).toMatchObject({
      listed: true,
      current: true,
      counts: { lists: 1, watches: 1, changes: 1 },
    })
  })

  test('a watch that is cut goes on from the last event, without a list', async () => {
    put('a')
    follow()
    await clock.advance(0)
    put('b')
    api.dropAll()
    await clock.advance(1000)
    expect(asked()).toEqual(['list', 'watch 1001', 'watch 1002'])
  })

  test('a bookmark moves the version on as well', async () => {
    put('a')
    follow()
    await clock.advance(0)
    api.put(COLLECTIONS.configMaps, { metadata: { name: 'something-else' } })
    api.bookmark()
    await clock.advance(0)
    api.dropAll()
    await clock.advance(1000)
    expect(asked().at(-1)).toBe('watch 1002')
  })

  test('an end in good order is followed by the next watch at once', async () => {
    follow()
    await clock.advance(10_000)
    for (const stream of api.streams) stream.end()
    await clock.advance(0)
    expect(asked()).toEqual(['list', 'watch 1000', 'watch 1000'])
  })

  test('everything is listed anew after 5 to 10 minutes, by chance', async () => {
    for (const [chance, afterMs] of [
      [0, 300_000],
      [0.999, 599_700],
    ] as const) {
      api = new FakeKubernetesApi(clock, () => 0.9)
      const { watch } = follow({ random: () => chance })
      await clock.advance(afterMs - 1000)
      expect(watch.status.counts.lists).toBe(1)
      await clock.advance(2000)
      expect(watch.status.counts.lists).toBe(2)
      // The end of a watch for that is no failure.
      expect(watch.status.counts.failures).toBe(0)
      await watch.stop()
    }
  })

  test('what a watch has missed is put right by the next list', async () => {
    put('a')
    const { seen } = follow()
    await clock.advance(0)
    api.streams[0]?.silence()
    api.remove(COLLECTIONS.pods, 'a')
    // A server that goes on sending bookmarks, and no events.
    for (let minutes = 0; minutes < 10; minutes++) {
      await clock.advance(60_000)
      api.bookmark()
    }
    expect(seen.at(-1)).toEqual([])
  })

  test('pages, until there is no next one', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) put(name)
    const { seen } = follow({ settings: { pageSize: 2 } })
    await clock.advance(0)
    expect(seen).toEqual([['a', 'b', 'c', 'd', 'e']])
    expect(asked()).toEqual(['list', 'list', 'list', 'watch 1005'])
  })

  test('all at once, when the pages expire', async () => {
    for (const name of ['a', 'b', 'c']) put(name)
    api.faultFor = ({ query }) => {
      if (query.has('continue')) api.compact()
      return undefined
    }
    const { seen } = follow({ settings: { pageSize: 2 } })
    await clock.advance(0)
    expect(seen).toEqual([['a', 'b', 'c']])
    expect(api.requests.map(({ query }) => query.get('limit'))).toEqual(['2', '2', null, null])
  })
})

describe('when the version is too old', () => {
  test.each([
    ['by the status', 0.1],
    ['within the stream', 0.9],
  ])('said %s: everything is listed anew at once', async (_way, chance) => {
    api = new FakeKubernetesApi(clock, () => chance)
    put('a')
    const { seen, watch } = follow()
    await clock.advance(0)
    for (const stream of api.streams) stream.silence()
    api.remove(COLLECTIONS.pods, 'a')
    api.compact()
    api.dropAll()
    await clock.advance(1000)
    expect(seen.at(-1)).toEqual([])
    expect(asked().filter((request) => request === 'list')).toHaveLength(2)
    expect(watch.status.current).toBe(true)
  })

  test('again and again, the waits grow', async () => {
    befall({ kind: 'status', status: 410 }, Infinity, 'watch')
    follow()
    await clock.advance(60_000)
    expect(api.requests.length).toBeLessThan(25)
  })
})

describe('failures', () => {
  const FAULTS: readonly FakeFault[] = [
    { kind: 'refuse' },
    { kind: 'status', status: 500 },
    { kind: 'status', status: 403 },
    { kind: 'status', status: 401 },
    { kind: 'status', status: 404 },
    { kind: 'status', status: 429 },
    { kind: 'body', text: '{"not":"a list"}' },
    { kind: 'cut', afterBytes: 5, clean: true },
    { kind: 'cut', afterBytes: 5, clean: false },
  ]

  test.each(FAULTS)(
    '%j: the objects stay, the waits grow to half a minute, and it ends with the fault',
    async (fault) => {
      put('a')
      const { watch, seen } = follow()
      await clock.advance(10_000)
      befall(fault, Infinity)
      api.dropAll()
      const before = api.requests.length
      await clock.advance(3_600_000)
      const tries = api.requests.length - before
      // 22.5 s on average once the waits are at their longest.
      expect(tries).toBeGreaterThan(100)
      expect(tries).toBeLessThan(260)
      expect([...watch.objects.keys()]).toEqual(['a'])
      expect(seen.every((names) => names.join() === 'a')).toBe(true)
      expect(watch.status).toMatchObject({ current: false, listed: true })
      expect(watch.status.sinceConfirmedMs).toBeGreaterThan(3_500_000)
      expect(watch.status.problem).not.toBe('')
      // Once, and a reminder every few minutes.
      const warnings = logger.of('kubernetes.failed').filter(({ level }) => level === 'warn')
      expect(warnings.length).toBeGreaterThan(0)
      expect(warnings.length).toBeLessThan(14)

      api.faultFor = () => undefined
      put('b')
      await clock.advance(31_000)
      expect(seen.at(-1)).toEqual(['a', 'b'])
      await clock.advance(6000)
      expect(watch.status).toMatchObject({ current: true, failuresInARow: 0, problem: undefined })
      expect(logger.of('kubernetes.reached')).toHaveLength(1)
    },
  )

  test.each([{ kind: 'hang' }, { kind: 'mute' }] as const)(
    '%j: given up after the time for a request',
    async (fault) => {
      befall(fault, 1)
      const { seen } = follow({ client: { requestTimeoutMs: 1000 } })
      await clock.advance(999)
      expect(api.openCount).toBe(1)
      await clock.advance(600)
      expect(seen).toEqual([[]])
      expect(api.openCount).toBe(1)
    },
  )

  test('a watch that says nothing is given up, and everything is listed', async () => {
    api.bookmarkEveryMs = 0
    const { watch } = follow({ client: { stallMs: 90_000 } })
    await clock.advance(89_000)
    expect(watch.status.counts.lists).toBe(1)
    await clock.advance(1000)
    expect(watch.status.counts.lists).toBe(2)
    // A server without bookmarks is no outage.
    await clock.advance(3_600_000)
    expect(logger.lines.filter(({ level }) => level === 'warn')).toEqual([])
  })

  test('bookmarks keep a quiet watch open', async () => {
    const { watch } = follow({ random: () => 0.999 })
    await clock.advance(590_000)
    expect(watch.status).toMatchObject({ counts: { lists: 1, watches: 1, bookmarks: 9, failures: 0 } })
    expect(watch.status.sinceConfirmedMs).toBeLessThanOrEqual(60_000)
  })

  test('watches that end as soon as they begin do not become a storm', async () => {
    api.faultFor = ({ verb }) => (verb === 'watch' ? { kind: 'cut', afterBytes: 0, clean: true } : undefined)
    const { watch } = follow()
    // Each such watch has nothing to say but its end.
    const ender = () => {
      for (const stream of api.streams) stream.end()
      clock.after(5, ender)
    }
    const cancel = clock.after(5, ender)
    await clock.advance(60_000)
    cancel()
    expect(watch.status.counts.watches).toBeLessThan(20)
    expect(watch.status.failuresInARow).toBeGreaterThan(3)
  })

  test('a server that asks to wait is obeyed, within a minute', async () => {
    befall({ kind: 'status', status: 429, retryAfterSeconds: 20 }, 1)
    const { seen } = follow()
    await clock.advance(19_999)
    expect(seen).toEqual([])
    await clock.advance(5000)
    expect(seen).toEqual([[]])

    befall({ kind: 'status', status: 429, retryAfterSeconds: 999_999 }, 1)
    api.dropAll()
    await clock.advance(80_000)
    expect(api.watchCount).toBe(1)
  })

  test('a token that was replaced is read anew, and tried at once', async () => {
    api.tokens = new Set(['new'])
    let token = 'old'
    const transport = api.transport(() => token)
    const renew = transport.renewCredentials
    transport.renewCredentials = () => {
      renew()
      token = 'new'
    }
    const { seen } = follow({ transport })
    await clock.advance(0)
    expect(seen).toEqual([[]])
    expect(transport.renewals).toBe(1)
    expect(logger.lines.filter(({ level }) => level === 'warn')).toEqual([])
  })

  test('what RBAC refuses is named, with the rule that is missing', async () => {
    api.forbidden.add(`watch ${COLLECTIONS.pods}`)
    const { watch } = follow()
    await clock.advance(1000)
    const { problem } = watch.status
    for (const part of [
      'watch pods',
      '"default"',
      'apiGroups: [""]',
      'resources: ["pods"]',
      '"list", "watch"',
    ]) {
      expect(problem).toContain(part)
    }
  })

  test('a list without an end, and one with too much in it, are given up', async () => {
    befall(
      { kind: 'body', text: '{"metadata":{"resourceVersion":"1","continue":"more"},"items":[]}' },
      Infinity,
      'list',
    )
    const endless = follow()
    await clock.advance(1000)
    expect(endless.watch.status.problem).toContain('pages')
    await endless.watch.stop()

    api.faultFor = () => undefined
    for (let n = 0; n < 6; n++) put(`p${n}`)
    const crowded = follow({ settings: { maxObjects: 5 } })
    await clock.advance(1000)
    expect(crowded.watch.status).toMatchObject({ listed: false })
    expect(crowded.watch.status.problem).toContain('more than 5')
    await crowded.watch.stop()

    const large = follow({ client: { pageLimitBytes: 200 } })
    await clock.advance(1000)
    expect(large.watch.status.problem).toContain('200 bytes')
  })

  test('events before a bad line count', async () => {
    const { watch } = follow()
    await clock.advance(0)
    befall({ kind: 'status', status: 500 }, Infinity)
    const line = JSON.stringify({
      type: 'ADDED',
      object: { ...pod('a'), metadata: { ...pod('a').metadata, resourceVersion: '1001' } },
    })
    api.streams[0]?.send(`${line}\n{"type":\n`)
    await clock.advance(0)
    expect([...watch.objects.keys()]).toEqual(['a'])
  })
})

describe('stop', () => {
  test.each([
    'before the list',
    'within the list',
    'within the watch',
    'within a wait',
    'within the look for the namespace',
  ])('%s: everything is released, and nothing is called any more', async (moment) => {
    if (moment === 'within the list') befall({ kind: 'mute' }, 1)
    if (moment === 'within a wait') befall({ kind: 'refuse' }, Infinity)
    const transport = api.transport()
    if (moment === 'within the look for the namespace') {
      transport.namespace = (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reject(new Error('aborted'))
          })
        })
    }
    const watch = new ListWatch({
      client: new ApiClient(transport, clock),
      selection: { kind: PODS },
      parse: parsePod,
      onObjects: () => {
        calls += 1
      },
      clock,
      random: () => 0.5,
      logger,
    })
    let calls = 0
    watch.start()
    watch.start()
    if (moment !== 'before the list') await clock.advance(100)
    const before = calls
    await Promise.all([watch.stop(), watch.stop()])
    await watch.done
    put('late')
    await clock.advance(600_000)
    expect(calls).toBe(before)
    expect(api.openCount).toBe(0)
    expect(clock.pendingTimers).toBe(0)
    watch.start()
    await clock.advance(1000)
    expect(api.openCount).toBe(0)
  })

  test('a reader that throws ends it with that error', async () => {
    const fault = new Error('a reader that throws')
    const { watch } = follow({
      onObjects: () => {
        throw fault
      },
    })
    await clock.advance(10)
    await expect(watch.done).rejects.toBe(fault)
    expect(api.openCount).toBe(0)
  })
})
