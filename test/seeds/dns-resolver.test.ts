import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { candidateNames, dnsCodeOf, NodeDnsResolver, parseSearchList } from '../../src/seeds/dns-resolver.ts'
import { a, aaaa, srv, TinyDnsServer } from '../support/tiny-dns-server.ts'

describe('NodeDnsResolver, against a DNS server', () => {
  let server: TinyDnsServer
  let dns: NodeDnsResolver
  let impatient: NodeDnsResolver
  const signal = () => AbortSignal.timeout(60_000)

  beforeEach(async () => {
    server = new TinyDnsServer()
    const options = {
      servers: [await server.listen()],
      searchList: { domains: ['default.svc.cluster.local', 'svc.cluster.local', 'cluster.local'], ndots: 5 },
    }
    dns = new NodeDnsResolver({ ...options, queryTimeoutMs: 60_000 })
    impatient = new NodeDnsResolver({ ...options, queryTimeoutMs: 300 })
  })

  afterEach(() => {
    server.close()
  })

  const failure = async (promise: Promise<unknown>) =>
    dnsCodeOf(
      await promise.then(
        () => 'resolved',
        (error: unknown) => error,
      ),
    )

  test('all A and AAAA records, found through the search list', async () => {
    server.zone.set('gossip.default.svc.cluster.local', [
      a('10.0.0.1'),
      a('10.0.0.2'),
      aaaa('20010db8000000000000000000000001'),
    ])
    const found = await dns.addressesOf('gossip.default.svc', signal())
    expect(found.sort()).toEqual(['10.0.0.1', '10.0.0.2', '2001:db8::1'])
    expect(server.asked[0]).toBe('gossip.default.svc.default.svc.cluster.local')
  })

  test('an absolute name is asked for as it is', async () => {
    server.zone.set('ring.example', [a('10.0.0.3')])
    expect(await dns.addressesOf('ring.example.', signal())).toEqual(['10.0.0.3'])
    expect([...new Set(server.asked)]).toEqual(['ring.example'])
  })

  test('A records alone do, and so do AAAA records alone', async () => {
    server.zone.set('v4.cluster.local', [a('10.0.0.4')])
    server.zone.set('v6.cluster.local', [aaaa('fd000000000000000000000000000001')])
    expect(await dns.addressesOf('v4', signal())).toEqual(['10.0.0.4'])
    expect(await dns.addressesOf('v6', signal())).toEqual(['fd00::1'])
  })

  test('many records in one answer', async () => {
    const all = Array.from({ length: 30 }, (_, n) => `10.0.1.${n}`)
    server.zone.set('many.cluster.local', all.map(a))
    expect((await dns.addressesOf('many', signal())).sort()).toEqual(all.sort())
  })

  test('SRV records with their ports', async () => {
    server.zone.set('_gossip._udp.ring.default.svc.cluster.local', [
      srv(7946, 'ring-0.ring.default.svc.cluster.local'),
      srv(7947, 'ring-1.ring.default.svc.cluster.local'),
    ])
    const targets = await dns.servicesOf('_gossip._udp.ring.default.svc', signal())
    expect(targets.sort((one, other) => one.port - other.port)).toEqual([
      { name: 'ring-0.ring.default.svc.cluster.local', port: 7946 },
      { name: 'ring-1.ring.default.svc.cluster.local', port: 7947 },
    ])
  })

  test('the reason of a failure', async () => {
    server.zone.set('broken.', 2)
    server.zone.set('empty', [])
    server.zone.set('broken', 2)
    server.zone.set('refused', 5)
    expect(await failure(dns.addressesOf('absent', signal()))).toBe('ENOTFOUND')
    expect(await failure(dns.addressesOf('empty.', signal()))).toBe('ENODATA')
    expect(await failure(dns.servicesOf('empty.', signal()))).toBe('ENODATA')
    expect(await failure(dns.addressesOf('broken', signal()))).toBe('ESERVFAIL')
    expect(await failure(dns.addressesOf('refused.', signal()))).toBe('EREFUSED')
  })

  test('a server that is silent, within the time of the query', async () => {
    server.zone.set('hang', 'silence')
    expect(await failure(impatient.addressesOf('hang.', signal()))).toBe('ETIMEOUT')
  })

  test('a query ends when its signal aborts', async () => {
    server.zone.set('hang', 'silence')
    const abort = new AbortController()
    const query = dns.addressesOf('hang.', abort.signal)
    await expect.poll(() => server.asked.length).toBeGreaterThan(0)
    abort.abort()
    const reason = await failure(query)
    expect(reason).not.toBe('ETIMEOUT')
    expect(reason).not.toBe('none')
  })

  test('plain host names go through the hosts file', async () => {
    expect(await dns.lookUp('localhost')).toContain('127.0.0.1')
    expect(await dns.lookUp('127.0.0.5')).toEqual(['127.0.0.5'])
  })
})

describe('the search list', () => {
  test.each([
    ['', { domains: [], ndots: 1 }],
    ['nameserver 10.0.0.1\nsearch a.b  c\noptions timeout:1 ndots:5\n', { domains: ['a.b', 'c'], ndots: 5 }],
    ['search a\ndomain b', { domains: ['b'], ndots: 1 }],
    ['domain b\nsearch a c', { domains: ['a', 'c'], ndots: 1 }],
    ['options ndots:99', { domains: [], ndots: 15 }],
    ['options ndots:x\n; search z\n# search z', { domains: [], ndots: 1 }],
    [`search ${'d '.repeat(50)}`, { domains: Array.from({ length: 8 }, () => 'd'), ndots: 1 }],
  ])('%j', (text, list) => {
    expect(parseSearchList(text)).toEqual(list)
  })

  test.each([
    ['a', ['a.x', 'a.y', 'a']],
    ['a.b', ['a.b.x', 'a.b.y', 'a.b']],
    ['a.b.c', ['a.b.c', 'a.b.c.x', 'a.b.c.y']],
    ['a.', ['a']],
  ])('candidates of %s', (name, candidates) => {
    expect(candidateNames(name, { domains: ['x', 'y.'], ndots: 2 })).toEqual(candidates)
  })
})
