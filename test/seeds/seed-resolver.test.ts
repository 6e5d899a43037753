import { describe, expect, test } from 'vitest'
import type { DnsResolver, ServiceTarget } from '../../src/seeds/dns-resolver.ts'
import { SeedResolver, type SeedResolverOptions, type SeedSettings } from '../../src/seeds/seed-resolver.ts'
import { formatHostPort } from '../../src/addresses.ts'
import type { SeedAddress } from '../../src/seeds/seed.ts'
import { parseSeeds } from '../support/seeds.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { settle, VirtualClock } from '../support/virtual-clock.ts'

type Answer<T> = readonly T[] | string

/** A resolver whose answers a test sets: a list, an error code, or `never`. */
class FakeDns implements DnsResolver {
  readonly hosts = new Map<string, Answer<string>>()
  readonly names = new Map<string, Answer<string>>()
  readonly services = new Map<string, Answer<ServiceTarget>>()
  readonly asked: string[] = []
  pending = 0

  addressesOf(name: string, signal: AbortSignal): Promise<string[]> {
    return this.#answer('dns', this.names, name, signal)
  }

  lookUp(name: string): Promise<string[]> {
    // As with getaddrinfo, there is no cancelling.
    return this.#answer('host', this.hosts, name, undefined)
  }

  servicesOf(name: string, signal: AbortSignal): Promise<ServiceTarget[]> {
    return this.#answer('srv', this.services, name, signal)
  }

  async #answer<T>(
    kind: string,
    answers: Map<string, Answer<T>>,
    name: string,
    signal: AbortSignal | undefined,
  ): Promise<T[]> {
    this.asked.push(`${kind} ${name}`)
    this.pending += 1
    try {
      const answer = answers.get(name) ?? 'ENOTFOUND'
      if (answer === 'never') {
        return await new Promise((_, reject) => {
          signal?.addEventListener('abort', () => {
            reject(Object.assign(new Error('cancelled'), { code: 'ECANCELLED' }))
          })
        })
      }
      if (typeof answer === 'string') throw Object.assign(new Error(answer), { code: answer })
      return [...answer]
    } finally {
      this.pending -= 1
    }
  }
}

function setUp(
  seeds: string,
  settings: Partial<SeedSettings> = {},
  self = '10.0.0.1:7946',
  more: Partial<SeedResolverOptions> = {},
) {
  const clock = new VirtualClock()
  const dns = new FakeDns()
  const logger = new RecordingLogger()
  const rounds: { readonly atMs: number; readonly addresses: string[] }[] = []
  const resolver = new SeedResolver({
    seeds: parseSeeds(seeds),
    defaultPort: 7946,
    dns,
    clock,
    random: () => 0.5,
    logger,
    isSelf: (address: SeedAddress) => formatHostPort(address) === self,
    onAddresses: (addresses) => rounds.push({ atMs: clock.now(), addresses: addresses.map(formatHostPort) }),
    settings,
    ...more,
  })
  return { clock, dns, logger, rounds, resolver }
}

describe('one round', () => {
  test('gives all addresses of all seeds, once each, with own ones left out', async () => {
    const { dns, rounds, resolver } = setUp('a:1,10.0.0.9,[::1]:5,dns:ring,srv:_g._udp.ring')
    dns.hosts.set('a', ['10.0.0.2', '::2', '10.0.0.2'])
    dns.names.set('ring', ['10.0.0.1', '10.0.0.3', '10.0.0.9', 'fd00::3'])
    dns.services.set('_g._udp.ring', [
      { name: 'x.ring', port: 77 },
      { name: 'y.ring.', port: 78 },
      { name: 'gone.ring', port: 79 },
      { name: '10.0.0.5', port: 80 },
    ])
    dns.names.set('x.ring.', ['10.0.0.4'])
    dns.names.set('y.ring.', ['10.0.0.4', 'fd00::4'])
    resolver.start()
    await settle()
    expect(rounds).toEqual([
      {
        atMs: 0,
        addresses: [
          '10.0.0.2:1',
          '[::2]:1',
          '10.0.0.9:7946',
          '[::1]:5',
          '10.0.0.3:7946',
          '[fd00::3]:7946',
          '10.0.0.4:77',
          '10.0.0.4:78',
          '[fd00::4]:78',
          '10.0.0.5:80',
        ],
      },
    ])
    expect(resolver.status).toMatchObject({ rounds: 1, foundSelf: true, failures: [] })
    expect(dns.asked).not.toContain('host 10.0.0.9')
    resolver.stop()
  })

  test('a name with addresses of both families gives those that this process gossips in', async () => {
    const { dns, rounds, resolver } = setUp('a,dns:ring,srv:_g,dns:six', {}, '10.0.0.1:7946', {
      family: () => 4,
    })
    dns.hosts.set('a', ['10.0.0.2', 'fd00::2'])
    dns.names.set('ring', ['fd00::3', '10.0.0.3'])
    dns.services.set('_g', [{ name: 'x', port: 77 }])
    dns.names.set('x.', ['10.0.0.4', 'fd00::4'])
    // Nothing else is known of it: better than nothing.
    dns.names.set('six', ['fd00::6'])
    resolver.start()
    await settle()
    const addresses = ['10.0.0.2:7946', '10.0.0.3:7946', '10.0.0.4:77', '[fd00::6]:7946']
    expect(rounds).toEqual([{ atMs: 0, addresses }])
    resolver.stop()
  })

  test('addresses at which nobody in particular is are left out', async () => {
    const { dns, rounds, resolver } = setUp('dns:ring')
    dns.names.set('ring', [
      '0.0.0.0',
      '10.0.0.3',
      '224.0.0.1',
      '255.255.255.255',
      '169.254.1.1',
      'ff02::1',
      'fe80::1',
    ])
    resolver.start()
    await settle()
    expect(rounds).toEqual([{ atMs: 0, addresses: ['10.0.0.3:7946'] }])
    resolver.stop()
  })

  test('pods give the addresses of the family that is of use, but for our own', async () => {
    const pods = { addresses: () => Promise.resolve(['10.0.0.1', 'fd00::1', '10.0.0.2', 'fd00::2']) }
    for (const [family, others] of [
      [4, ['10.0.0.2:7946', '10.0.0.1:7000', '10.0.0.2:7000']],
      [6, ['[fd00::1]:7946', '[fd00::2]:7946', '[fd00::1]:7000', '[fd00::2]:7000']],
    ] as const) {
      const { rounds, resolver } = setUp('pods:,pods:7000', {}, '10.0.0.1:7946', {
        pods,
        family: () => family,
      })
      resolver.start()
      await settle()
      expect(rounds).toEqual([{ atMs: 0, addresses: others }])
      resolver.stop()
    }
  })

  test('pods that cannot be had are a warning with the reason, and so are pods that nobody knows', async () => {
    const denied = () =>
      Promise.reject(Object.assign(new Error('no such right'), { code: 'KUBERNETES_FORBIDDEN' }))
    for (const [pods, reason] of [
      [{ pods: { addresses: denied } }, 'KUBERNETES_FORBIDDEN'],
      [{}, 'NOTIMPL'],
    ] as const) {
      const { logger, resolver } = setUp('pods:', {}, undefined, pods)
      resolver.start()
      await settle()
      expect(resolver.status.failures).toEqual([{ seed: 'pods:', reason }])
      expect(logger.of('seed.unresolved')).toHaveLength(1)
      resolver.stop()
    }
  })

  test('takes a bounded choice of a large answer, and no nonsense', async () => {
    const { dns, rounds, resolver } = setUp('dns:big,srv:many', { addressesPerSeed: 3, targetsPerService: 2 })
    dns.names.set('big', [
      'nonsense',
      '0.0.0.0',
      '::',
      ...Array.from({ length: 200 }, (_, n) => `10.1.0.${n}`),
    ])
    dns.services.set(
      'many',
      Array.from({ length: 100 }, (_, n) => ({ name: `10.2.0.${n}`, port: 1 })),
    )
    resolver.start()
    await settle()
    const { addresses } = rounds[0] ?? { addresses: [] }
    expect(addresses.filter((address) => address.startsWith('10.1.'))).toHaveLength(3)
    expect(addresses.filter((address) => address.startsWith('10.2.'))).toHaveLength(2)
    expect(addresses).toHaveLength(5)
    resolver.stop()
  })

  test('one name that fails leaves the others', async () => {
    const { dns, rounds, resolver, logger } = setUp('dns:none,dns:broken,host,srv:s,10.0.0.2')
    dns.names.set('broken', 'ESERVFAIL')
    dns.services.set('s', [{ name: 'missing', port: 1 }])
    resolver.start()
    await settle()
    expect(rounds[0]?.addresses).toEqual(['10.0.0.2:7946'])
    expect(resolver.status.failures).toEqual([
      { seed: 'dns:none', reason: 'ENOTFOUND' },
      { seed: 'dns:broken', reason: 'ESERVFAIL' },
      { seed: 'host', reason: 'ENOTFOUND' },
      { seed: 'srv:s', reason: 'ENOTFOUND' },
    ])
    expect(logger.of('seed.unresolved').map((line) => [line.level, line.fields['reason']])).toEqual([
      ['warn', 'ENOTFOUND'],
      ['warn', 'ESERVFAIL'],
      ['warn', 'ENOTFOUND'],
      ['warn', 'ENOTFOUND'],
    ])
    resolver.stop()
  })
})

describe('again and again', () => {
  const gaps = (rounds: readonly { readonly atMs: number }[]) =>
    rounds.slice(1).map(({ atMs }, index) => atMs - (rounds[index]?.atMs ?? 0))

  test('with backoff while alone, for ever', async () => {
    const { clock, rounds, resolver } = setUp('10.0.0.2')
    resolver.start()
    await clock.advance(60_000)
    expect(gaps(rounds).slice(0, 5)).toEqual([500, 1000, 2000, 4000, 5000])
    await clock.advance(3_600_000)
    expect(
      gaps(rounds)
        .slice(5)
        .every((gap) => gap === 5000),
    ).toBe(true)
    expect(rounds.length).toBeGreaterThan(700)
    resolver.stop()
  })

  test('slower with others, fast again once alone', async () => {
    const { clock, rounds, resolver } = setUp('10.0.0.2', { settledMs: 15_000 })
    resolver.start()
    await settle()
    resolver.setAlone(false)
    await clock.advance(60_000)
    expect(gaps(rounds)).toEqual([500, 15_000, 15_000, 15_000])
    await clock.advance(1000)
    resolver.setAlone(true)
    const { length } = rounds
    await clock.advance(2000)
    expect(rounds.length - length).toBe(2)
    resolver.stop()
  })

  test('with jitter either way', async () => {
    const clock = new VirtualClock()
    const chances = [0, 0.999]
    const at: number[] = []
    const resolver = new SeedResolver({
      seeds: parseSeeds('10.0.0.2'),
      defaultPort: 1,
      dns: new FakeDns(),
      clock,
      random: () => chances.shift() ?? 0.5,
      logger: new RecordingLogger(),
      isSelf: () => false,
      onAddresses: () => at.push(clock.now()),
    })
    resolver.start()
    await clock.advance(10_000)
    expect(at[1]).toBe(400)
    expect((at[2] ?? 0) - 400).toBeCloseTo(1199.6, 1)
    resolver.stop()
  })

  test('a name that comes later is found, and said to be', async () => {
    const { clock, dns, rounds, resolver, logger } = setUp('dns:later')
    resolver.start()
    await clock.advance(10_000)
    expect(rounds.every(({ addresses }) => addresses.length === 0)).toBe(true)
    expect(logger.of('seed.unresolved')).toHaveLength(1)
    dns.names.set('later', ['10.0.0.7'])
    await clock.advance(6000)
    expect(rounds.at(-1)?.addresses).toEqual(['10.0.0.7:7946'])
    expect(logger.of('seed.resolved')).toHaveLength(1)
    expect(resolver.status.failures).toEqual([])
    resolver.stop()
  })

  test('warnings are rare, and come at once when the reason changes', async () => {
    const { clock, dns, resolver, logger } = setUp('dns:x')
    resolver.start()
    await clock.advance(121_000)
    expect(logger.of('seed.unresolved').length).toBeLessThanOrEqual(3)
    const { length } = logger.of('seed.unresolved')
    dns.names.set('x', 'EREFUSED')
    await clock.advance(6000)
    expect(logger.of('seed.unresolved')).toHaveLength(length + 1)
    resolver.stop()
  })

  test('a DNS that goes back and forth warns as rarely: once a minute of each reason', async () => {
    const { clock, dns, resolver, logger } = setUp('dns:x')
    resolver.start()
    for (let round = 0; round < 100; round++) {
      dns.names.set('x', ['ESERVFAIL', 'EREFUSED', ['10.0.0.7']][round % 3] as Answer<string>)
      await clock.advance(6000)
    }
    const warnings = logger.of('seed.unresolved')
    for (const reason of ['ESERVFAIL', 'EREFUSED']) {
      const of = warnings.filter(({ fields }) => fields['reason'] === reason)
      expect(of.length).toBeGreaterThanOrEqual(8)
      expect(of.length).toBeLessThanOrEqual(10)
      expect(of.slice(1).every(({ fields }) => Number(fields['suppressed']) > 0)).toBe(true)
    }
    resolver.stop()
  })

  test('the last answer stands in while the DNS does not answer, but not when it says no', async () => {
    const { clock, dns, rounds, resolver } = setUp('dns:ring', { staleMs: 30_000 })
    dns.names.set('ring', ['10.0.0.7'])
    resolver.start()
    await settle()
    dns.names.set('ring', 'ESERVFAIL')
    await clock.advance(20_000)
    expect(rounds.at(-1)?.addresses).toEqual(['10.0.0.7:7946'])
    expect(resolver.status.failures).toEqual([{ seed: 'dns:ring', reason: 'ESERVFAIL' }])
    await clock.advance(20_000)
    expect(rounds.at(-1)?.addresses).toEqual([])
    dns.names.set('ring', ['10.0.0.7'])
    await clock.advance(6000)
    expect(rounds.at(-1)?.addresses).toEqual(['10.0.0.7:7946'])
    dns.names.set('ring', 'ENOTFOUND')
    await clock.advance(6000)
    expect(rounds.at(-1)?.addresses).toEqual([])
    resolver.stop()
  })
})

describe('names that never answer', () => {
  test('time out, and hold up nobody else', async () => {
    const { clock, dns, rounds, resolver } = setUp('dns:hang,10.0.0.2', { timeoutMs: 5000 })
    dns.names.set('hang', 'never')
    resolver.start()
    await clock.advance(4999)
    expect(rounds).toHaveLength(0)
    await clock.advance(1)
    expect(rounds[0]?.addresses).toEqual(['10.0.0.2:7946'])
    expect(resolver.status.failures).toEqual([{ seed: 'dns:hang', reason: 'ETIMEOUT' }])
    expect(dns.pending).toBe(0)
    resolver.stop()
  })

  test('a look-up that cannot be cancelled is not asked a second time beside the first', async () => {
    const { clock, dns, rounds, resolver } = setUp('hang', { timeoutMs: 1000 })
    dns.hosts.set('hang', 'never')
    resolver.start()
    await clock.advance(60_000)
    expect(rounds.length).toBeGreaterThan(5)
    expect(dns.asked).toHaveLength(1)
    expect(dns.pending).toBe(1)
    resolver.stop()
  })
})

describe('stop', () => {
  test('cancels the queries and the timers; nothing is called afterwards', async () => {
    const { clock, dns, rounds, resolver, logger } = setUp('dns:hang,host')
    dns.names.set('hang', 'never')
    resolver.start()
    await settle()
    resolver.stop()
    resolver.stop()
    await settle()
    expect(dns.pending).toBe(0)
    expect(clock.pendingTimers).toBe(0)
    await clock.advance(60_000)
    expect(rounds).toEqual([])
    expect(logger.of('seed.unresolved').length).toBeLessThanOrEqual(1)
    resolver.start()
    await settle()
    expect(clock.pendingTimers).toBe(0)
  })

  test('without seeds there is nothing to do', async () => {
    const { clock, rounds, resolver } = setUp('')
    resolver.start()
    resolver.setAlone(false)
    resolver.setAlone(true)
    await clock.advance(60_000)
    expect(rounds).toEqual([])
    expect(clock.pendingTimers).toBe(0)
  })
})
