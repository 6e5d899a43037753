import { expect, test } from 'vitest'
import { serve, TestProcess } from '../../support/child-process.ts'
import { freePort } from '../../support/free-port.ts'
import type { ProxyName } from '../../support/proxy-programs.ts'
import { aaaa, TinyDnsServer } from '../../support/tiny-dns-server.ts'
import type { ApplicationAnswer } from './application.ts'
import { hostOf } from './fleet.ts'
import { Proxy } from './proxy.ts'

const OWNER = '::1'
const OTHER = hostOf(50)

/** The owner and another instance, for those proxies that have to know the pods. There is one IPv6 address of loopback. */
const BOTH: Readonly<Record<ProxyName, (recipe: string, port: number) => string>> = {
  envoy: (recipe, port) => {
    const endpoint = (host: string) =>
      `              - endpoint: { address: { socket_address: { address: '${host}', port_value: ${port} } } }`
    const known = / +- endpoint:\n +# A headless[^]*?(?=\n +load_balancing_policy)/
    expect(recipe).toMatch(known)
    return recipe.replace(known, `${endpoint(OTHER)}\n${endpoint(OWNER)}`)
  },
  haproxy: (recipe, port) =>
    recipe.replace(/server-template .*/, `server other ${OTHER}:${port}\n  server owner ${OWNER}:${port}`),
  nginx: (recipe) => recipe,
  caddy: (recipe) => recipe,
}

/** A proxy before the two instances, with a ring of the one: by its address, or by a name. */
async function expectOwner(
  name: ProxyName,
  host: string,
  { listensAt = OWNER, edit = (recipe: string) => recipe } = {},
): Promise<void> {
  const applicationPort = await freePort()
  const program = new URL('application.ts', import.meta.url).pathname
  await using owner = new TestProcess([program, listensAt, String(applicationPort)])
  await using other = new TestProcess([program, OTHER, String(applicationPort)])
  await using member = serve([
    '--source',
    'static',
    '--static-members',
    `${host}:${applicationPort}`,
    '--route-key',
    'header:x-key',
  ])
  const [{ http }] = await Promise.all([member.ready(), owner.event('ready'), other.event('ready')])
  const backends = {
    dnsAddress: '127.0.0.1:9',
    applicationPort,
    lookUps: http,
    application: { host: OTHER, port: applicationPort },
  }
  await using proxy = await Proxy.start(name, backends, (recipe) => edit(BOTH[name](recipe, applicationPort)))
  const instancesOf = async (headers: Record<string, string>) => {
    const seen = new Set<string>()
    for (let i = 0; i < 6; i++) {
      const answer = await fetch(`${proxy.url}/`, { headers })
      seen.add(((await answer.json()) as ApplicationAnswer).instance)
    }
    return [...seen]
  }
  await expect.poll(() => instancesOf({ 'X-Key': 'a' }), { timeout: 60_000 }).toEqual([listensAt])
  // The other instance is there as well, and is where a request may go that has no key.
  expect(await instancesOf({})).toContain(OTHER)
}

test.each(Object.keys(BOTH) as ProxyName[])('%s takes an owner with an IPv6 address', (name) =>
  expectOwner(name, `[${OWNER}]`),
)

test('Caddy takes an owner with a host name', () =>
  expectOwner('caddy', 'localhost', { listensAt: '127.0.0.1' }))

test('nginx takes an owner with a host name where it has a resolver', async () => {
  const dns = new TinyDnsServer()
  const dnsAddress = await dns.listen()
  dns.zone.set('localhost', [aaaa('00000000000000000000000000000001')])
  try {
    const edit = (recipe: string) => recipe.replace('http {', `http {\n  resolver ${dnsAddress};`)
    await expectOwner('nginx', 'localhost', { edit })
  } finally {
    dns.close()
  }
})
