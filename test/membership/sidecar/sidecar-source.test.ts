import { describe, expect, onTestFinished, test } from 'vitest'
import { isRingmanError } from '../../../src/errors.ts'
import { placeMembers } from '../../../src/membership/placement.ts'
import type { SidecarSourceOptions } from '../../../src/membership/sidecar/sidecar-options.ts'
import { SidecarSource } from '../../../src/membership/sidecar/sidecar-source.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { settle, VirtualClock } from '../../support/virtual-clock.ts'
import { FakeSidecar } from './fake-sidecar.ts'
import { golden, jsonBytes, stateJson, tick, updateJson, type Described } from './sidecar-fixtures.ts'
import { codeOf } from '../../support/error-code.ts'

const URL = 'http://localhost:7777/api/state.json'
const a: Described = { id: 'a', ip: '10.0.0.1' }
const b: Described = { id: 'b', ip: '10.0.0.2' }
const c: Described = { id: 'c', ip: '10.0.0.3' }

function make(options: Partial<SidecarSourceOptions> = {}, sidecar = new FakeSidecar([a])) {
  const clock = new VirtualClock()
  const logger = new RecordingLogger()
  const source = new SidecarSource(
    { serviceName: 'some-svc', servicePort: 9999, ...options },
    { clock, logger, random: () => 0.5, get: sidecar.get },
  )
  onTestFinished(() => source.stop())
  return { source, clock, logger, sidecar }
}

async function started(options: Partial<SidecarSourceOptions> = {}, sidecar = new FakeSidecar([a])) {
  const made = make(options, sidecar)
  await made.source.start(new AbortController().signal)
  return made
}

const keys = (source: SidecarSource) =>
  placeMembers(source.members, 'address')
    .map(({ ringKey }) => ringKey)
    .sort()

function updateCode(source: SidecarSource, body: Uint8Array): string {
  try {
    return source.update(body)
  } catch (error) {
    return isRingmanError(error) ? error.code : String(error)
  }
}

describe('the start', () => {
  test('fetches the state when a URL is given', async () => {
    const { source, sidecar } = await started({ url: URL }, new FakeSidecar([a, b]))
    expect(sidecar.fetches).toBe(1)
    expect(keys(source)).toEqual(['10.0.0.1:8000', '10.0.0.2:8000'])
    expect(source.populated).toBe(true)
    expect(source.health().ok).toBe(true)
  })

  test('waits for updates without one', async () => {
    const { source, sidecar, clock } = await started()
    await clock.advance(3_600_000)
    expect(sidecar.fetches).toBe(0)
    expect(source.members).toEqual([])
    expect(source.populated).toBe(false)
    expect(source.health().ok).toBe(false)
    expect(source.update(golden('sidecar-event.json'))).toBe('accepted')
    expect(keys(source)).toEqual(['127.0.0.1:23423', 'host-b:12345'])
    expect(source.health().ok).toBe(true)
  })

  test.each(['refused', 'status', 'malformed'] as const)('ends when the fetch is %s', async (fault) => {
    const made = make({ url: URL })
    made.sidecar.fault = fault
    expect(await codeOf(made.source.start(new AbortController().signal))).toBe('SOURCE_FAILED')
    expect(made.source.members).toEqual([])
    expect(made.clock.pendingTimers).toBe(0)
  })

  test('ends when Sidecar says nothing for the timeout', async () => {
    const { source, sidecar, clock } = make({ url: URL })
    sidecar.fault = 'silent'
    const outcome = codeOf(source.start(new AbortController().signal))
    await clock.advance(4999)
    expect(sidecar.openCount).toBe(1)
    await clock.advance(1)
    expect(await outcome).toBe('SOURCE_FAILED')
    expect(sidecar.openCount).toBe(0)
  })

  test('takes an update that came before it, if what it fetches is older', async () => {
    const { source } = make({ url: URL })
    expect(source.update(jsonBytes(updateJson(stateJson(tick(2), [a, b]))))).toBe('accepted')
    expect(source.members).toEqual([])
    await source.start(new AbortController().signal)
    expect(keys(source)).toEqual(['10.0.0.1:8000', '10.0.0.2:8000'])
  })

  test('an empty first state is a state', async () => {
    const { source } = await started({ url: URL }, new FakeSidecar([]))
    expect(source.members).toEqual([])
    expect(source.populated).toBe(true)
  })
})

describe('updates', () => {
  const post = (source: SidecarSource, n: number, instances: readonly Described[], change = {}) =>
    source.update(jsonBytes(updateJson(stateJson(tick(n), instances), change)))

  test('the first is applied at once, the next ones when the hold-down ends', async () => {
    const { source, clock } = await started({ url: URL })
    expect(post(source, 2, [a, b])).toBe('accepted')
    expect(keys(source)).toHaveLength(2)
    expect(post(source, 3, [a, b, c])).toBe('accepted')
    expect(post(source, 4, [b, c])).toBe('accepted')
    await clock.advance(4999)
    expect(keys(source)).toHaveLength(2)
    await clock.advance(1)
    expect(keys(source)).toEqual(['10.0.0.2:8000', '10.0.0.3:8000'])
    expect(source.health().detail['updatesFolded']).toBe(1)
  })

  test('a full queue is applied without waiting', async () => {
    const { source } = await started({ url: URL, capacity: 3 })
    for (let n = 2; n <= 5; n++) post(source, n, n % 2 === 0 ? [a, b] : [a, b, c])
    expect(keys(source)).toHaveLength(3)
  })

  test('of 60 in a burst the last one counts, whatever the capacity', async () => {
    const { source, clock } = await started({ url: URL })
    for (let n = 2; n < 62; n++) post(source, n, [{ ...a, port: n }])
    await clock.advance(5000)
    expect(keys(source)).toEqual(['10.0.0.1:61'])
  })

  test('one that is not newer changes nothing', async () => {
    const { source, clock } = await started({ url: URL })
    expect(post(source, 1, [b])).toBe('not-newer')
    expect(post(source, 5, [a, b])).toBe('accepted')
    expect(post(source, 5, [c])).toBe('not-newer')
    expect(post(source, 4, [c])).toBe('not-newer')
    const offset = stateJson('2026-01-01T01:00:00.000000005+01:00', [c])
    expect(source.update(jsonBytes(updateJson(offset)))).toBe('not-newer')
    await clock.advance(10_000)
    expect(keys(source)).toEqual(['10.0.0.1:8000', '10.0.0.2:8000'])
  })

  test('one about another service changes nothing, and does not hide the one that counts', async () => {
    const { source } = await started({ url: URL })
    expect(post(source, 5, [a, b], { name: 'other' })).toBe('other-service')
    expect(keys(source)).toEqual(['10.0.0.1:8000'])
    expect(post(source, 5, [a, b])).toBe('accepted')
    expect(keys(source)).toEqual(['10.0.0.1:8000', '10.0.0.2:8000'])
  })

  test('one whose change does not count changes nothing', async () => {
    const { source } = await started({ url: URL })
    expect(post(source, 5, [b], { status: 2, previousStatus: 3 })).toBe('not-counting')
    expect(post(source, 5, [b], { status: 3, previousStatus: 1 })).toBe('not-counting')
    expect(post(source, 5, [b], { status: 9, previousStatus: 0 })).toBe('not-counting')
    expect(keys(source)).toEqual(['10.0.0.1:8000'])
    expect(post(source, 5, [b], { status: 2, previousStatus: 0 })).toBe('accepted')
    expect(keys(source)).toEqual(['10.0.0.2:8000'])
  })

  test('draining leaves the ring, and the member is listed as left', async () => {
    const { source } = await started({ url: URL }, new FakeSidecar([a, b]))
    post(source, 2, [a, { ...b, status: 4 }], { status: 4, previousStatus: 0 })
    expect(keys(source)).toEqual(['10.0.0.1:8000'])
    expect(source.members.map(({ name, state }) => [name, state])).toEqual([
      ['10.0.0.1:8000', 'alive'],
      ['10.0.0.2:8000', 'left'],
    ])
  })

  test.each([
    ['nothing', new Uint8Array(0)],
    ['no JSON', new TextEncoder().encode('{bad')],
    ['no update', new TextEncoder().encode('{}')],
    ['a bad time', jsonBytes(updateJson(stateJson('soon', [b])))],
    ['a bad field of one instance', jsonBytes(updateJson({ ...stateJson(tick(9), []), Servers: { h: 7 } }))],
  ])('%s is refused and changes nothing', async (_, body) => {
    const { source, clock } = await started({ url: URL })
    const before = source.members
    expect(updateCode(source, body)).toBe('BODY_INVALID')
    await clock.advance(6000)
    expect(source.members).toBe(before)
    expect(source.health().detail['updatesRefused']).toBe(1)
  })

  test('bad ones cannot fill the log', async () => {
    const { source, logger, clock } = await started({ url: URL })
    for (let n = 0; n < 1000; n++) updateCode(source, Buffer.from('{bad'))
    expect(logger.events('warn')).toEqual(['update.refused'])
    await clock.advance(10_000)
    updateCode(source, Buffer.from('{bad'))
    expect(logger.lines.at(-1)?.fields['suppressed']).toBe(999)
  })

  test('after stop they do nothing', async () => {
    const { source } = await started({ url: URL })
    await source.stop()
    expect(post(source, 9, [b])).toBe('stopped')
    expect(keys(source)).toEqual(['10.0.0.1:8000'])
  })

  test('a state that changes no member publishes nothing', async () => {
    const { source } = await started({ url: URL })
    const before = source.members
    expect(post(source, 2, [a, { id: 'x', name: 'other' }])).toBe('accepted')
    expect(source.members).toBe(before)
    post(source, 3, [a, b])
    expect(keys(source)).toHaveLength(2)
  })
})

describe('skipped instances', () => {
  test('are named in one warning, and the others are on the ring', async () => {
    const odd = { id: 'odd', hostname: 'host-odd', servicePort: 8888 }
    const { source, logger } = await started({ url: URL }, new FakeSidecar([a, odd]))
    expect(keys(source)).toEqual(['10.0.0.1:8000'])
    expect(logger.events('warn')).toEqual(['instance.skipped'])
    expect(JSON.stringify(logger.lines[0]?.fields['instances'])).toContain('odd on host-odd')
    expect(source.health().detail['skippedInstances']).toBe(1)
  })

  test('a thousand of them name ten, and are not named again at once', async () => {
    const many = Array.from({ length: 1000 }, (_, n) => ({ id: `odd-${n}`, servicePort: 1 }))
    const { sidecar, logger, clock } = await started({ url: URL }, new FakeSidecar(many))
    expect(logger.lines[0]?.fields).toMatchObject({ skipped: 1000 })
    expect(logger.lines[0]?.fields['instances']).toHaveLength(10)
    sidecar.set(tick(2), many)
    await clock.advance(30_000)
    expect(logger.events('warn')).toEqual(['instance.skipped', 'instance.skipped'])
  })
})

describe('fetching again', () => {
  test('brings what a lost update would have', async () => {
    const { source, sidecar, clock } = await started({ url: URL })
    sidecar.set(tick(2), [a, b])
    await clock.advance(29_999)
    expect(keys(source)).toHaveLength(1)
    await clock.advance(1)
    expect(keys(source)).toHaveLength(2)
    expect(sidecar.fetches).toBe(2)
  })

  test('is tried sooner after a failure, warns once an outage, and says when it is over', async () => {
    const { source, sidecar, clock, logger } = await started({ url: URL })
    sidecar.fault = 'refused'
    await clock.advance(30_000)
    expect(logger.events('warn')).toEqual(['sidecar.fetch-failed'])
    await clock.advance(60_000)
    expect(logger.events('warn')).toEqual(['sidecar.fetch-failed'])
    expect(sidecar.fetches).toBeGreaterThan(5)
    expect(sidecar.fetches).toBeLessThan(12)
    expect(keys(source)).toEqual(['10.0.0.1:8000'])
    expect(source.health().ok).toBe(true)
    await clock.advance(30_000)
    expect(source.health().ok).toBe(false)
    sidecar.fault = undefined
    sidecar.set(tick(2), [b])
    await clock.advance(30_000)
    expect(keys(source)).toEqual(['10.0.0.2:8000'])
    expect(source.health().ok).toBe(true)
    expect(logger.events('info')).toContain('sidecar.reached')
  })

  test.each(['status', 'malformed', 'silent'] as const)('survives an answer that is %s', async (fault) => {
    const { source, sidecar, clock } = await started({ url: URL })
    sidecar.fault = fault
    await clock.advance(40_000)
    expect(keys(source)).toEqual(['10.0.0.1:8000'])
    sidecar.fault = undefined
    sidecar.set(tick(2), [b])
    await clock.advance(30_000)
    expect(keys(source)).toEqual(['10.0.0.2:8000'])
  })

  test('follows a state whose time went back, once Sidecar has said it twice', async () => {
    const { source, sidecar, clock } = await started({ url: URL }, new FakeSidecar([a, b]))
    source.update(jsonBytes(updateJson(stateJson(tick(90), [a, b, c]))))
    expect(keys(source)).toHaveLength(3)
    // The host of b is not heard of any more: its record is dated back.
    sidecar.set(tick(20), [a, { ...b, status: 1 }, c])
    await clock.advance(30_000)
    expect(keys(source)).toHaveLength(3)
    await clock.advance(1500)
    expect(keys(source)).toEqual(['10.0.0.1:8000', '10.0.0.3:8000'])
    expect(sidecar.fetches).toBe(3)
  })

  test('can be turned off', async () => {
    const { sidecar, clock } = await started({ url: URL, refetchIntervalMs: 0 })
    await clock.advance(3_600_000)
    expect(sidecar.fetches).toBe(1)
    expect(clock.pendingTimers).toBe(0)
  })

  test('is spread in time by chance', async () => {
    const atMs: number[] = []
    for (const value of [0, 0.999]) {
      const clock = new VirtualClock()
      const sidecar = new FakeSidecar([a])
      const source = new SidecarSource(
        { url: URL, serviceName: 'some-svc', servicePort: 9999 },
        { clock, logger: new RecordingLogger(), random: () => value, get: sidecar.get },
      )
      onTestFinished(() => source.stop())
      await source.start(new AbortController().signal)
      while (sidecar.fetches < 2) await clock.advance(100)
      atMs.push(clock.now())
    }
    expect(atMs[0]).toBe(27_000)
    expect(atMs[1]).toBe(33_000)
  })
})

describe('watching', () => {
  const watch = { url: URL, watch: true, refetchIntervalMs: 0 }

  test('follows the stream', async () => {
    const { source, sidecar, clock } = await started(watch)
    await clock.advance(0)
    expect(sidecar.streams).toBe(1)
    sidecar.set(tick(2), [a, b])
    await clock.advance(0)
    expect(keys(source)).toHaveLength(2)
    expect(source.health()).toMatchObject({ ok: true, detail: { stream: 'open' } })
  })

  test('takes documents in pieces, and several in one', async () => {
    const { source, sidecar, clock } = await started({ ...watch, holdDownMs: 0 })
    await clock.advance(0)
    const two = Buffer.concat([jsonBytes(stateJson(tick(2), [b])), jsonBytes(stateJson(tick(3), [b, c]))])
    for (let at = 0; at < two.length; at += 7) {
      sidecar.stream(two.subarray(at, at + 7))
      await clock.advance(0)
    }
    expect(keys(source)).toEqual(['10.0.0.2:8000', '10.0.0.3:8000'])
    sidecar.stream(Buffer.concat([jsonBytes(stateJson(tick(4), [a])), jsonBytes(stateJson(tick(5), [c]))]))
    await clock.advance(0)
    expect(keys(source)).toEqual(['10.0.0.3:8000'])
  })

  test.each([
    [
      'ends',
      (sidecar: FakeSidecar) => {
        sidecar.cut()
      },
    ],
    [
      'breaks',
      (sidecar: FakeSidecar) => {
        sidecar.cut(new Error('socket hang up'))
      },
    ],
    [
      'sends no JSON',
      (sidecar: FakeSidecar) => {
        sidecar.stream(Buffer.from('nonsense'))
      },
    ],
    [
      'sends no state',
      (sidecar: FakeSidecar) => {
        sidecar.stream(Buffer.from('{"Servers":[]}'))
      },
    ],
    [
      'sends too much',
      (sidecar: FakeSidecar) => {
        sidecar.stream(Buffer.alloc(2_000_000, '{"a":"'))
      },
    ],
  ])('reconnects when the stream %s', async (_, breakIt) => {
    const { source, sidecar, clock, logger } = await started({ ...watch, limitBytes: 1_000_000 })
    await clock.advance(0)
    breakIt(sidecar)
    await clock.advance(100)
    expect(source.health()).toMatchObject({ ok: false, detail: { stream: 'lost' } })
    expect(keys(source)).toEqual(['10.0.0.1:8000'])
    sidecar.set(tick(2), [a, b])
    await clock.advance(1000)
    expect(sidecar.streams).toBe(2)
    expect(keys(source)).toHaveLength(2)
    expect(logger.events('warn')).toEqual(['watch.closed'])
    expect(sidecar.openCount).toBe(1)
  })

  test('asks less and less often while there is no stream, and warns once', async () => {
    const { sidecar, clock, logger } = await started(watch)
    await clock.advance(0)
    sidecar.streamFault = 'refused'
    sidecar.cut()
    await clock.advance(600_000)
    expect(sidecar.streams).toBeGreaterThan(20)
    expect(sidecar.streams).toBeLessThan(45)
    expect(logger.events('warn')).toEqual(['watch.closed'])
    sidecar.streamFault = undefined
    await clock.advance(30_000)
    expect(sidecar.openCount).toBe(1)
  })

  test('gives up a stream that does not begin', async () => {
    const { sidecar, clock } = await started(watch)
    sidecar.streamFault = 'silent'
    sidecar.cut()
    await clock.advance(800)
    expect(sidecar.openCount).toBe(1)
    await clock.advance(5100)
    expect(sidecar.openCount).toBe(0)
  })

  test('a stream whose time went back is looked into with a fetch, soon and not at once', async () => {
    const { source, sidecar, clock } = await started({ url: URL, watch: true }, new FakeSidecar([a, b]))
    await clock.advance(0)
    source.update(jsonBytes(updateJson(stateJson(tick(90), [a, b]))))
    const { fetches } = sidecar
    for (let n = 0; n < 10; n++) sidecar.set(tick(20 + n), [a])
    await clock.advance(0)
    expect(sidecar.fetches).toBe(fetches)
    await clock.advance(1000)
    expect(sidecar.fetches).toBe(fetches + 1)
    expect(keys(source)).toEqual(['10.0.0.1:8000'])
  })

  test('a state that comes on every way changes the ring once', async () => {
    const { source, sidecar, clock } = await started({ url: URL, watch: true })
    await clock.advance(0)
    let published = 0
    source.subscribe(() => published++)
    sidecar.set(tick(2), [a, b])
    source.update(jsonBytes(updateJson(sidecar.state)))
    await clock.advance(60_000)
    expect(published).toBe(1)
    expect(keys(source)).toHaveLength(2)
  })
})

test('stop ends requests, streams and timers at any moment', async () => {
  for (const fault of [undefined, 'silent', 'refused'] as const) {
    const { source, sidecar, clock } = await started({ url: URL, watch: true })
    sidecar.fault = fault
    sidecar.streamFault = fault
    sidecar.cut()
    await clock.advance(31_000)
    const stopped = source.stop()
    await settle()
    await stopped
    await source.done
    expect(sidecar.openCount).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  }
})

describe('statistics', () => {
  test('count fetches and updates, and say how old the last confirmation is', async () => {
    const sidecar = new FakeSidecar([a])
    const { source, clock } = await started({ url: URL, refetchIntervalMs: 30_000 }, sidecar)
    expect(source.statistics()).toEqual({
      staleMs: 0,
      sidecar: {
        fetches: { completed: 1, failed: 0 },
        updates: { accepted: 1, ignored: 0, refused: 0, folded: 0 },
        skippedInstances: 0,
      },
    })
    await clock.advance(20_000)
    expect(source.statistics().staleMs).toBe(20_000)
    expect(updateCode(source, Buffer.from('{"nonsense":true}'))).toBe('BODY_INVALID')
    await clock.advance(15_000)
    expect(source.statistics()).toMatchObject({
      sidecar: { fetches: { completed: 2, failed: 0 }, updates: { refused: 1 } },
    })
    sidecar.fault = 'refused'
    await clock.advance(40_000)
    expect(source.statistics().sidecar?.fetches.failed).toBeGreaterThan(0)
    expect(source.statistics().staleMs).toBeGreaterThan(30_000)
  })

  test('without fetches, silence is no sign of age', async () => {
    const { source, clock } = await started()
    expect(updateCode(source, golden('sidecar-event.json'))).toBe('accepted')
    await clock.advance(3_600_000)
    expect(source.statistics().staleMs).toBeUndefined()
    expect(source.statistics().sidecar?.streamUp).toBeUndefined()
  })

  test('say whether the stream is open, where there is one', async () => {
    const { source } = await started({ url: URL, watch: true })
    expect(typeof source.statistics().sidecar?.streamUp).toBe('boolean')
  })
})
