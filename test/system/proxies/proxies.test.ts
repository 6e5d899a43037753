import { connect } from 'node:net'
import { once } from 'node:events'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ProxyName } from '../../support/proxy-programs.ts'
import { TestProcess } from '../../support/child-process.ts'
import { freePort } from '../../support/free-port.ts'
import type { ApplicationAnswer } from './application.ts'
import { eventually, Fleet, hostOf, type Owners } from './fleet.ts'
import { Proxy } from './proxy.ts'

const NAMES: readonly ProxyName[] = ['envoy', 'nginx', 'haproxy', 'caddy']
const KEYS = Array.from({ length: 30 }, (_, i) => `user:${i}`)
const LOAD_EVERY_MS = 20
/** What a test may take on a machine that has other work. */
const PATIENCE_MS = 60_000

let fleet: Fleet
const proxies = new Map<ProxyName, Proxy>()
/** Requests of the load that failed, since the last look. */
const failures: { readonly startedMs: number; readonly what: string }[] = []
const loading = new AbortController()
const loads: Promise<void>[] = []

beforeAll(async () => {
  fleet = await Fleet.start(3)
  await Promise.all(NAMES.map(async (name) => proxies.set(name, await Proxy.start(name, fleet))))
  loads.push(...NAMES.map(load))
})

afterAll(async () => {
  loading.abort()
  await Promise.all(loads)
  for (const proxy of proxies.values()) await proxy[Symbol.asyncDispose]()
  await fleet[Symbol.asyncDispose]()
})

function proxyOf(name: ProxyName): Proxy {
  const proxy = proxies.get(name)
  if (proxy === undefined) throw new Error(`${name} did not start`)
  return proxy
}

async function ask(name: ProxyName, path: string, init: RequestInit = {}): Promise<ApplicationAnswer> {
  const answer = await fetch(`${proxyOf(name).url}${path}`, init)
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`${name}: ${answer.status} ${text.slice(0, 200)}`)
  return JSON.parse(text) as ApplicationAnswer
}

const withKey = (key: string, more: RequestInit = {}): RequestInit => ({
  ...more,
  headers: { ...(more.headers as Record<string, string>), 'X-Key': key },
})

/** Requests that never stop while pods come and go. */
async function load(name: ProxyName): Promise<void> {
  for (let i = 0; !loading.signal.aborted; i++) {
    const post = i % 4 === 3
    const startedMs = performance.now()
    const fail = (what: string) => failures.push({ startedMs, what: `${name}: ${what}` })
    try {
      const { body } = await ask(
        name,
        '/load',
        withKey(KEYS[i % KEYS.length] ?? '', post ? { method: 'POST', body: 'a body' } : {}),
      )
      if (body !== (post ? 'a body' : '')) fail('lost a body')
    } catch (error) {
      fail(inspect(error, { depth: 2, breakLength: Infinity }))
    }
    await new Promise((resolve) => setTimeout(resolve, LOAD_EVERY_MS))
  }
}

/** Where keys come out, until that is where they should. */
async function expectEach(name: ProxyName, expected: (owners: Owners) => string | undefined): Promise<void> {
  await eventually(async () => {
    const wrong: string[] = []
    for (const key of KEYS) {
      const want = expected(await fleet.owners(key))
      const { instance } = await ask(name, '/', withKey(key))
      if (instance !== want) wrong.push(`${key}: ${instance} instead of ${want}`)
    }
    expect(wrong, proxyOf(name).output).toEqual([])
  }, PATIENCE_MS)
}

/** @param sinceMs - When a pod was killed: whoever it was just answering had bad luck. */
function expectNoFailures(sinceMs = 0): void {
  expect(failures.splice(0).filter(({ startedMs }) => startedMs > sinceMs)).toEqual([])
}

/** Of `performance.now`, once the proxies know that the connections are gone, also where the machine stood still meanwhile. */
async function afterKill(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 500))
  return performance.now()
}

async function expectOwnersEverywhere(sinceMs?: number): Promise<void> {
  await fleet.settled()
  await Promise.all(NAMES.map((name) => expectEach(name, ([owner]) => owner)))
  expectNoFailures(sinceMs)
}

describe('every key reaches its owner', () => {
  test('with three pods', () => expectOwnersEverywhere())

  test.each(NAMES)('through %s by header, cookie or path alike, with any method', async (name) => {
    for (const key of KEYS.slice(0, 10)) {
      const [owner] = await fleet.owners(key)
      const ways: [string, RequestInit][] = [
        ['/', withKey(key)],
        ['/any/path?x=1', withKey(key, { method: 'PUT', body: 'b'.repeat(100_000) })],
        ['/', { headers: { Cookie: `a=b; session=${key}` } }],
        [`/rooms/${encodeURIComponent(key)}/messages?since=1`, {}],
        [`/rooms/${encodeURIComponent(key)}`, { method: 'DELETE' }],
      ]
      for (const [path, init] of ways) {
        // A look-up that took too long on a busy machine is the fallback's: it is asked for once more.
        await eventually(async () => {
          const answer = await ask(name, path, init)
          expect([answer.instance, answer.url, answer.method]).toEqual([owner, path, init.method ?? 'GET'])
          expect(answer.body).toBe(init.body ?? '')
        })
      }
    }
  })

  test('when one joins', async () => {
    await fleet.add(hostOf(4))
    await expectOwnersEverywhere()
  })

  test('when one leaves', async () => {
    await fleet.end(hostOf(4))
    await expectOwnersEverywhere()
  })

  test('the next one while an owner does not answer of which the ring has not heard', async () => {
    const dead = hostOf(2)
    await fleet.killApplication(dead)
    const killedMs = await afterKill()
    await Promise.all(NAMES.map((name) => expectEach(name, (owners) => owners.find((one) => one !== dead))))
    expectNoFailures(killedMs)
    await fleet.restartApplication(dead)
    await expectOwnersEverywhere()
  })

  test('when one is killed, also while Services and DNS still list it', async () => {
    const dead = hostOf(3)
    await fleet.kill(dead)
    await expectOwnersEverywhere(await afterKill())
    fleet.unlist(dead)
    await fleet.add(dead)
    await expectOwnersEverywhere()
  })

  test('when all are replaced, one after the other', async () => {
    for (const host of fleet.hosts) {
      await fleet.end(host)
      await fleet.settled()
      await fleet.add(host)
      await fleet.settled()
    }
    await expectOwnersEverywhere()
  })
})

describe('what clients say of owners', () => {
  const [key = ''] = KEYS
  /** Of somebody who wants the request to come out there. */
  const claims = (address: string) => ({
    'X-Ringman-Owner': address,
    'X-Ringman-Next-1': address,
    'X-Ringman-Next-2': address,
    'X-Ringman-Digest': 'x',
  })
  const CONNECTIONS = ['keep-alive', 'x-ringman-owner', 'X-Ringman-Owner, X-Ringman-Next-1, close']

  test.each(NAMES)('does not change where a key goes through %s', async (name) => {
    const [owner, other = ''] = await fleet.owners(key)
    const claim = `${other}:${fleet.applicationPort}`
    for (const connection of CONNECTIONS) {
      await eventually(async () => {
        const answer = await rawAsk(name, { ...claims(claim), 'X-Key': key, Connection: connection })
        expect(answer.instance).toBe(owner)
        expect(answer.headers['x-ringman-owner'] ?? owner).toMatch(new RegExp(`^${owner}`))
      })
    }
  })

  test.each(NAMES)('leads a request without a key nowhere through %s', async (name) => {
    const port = await freePort()
    const program = new URL('application.ts', import.meta.url).pathname
    await using stranger = new TestProcess([program, hostOf(99), String(port)])
    await stranger.event('ready')
    const [, wanted] = await fleet.owners(key)
    for (const claim of [`${wanted}:${fleet.applicationPort}`, `${hostOf(99)}:${port}`]) {
      // A key that is named as hop-by-hop is one that Envoy and Caddy leave out, as HTTP has it.
      for (const connection of [...CONNECTIONS, 'X-Key']) {
        const headers = {
          ...claims(claim),
          Connection: connection,
          ...(connection === 'X-Key' && { 'X-Key': '' }),
        }
        const answers = await Promise.all(Array.from({ length: 12 }, () => rawAsk(name, headers)))
        const instances = new Set(answers.map(({ instance }) => instance))
        expect(fleet.hosts).toEqual(expect.arrayContaining([...instances]))
        // They go to all in turn, and not where somebody wants them.
        expect(instances.size).toBeGreaterThan(1)
      }
    }
  })

  /** A request with headers that `fetch` does not send. */
  async function rawAsk(name: ProxyName, headers: Record<string, string>): Promise<ApplicationAnswer> {
    const socket = connect(proxyOf(name).port, proxyOf(name).host)
    const lines = Object.entries(headers).map(([header, value]) => `${header}: ${value}\r\n`)
    socket.setEncoding('utf8').setTimeout(10_000, () => socket.destroy())
    socket.write(`GET /raw HTTP/1.1\r\nHost: a\r\n${lines.join('')}\r\n`)
    let text = ''
    try {
      for await (const part of socket) {
        text += String(part)
        const json = /\{.*"body":"","cuts":\d+\}/s.exec(text)
        if (json !== null) return JSON.parse(json[0]) as ApplicationAnswer
      }
    } finally {
      socket.destroy()
    }
    throw new Error(`${name} answered ${JSON.stringify(text)}`)
  }
})

describe('streams', () => {
  test.each(NAMES)('WebSockets are with the owner through %s', async (name) => {
    for (const key of KEYS.slice(0, 6)) {
      const [owner] = await fleet.owners(key)
      await eventually(async () => {
        const url = `${proxyOf(name).url.replace('http', 'ws')}/rooms/${encodeURIComponent(key)}`
        const socket = new WebSocket(url)
        try {
          const signal = AbortSignal.timeout(10_000)
          await once(socket, 'open', { signal })
          for (const message of ['one', 'two']) {
            const answered = once(socket, 'message', { signal })
            socket.send(message)
            const [event] = (await answered) as [{ readonly data: string }]
            expect(event.data).toBe(`${owner} ${message}`)
          }
        } finally {
          socket.close()
        }
      })
    }
  })

  test.each(NAMES)('server-sent events come from the owner through %s, each as it happens', async (name) => {
    const [key = ''] = KEYS
    const [owner] = await fleet.owners(key)
    await eventually(async () => {
      const abort = new AbortController()
      const answer = await fetch(`${proxyOf(name).url}/rooms/${encodeURIComponent(key)}/events`, {
        signal: AbortSignal.any([abort.signal, AbortSignal.timeout(10_000)]),
      })
      let text = ''
      for await (const part of answer.body ?? []) {
        text += Buffer.from(part).toString()
        // The third is sent long after the head: nothing gathers them.
        if (text.includes(' 3\n\n')) break
      }
      abort.abort()
      expect(text.startsWith(`data: ${owner} 1\n\ndata: ${owner} 2\n\n`)).toBe(true)
    })
  })
})

describe('a request that an owner broke off', () => {
  const cuts = async () => {
    let sum = 0
    for (const host of fleet.hosts) {
      const answer = await fetch(`http://${host}:${fleet.applicationPort}/`)
      sum += ((await answer.json()) as ApplicationAnswer).cuts
    }
    return sum
  }

  test.each(NAMES)('is not sent again by %s where it may have been done', async (name) => {
    const before = await cuts()
    const ending = await fetch(
      `${proxyOf(name).url}/cut`,
      withKey('user:1', { method: 'POST', body: 'order' }),
    ).then(
      ({ status }) => status,
      () => 502,
    )
    expect([502, 503]).toContain(ending)
    expect((await cuts()) - before).toBe(1)
  })
})

describe('without ringman', () => {
  test('while no member answers, requests go to any instance, without an error', async () => {
    fleet.signalMembers('SIGSTOP')
    try {
      await Promise.all(NAMES.map(expectFallback))
    } finally {
      fleet.signalMembers('SIGCONT')
    }
    await expectOwnersEverywhere()
  })

  test('while no member is there, the same', async () => {
    for (const { member } of fleet.pods.values()) await member[Symbol.asyncDispose]()
    await Promise.all(NAMES.map(expectFallback))
    expectNoFailures()
  })

  async function expectFallback(name: ProxyName): Promise<void> {
    const answers = await Promise.all(Array.from({ length: 24 }, () => ask(name, '/', withKey('user:1'))))
    expect(new Set(answers.map(({ instance }) => instance)).size, name).toBeGreaterThan(1)
  }
})
