import { createSocket } from 'node:dgram'
import { createRequire } from 'node:module'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { isRingmanError } from '../../../src/errors.ts'
import type { MemberState } from '../../../src/membership/member.ts'
import type { GossipSocketHandlers, OpenGossipSocket } from '../../../src/membership/swim/gossip-socket.ts'
import { SwimSource, type SwimSourceOptions } from '../../../src/membership/swim/swim-source.ts'
import { TestProcess } from '../../support/child-process.ts'
import { freePort } from '../../support/free-port.ts'
import { parseSeeds } from '../../support/seeds.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { packet } from '../../support/swim-packets.ts'
import { settle, VirtualClock } from '../../support/virtual-clock.ts'
import { LOOPBACK } from '../../support/loopback.ts'

function make(
  name: string,
  options: Partial<SwimSourceOptions> & { readonly join?: string } = {},
): SwimSource {
  const { join, ...rest } = options
  const source = new SwimSource({
    ...LOOPBACK,
    name,
    seeds: parseSeeds(join ?? ''),
    settings: { seeds: { aloneMinMs: 50, aloneMaxMs: 100, settledMs: 200 } },
    clock: systemClock,
    ...rest,
  })
  onTestFinished(() => source.stop())
  return source
}

const begin = (source: SwimSource) => source.start(new AbortController().signal)

async function started(name: string, options: Parameters<typeof make>[1] = {}): Promise<SwimSource> {
  const source = make(name, { gossipPort: await freePort(), ...options })
  await begin(source)
  return source
}

const portOf = (source: SwimSource) => source.gossipAddress?.port ?? 0
const addressOf = (source: SwimSource) => `127.0.0.1:${portOf(source)}`
const states = (source: SwimSource): Record<string, MemberState> =>
  Object.fromEntries(source.members.map((member) => [member.name, member.state]))

async function refusalOf(source: SwimSource): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await begin(source)
  } catch (error) {
    if (isRingmanError(error)) return error
    throw error
  }
  return expect.fail('the start was not refused')
}

describe('start', () => {
  test('takes a free port and lists itself with its metadata', async () => {
    const source = await started('a', {
      gossipPort: 0,
      metadata: { servicePort: '8000', weight: 3, zone: 'z1' },
    })
    expect(portOf(source)).toBeGreaterThan(0)
    expect(source.members).toHaveLength(1)
    expect(source.members[0]).toMatchObject({
      name: 'a',
      address: '127.0.0.1',
      port: portOf(source),
      state: 'alive',
      metadata: { servicePort: '8000', weight: 3, zone: 'z1', name: 'a' },
    })
  })

  test('names the address when the port is taken', async () => {
    const source = await started('a')
    const refusal = await refusalOf(make('b', { gossipPort: portOf(source) }))
    expect(refusal.code).toBe('SOURCE_FAILED')
    expect(refusal.message).toContain(addressOf(source))
  })

  test.each<[string, string, Partial<SwimSourceOptions>]>([
    ['an IPv6 address to bind to', 'CONFIG_INVALID', { bindHost: '::1' }],
    ['an IPv6 address to advertise', 'CONFIG_INVALID', { advertise: 'fd00::1' }],
    ['an IPv6 seed', 'CONFIG_INVALID', { seeds: parseSeeds('10.0.0.1,[::1]:7946') }],
    ['the unspecified address to advertise', 'CONFIG_INVALID', { advertise: '0.0.0.0' }],
    ['an address of another machine', 'SOURCE_FAILED', { bindHost: '203.0.113.1' }],
    ['metadata that is too large', 'METADATA_TOO_LARGE', { name: 'n'.repeat(600) }],
    [
      'a choice of addresses to advertise',
      'CONFIG_INVALID',
      {
        bindHost: '0.0.0.0',
        preset: 'lan',
        interfaces: () => ({
          eth0: [
            { address: '10.0.0.1', internal: false } as never,
            { address: '10.0.0.2', internal: false } as never,
          ],
        }),
      },
    ],
  ])('refuses %s', async (_what, code, options) => {
    const source = make('a', options)
    expect((await refusalOf(source)).code).toBe(code)
    await source.done
  })

  test('leaves nothing of the library behind after stop', async () => {
    // In a process of its own: here the tests have timers, too.
    const at = (path: string) => JSON.stringify(new URL(path, import.meta.url).href)
    const script = `
      import { systemClock } from ${at('../../../src/clock.ts')}
      import { SwimSource } from ${at('../../../src/membership/swim/swim-source.ts')}
      import { LOOPBACK } from ${at('../../support/loopback.ts')}
      import { turns } from ${at('../../support/turn-clock.ts')}
      const start = async (name, seeds) => {
        const source = new SwimSource({ ...LOOPBACK, name, seeds, clock: systemClock })
        await source.start(new AbortController().signal)
        return source
      }
      const a = await start('a', [])
      const b = await start('b', [{ kind: 'address', address: '127.0.0.1', port: a.gossipAddress.port }])
      while (a.members.length < 2) await new Promise((resolve) => setTimeout(resolve, 5))
      await Promise.all([a.stop(), b.stop()])
      // The system's part of a socket goes a turn later.
      await turns()
      const left = process.getActiveResourcesInfo().filter((kind) => /UDP|Timeout|Immediate/.test(kind))
      console.log(JSON.stringify({ left }))
      process.exit()`
    await using program = new TestProcess(['--input-type=module-typescript', '--eval', script])
    expect([await program.ended, program.events]).toEqual([{ code: 0, signal: null }, [{ left: [] }]])
  })
})

describe('a cluster', () => {
  test('forms, follows a leave, and forgets', async () => {
    const a = await started('a')
    const b = await started('b', { join: addressOf(a) })
    const c = await started('c', { join: addressOf(b) })
    const all = { a: 'alive', b: 'alive', c: 'alive' }
    await expect.poll(() => [a, b, c].map(states)).toEqual([all, all, all])
    const leaving = c.leave()
    await expect
      .poll(() => [a, b].map(states))
      .toEqual([
        { ...all, c: 'left' },
        { ...all, c: 'left' },
      ])
    await leaving
    expect(states(c)).toEqual({ ...all, c: 'left' })
    expect(c.health().ok).toBe(true)
  })

  test('takes in a member that starts before its seed, and one that knows only itself', async () => {
    const port = await freePort()
    const early = await started('early', { join: `127.0.0.1:${port},dns:not.there`, dns: nothing })
    expect(early.health().ok).toBe(false)
    const late = await started('late', { gossipPort: port, join: `127.0.0.1:${port}` })
    await expect
      .poll(() => [states(early), states(late)])
      .toEqual([
        { early: 'alive', late: 'alive' },
        { early: 'alive', late: 'alive' },
      ])
    expect(early.health().ok).toBe(true)
  })

  test('islands come together once a seed leads from one to the other', async () => {
    const [a, b] = [await started('a'), await started('b')]
    const a2 = await started('a2', { join: addressOf(a) })
    const b2 = await started('b2', { join: addressOf(b) })
    await expect.poll(() => [a, a2, b, b2].map((source) => source.members.length)).toEqual([2, 2, 2, 2])
    const answers: string[] = []
    const bridge = await started('bridge', {
      join: `${addressOf(a)},dns:other:${portOf(b2)}`,
      dns: { ...nothing, addressesOf: () => Promise.resolve(answers) },
    })
    await expect.poll(() => Object.keys(states(bridge)).length).toBe(3)
    answers.push('127.0.0.1')
    await expect
      .poll(() => [a, a2, b, b2, bridge].map((source) => Object.keys(states(source)).length))
      .toEqual([5, 5, 5, 5, 5])
  })

  test('of two members with one name the newer one stands for both, and they are told', async () => {
    const logger = new RecordingLogger()
    const a = await started('a', { logger })
    const old = await started('twin', { join: addressOf(a) })
    await expect.poll(() => states(a)).toEqual({ a: 'alive', twin: 'alive' })
    await settle()
    const young = await started('twin', {
      join: addressOf(a),
      clock: { ...systemClock, wallNow: () => Date.now() + 1000 },
    })
    const twinPorts = () =>
      [a, old, young].map((source) => source.members.find(({ name }) => name === 'twin')?.port)
    await expect.poll(twinPorts).toEqual([portOf(young), portOf(young), portOf(young)])
    expect(a.health()).toMatchObject({ ok: false })
    expect(logger.of('member.conflicted')).toHaveLength(1)
    await young.stop()
    await expect.poll(twinPorts).toEqual([portOf(old), portOf(old), portOf(young)])
    expect(a.health().ok).toBe(true)
  })

  test('lives together with bare npm swim', async () => {
    const Swim = createRequire(import.meta.url)('swim') as new (options: object) => {
      bootstrap(hosts: readonly string[], callback: (error?: Error) => void): void
      members(): readonly { readonly host: string; readonly meta: unknown }[]
      leave(): void
    }
    const a = await started('a')
    const host = `127.0.0.1:${await freePort()}`
    const bare = new Swim({
      local: { host, meta: { ServicePort: '9000' } },
      interval: 100,
      pingTimeout: 50,
      pingReqTimeout: 100,
      suspectTimeout: 500,
    })
    try {
      await new Promise<void>((resolve, reject) => {
        bare.bootstrap([addressOf(a)], (error) => {
          if (error === undefined) resolve()
          else reject(error)
        })
      })
      await expect.poll(() => states(a)).toEqual({ a: 'alive', [host]: 'alive' })
      expect(a.members.find(({ name }) => name === host)?.metadata).toEqual({ servicePort: '9000' })
      expect(bare.members().map(({ meta }) => meta)).toEqual([{ ServicePort: '8000', Name: 'a' }])
      await a.leave()
      await expect.poll(() => bare.members()).toEqual([])
    } finally {
      bare.leave()
    }
  })
})

const nothing: NonNullable<SwimSourceOptions['dns']> = {
  addressesOf: () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })),
  lookUp: () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })),
  servicesOf: () => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })),
}

describe('what arrives and does not belong', () => {
  test('is counted by reason and logged ever more rarely; the source lives', async () => {
    const logger = new RecordingLogger()
    const source = await started('a', { logger })
    const socket = createSocket('udp4')
    try {
      const bad = [
        Buffer.from('0ac0', 'hex'),
        Buffer.alloc(6000, 10),
        Buffer.from('hello'),
        packet('ping', {}),
      ]
      for (let round = 0; round < 100; round++) {
        for (const bytes of bad) socket.send(bytes, portOf(source), '127.0.0.1')
        await settle()
      }
      const total = () => [...source.drops.values()].reduce((sum, count) => sum + count, 0)
      await expect.poll(total).toBe(400)
      expect(Object.fromEntries(source.drops)).toEqual({
        'body-malformed': 100,
        oversized: 100,
        'type-unknown': 100,
        'seq-invalid': 100,
      })
      expect(source.health().detail).toMatchObject({ 'dropped.oversized': 100 })
      // One of each reason at once; more only where this takes longer than the 10 s between two.
      const reasons = logger.of('datagram.dropped').map(({ fields }) => fields['reason'])
      expect(new Set(reasons).size).toBe(4)
      expect(reasons.length).toBeLessThan(20)
      expect(states(source)).toEqual({ a: 'alive' })
    } finally {
      socket.close()
    }
  })
})

describe('the log', () => {
  test('has the lines of the library, each with the source it is of', async () => {
    const [one, other] = [new RecordingLogger(), new RecordingLogger()]
    const a = await started('a', { logger: one })
    const b = await started('b', { logger: other, join: addressOf(a) })
    await expect.poll(() => states(a)).toEqual({ a: 'alive', b: 'alive' })
    const lines = (logger: RecordingLogger) => logger.of('library.traced').map(({ message }) => message)
    await expect.poll(() => lines(one)).toContain('npm swim: received update')
    await expect.poll(() => lines(other)).toContain('npm swim: sent buffer')
    const to = (logger: RecordingLogger) =>
      logger
        .of('library.traced')
        .map(({ fields }) => (fields['fields'] as { to?: string } | undefined)?.to)
        .filter((host) => host !== undefined)
    expect(new Set(to(one))).toEqual(new Set([addressOf(b)]))
    expect(new Set(to(other))).toEqual(new Set([addressOf(a)]))
  })
})

describe('the socket', () => {
  /** A socket that carries nothing, whose faults a test makes. */
  function fakeSockets() {
    const opened: { readonly port: number; readonly handlers: GossipSocketHandlers; closed: boolean }[] = []
    const openSocket: OpenGossipSocket = (_bindHost, port, handlers) => {
      const entry = { port: port === 0 ? 4711 : port, handlers, closed: false }
      opened.push(entry)
      return Promise.resolve({
        port: entry.port,
        send: (_bytes, host) => {
          handlers.onSendError(Object.assign(new Error('unreachable'), { code: 'ENETUNREACH' }), host)
        },
        close: () => {
          entry.closed = true
          return Promise.resolve()
        },
      })
    }
    return { opened, openSocket }
  }

  test('that fails ends the source with the reason', async () => {
    const { opened, openSocket } = fakeSockets()
    const clock = new VirtualClock()
    const source = await started('a', { openSocket, clock })
    opened[0]?.handlers.onFailure(new Error('the network went away'))
    await expect(source.done).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
    await source.stop()
    expect(opened[0]?.closed).toBe(true)
    expect(clock.pendingTimers).toBe(0)
  })

  test('that cannot send is counted, told in health, and no more', async () => {
    const { openSocket } = fakeSockets()
    const clock = new VirtualClock()
    const logger = new RecordingLogger()
    const source = await started('a', { openSocket, clock, logger, join: '10.0.0.1:7946' })
    await clock.advance(60_000)
    expect(source.health()).toMatchObject({
      ok: false,
      message: expect.stringContaining('ENETUNREACH') as string,
    })
    expect(Number(source.health().detail['sendErrors'])).toBeGreaterThan(50)
    expect(logger.of('datagram.unsent').length).toBeLessThanOrEqual(7)
    expect(states(source)).toEqual({ a: 'alive' })
  })
})

describe('seeds', () => {
  const alone = async (options: Parameters<typeof make>[1]) => {
    const clock = new VirtualClock()
    const source = await started('a', { clock, ...options })
    await clock.advance(1000)
    return source.health().message
  }

  test('health says why it is alone', async () => {
    expect(await alone({ join: 'dns:not.there', dns: nothing })).toContain(
      'dns:not.there does not resolve (ENOTFOUND)',
    )
    const port = await freePort()
    expect(
      await alone({
        gossipPort: port,
        join: 'dns:me',
        dns: { ...nothing, addressesOf: () => Promise.resolve(['127.0.0.1']) },
      }),
    ).toContain('only to this process')
    expect(await alone({ join: '127.0.0.1:9' })).toContain('no seed answers at 1 address (')
    expect(
      await alone({ join: 'dns:six', dns: { ...nothing, addressesOf: () => Promise.resolve(['fd00::1']) } }),
    ).toContain('IPv6')
    expect(await alone({})).toContain('no seeds')
  })

  test('every address of this machine is its own when it is bound to all of them', async () => {
    const port = await freePort()
    const message = await alone({
      bindHost: '0.0.0.0',
      gossipPort: port,
      interfaces: () => ({ eth0: [{ address: '10.0.0.1', internal: false } as never] }),
      join: '127.0.0.5,10.0.0.1,localhost',
      dns: { ...nothing, lookUp: () => Promise.resolve(['127.0.0.1', '::1']) },
    })
    expect(message).toContain('only to this process')
  })
})
