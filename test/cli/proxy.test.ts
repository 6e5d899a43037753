import { once } from 'node:events'
import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { GOSSIP, HTTP_PORTS, ringman, STATIC, type TestProcess } from '../support/child-process.ts'
import { freePort } from '../support/free-port.ts'
import { runMain } from '../support/recording-terminal.ts'

/** A program that says its name and what it was sent, and takes WebSockets. */
async function program(name: string): Promise<Server> {
  const server = createServer((req, res) => {
    void (async () => {
      let body = ''
      for await (const chunk of req) body += String(chunk)
      res.end(JSON.stringify({ by: name, url: req.url, body, key: req.headers['x-user'] }))
    })()
  })
  server.on('upgrade', (_, socket) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\nx-by: ${name}\r\n\r\n`,
    )
    socket.on('data', (data: Buffer) => socket.write(data))
    socket.on('error', () => {})
  })
  server.listen(await freePort(), '127.0.0.1')
  await once(server, 'listening')
  return server
}

const portOf = (server: Server) => (server.address() as AddressInfo).port

// In this order: the last test ends a program.
describe('ringman proxy', { shuffle: false }, () => {
  const programs: Server[] = []
  const proxies: TestProcess[] = []
  const urls: string[] = []
  const adminUrls: string[] = []

  beforeAll(async () => {
    let seed: string | undefined
    for (const name of ['a', 'b']) {
      const behind = await program(name)
      programs.push(behind)
      const servicePort = await freePort()
      const proxy = ringman([
        'proxy',
        '--upstream',
        `http://127.0.0.1:${portOf(behind)}`,
        '--key-header',
        'X-User',
        '--forward-networks',
        '127.0.0.0/8',
        '--service-port',
        String(servicePort),
        '--name',
        name,
        ...HTTP_PORTS,
        '--drain',
        '0',
        ...GOSSIP,
        ...(seed === undefined ? [] : ['--seeds', seed, '--min-members', '2']),
      ])
      proxies.push(proxy)
      const ready = await proxy.ready()
      expect(ready.proxy.port).toBe(servicePort)
      urls.push(ready.proxy.url)
      adminUrls.push(ready.admin.url)
      seed ??= `127.0.0.1:${ready.gossip.port}`
    }
    await proxies[0]!.event('ring.changed', (fields) => fields['nodes'] === 2)
  })

  afterAll(async () => {
    await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()))
    for (const server of programs) {
      server.closeAllConnections()
      server.close()
    }
  })

  test('brings each request to the program of the member that owns its key, whichever is asked', async () => {
    const owners = new Map<string, unknown>()
    for (let i = 0; i < 20; i++) {
      for (const url of urls) {
        const init = { method: 'POST', body: `body ${i}`, headers: { 'x-user': `user-${i}` } }
        const answer = (await (await fetch(`${url}/path?${i}`, init)).json()) as Record<string, unknown>
        expect(answer).toMatchObject({ url: `/path?${i}`, body: `body ${i}`, key: `user-${i}` })
        expect(owners.get(`user-${i}`) ?? answer['by']).toBe(answer['by'])
        owners.set(`user-${i}`, answer['by'])
      }
    }
    expect(new Set(owners.values())).toEqual(new Set(['a', 'b']))
    // Without a key it is for the program beside the one that was asked.
    expect(await (await fetch(`${urls[1]}/`)).json()).toMatchObject({ by: 'b' })
    for (const [key, owner] of owners) {
      const { port } = new URL(urls[0]!)
      const asked = httpRequest({
        host: '127.0.0.1',
        port,
        headers: { connection: 'Upgrade', upgrade: 'echo', 'x-user': key },
      })
      asked.end()
      const [answer, socket] = (await once(asked, 'upgrade')) as [IncomingMessage, Socket]
      expect(answer.headers['x-by']).toBe(owner)
      socket.write('hello')
      expect(String((await once(socket, 'data'))[0])).toBe('hello')
      socket.destroy()
    }
  })

  test('counts its connections, and bounds what clients hold of it', async () => {
    const metric = async (name: string) => {
      const text = await (await fetch(`${adminUrls[0]}/metrics`)).text()
      return Number(new RegExp(`^ringman_${name} (.*)$`, 'm').exec(text)?.[1])
    }
    const before = await metric('http_connections{port="proxy"}')
    // That of the request that asks.
    const ownHead = await metric('http_held_bytes{kind="head"}')
    expect(await metric('http_connections_limit{port="proxy"}')).toBeGreaterThan(100)
    const sockets = Array.from({ length: 3 }, () => connect(Number(new URL(urls[0]!).port), '127.0.0.1'))
    for (const socket of sockets) socket.write(`GET / HTTP/1.1\r\nX-User: ${'x'.repeat(1000)}`)
    await vi.waitFor(async () => {
      expect(await metric('http_connections{port="proxy"}')).toBe(before + 3)
      expect(await metric('http_held_bytes{kind="head"}')).toBeGreaterThan(ownHead + 3000)
    }, 60_000)
    for (const socket of sockets) socket.destroy()
    await expect.poll(() => metric('http_held_bytes{kind="head"}')).toBe(ownHead)
  })

  test('whose program is gone says so, and ends in order', async () => {
    programs[1]!.closeAllConnections()
    programs[1]!.close()
    const answer = await fetch(`${urls[1]}/`)
    expect([answer.status, await answer.json()]).toEqual([
      502,
      expect.objectContaining({
        code: 'UNREACHABLE',
        detail: expect.stringMatching(
          /^the program behind this proxy, at 127\.0\.0\.1:\d+, did not answer/,
        ) as string,
      }),
    ])
    const upgraded = httpRequest(urls[0]!, { headers: { connection: 'Upgrade', upgrade: 'echo' } })
    upgraded.end()
    const [, socket] = (await once(upgraded, 'upgrade')) as [IncomingMessage, Socket]
    socket.resume()
    proxies[0]!.signal('SIGTERM')
    await once(socket, 'close')
    proxies[1]!.signal('SIGTERM')
    expect(await proxies[0]!.ended).toEqual({ code: 0, signal: null })
    expect(await proxies[1]!.ended).toEqual({ code: 0, signal: null })
  })
})

test('a proxy without what it needs does not start, and says all of it', async () => {
  expect(await runMain(['proxy'])).toMatchObject({
    code: 2,
    err: expect.stringMatching(/--upstream/) as string,
  })
  for (const upstream of ['https://127.0.0.1/path', 'foo']) {
    expect(await runMain(['proxy', '--upstream', upstream, '--key-header', ' ', ...STATIC])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/allowed: http:\/\/HOST:PORT\n[^]*--key-header/) as string,
    })
  }
  const { code, err } = await runMain(['proxy', '--upstream', 'http://127.0.0.1:1', ...STATIC])
  expect([code, err]).toEqual([2, expect.stringMatching(/memberlist and swim/) as string])
  const open = await runMain(['proxy', '--upstream', 'http://127.0.0.1:1'])
  expect([open.code, open.err]).toEqual([2, expect.stringMatching(/--forward-networks/) as string])
})
