import { request, type RequestOptions } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Addresses } from './attacked-cluster.ts'
import type { Attack } from './run-attack.ts'

const FORM = 'application/x-www-form-urlencoded'
const MIB = 1024 * 1024

/** Milliseconds that an attack keeps up what it began. */
const HOLD_MS = 4000

const pause = (ms: number) => new Promise<void>((wake) => setTimeout(wake, ms))

/** What anybody can do who reaches the look-up port; the first member is the target of each. */
export const HTTP_ATTACKS: Readonly<Record<string, Attack>> = {
  'answers-larger-than-their-request': async ([target]) => {
    const key = Buffer.concat([Buffer.from('key='), Buffer.alloc(2 * MIB - 20, '<')])
    const sent = await repeat(4, () => post(target, '/hashring/nodes/get', FORM, key))
    return `${sent} forms of 2 MiB`
  },

  'answers-nobody-reads': async ([target]) => {
    const keys = Array.from({ length: 10_000 }, (_, i) => `k${i}`)
    const batch = JSON.stringify({ keys, n: 3 })
    const head = `POST /v1/owners HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${batch.length}\r\n\r\n`
    const form = Buffer.concat([Buffer.from('key='), Buffer.alloc(60_000, '<')])
    const formHead = `POST /hashring/nodes/get HTTP/1.1\r\nHost: a\r\nContent-Type: ${FORM}\r\nContent-Length: ${form.length}\r\n\r\n`
    const batches = openMany(target, 400, () => Buffer.from(head + batch))
    const forms = openMany(target, 400, () => Buffer.concat([Buffer.from(formHead), form]))
    // Further requests on each connection, of which nothing is read either.
    await pause(HOLD_MS / 2)
    for (const socket of await batches) socket.write(head + batch)
    await pause(HOLD_MS / 2)
    return `${(await batches).length + (await forms).length} connections`
  },

  'watches-nobody-reads': async ([target]) => {
    const sockets = await openMany(target, 1000, () =>
      Buffer.from('GET /v1/ring/watch HTTP/1.1\r\nHost: a\r\n\r\n'),
    )
    await pause(HOLD_MS)
    return `${sockets.length} watches`
  },

  // What a watch's request said must not be kept for as long as the watch lasts.
  'watches-with-large-heads': async ([target]) => {
    const head = `GET /v1/ring/watch HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(250 * 1024)}\r\n\r\n`
    const sockets = await openMany(target, 1000, () => Buffer.from(head))
    for (const socket of sockets) socket.resume()
    await pause(HOLD_MS)
    return `${sockets.length} watches with heads of 250 KB`
  },

  'nested-bodies': async ([target]) => {
    const nested = Buffer.from(`{"keys":${'['.repeat(1_040_000)}${']'.repeat(1_040_000)}}`)
    const sent = await repeat(8, () => post(target, '/v1/owners', 'application/json', nested))
    return `${sent} bodies of 2 MiB, a million levels deep`
  },

  'bodies-of-many-tokens': async ([target]) => {
    const fields = Array.from({ length: 180_000 }, (_, i) => `"f${i}":1`).join(',')
    const bodies = [
      `{${fields}}`,
      `{"keys":[${'[],'.repeat(690_000)}[]]}`,
      `{"keys":[${'{},'.repeat(690_000)}{}]}`,
    ]
    let next = 0
    const sent = await repeat(4, () =>
      post(target, '/v1/owners', 'application/json', Buffer.from(bodies[next++ % bodies.length] ?? '')),
    )
    return `${sent} bodies of 2 MiB, hundreds of thousands of tokens each`
  },

  'multipart-of-many-parts': async ([target]) => {
    const part = '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n'
    const many = Buffer.from(part.repeat(38_000))
    const sent = await repeat(4, () =>
      post(target, '/hashring/nodes/get', 'multipart/form-data; boundary=b', many),
    )
    return `${sent} forms of 38,000 parts`
  },

  'largest-legal-batches': async ([target]) => {
    const keys = Array.from({ length: 10_000 }, (_, i) => `${'k'.repeat(150)}${i}`)
    const body = Buffer.from(JSON.stringify({ keys, n: 3 }))
    const sent = await repeat(4, () => post(target, '/v1/owners', 'application/json', body))
    return `${sent} batches of 10,000 keys`
  },

  'largest-legal-plans': async ([target]) => {
    const join = Array.from({ length: 100 }, (_, i) => `n${i}=1000`).join(',')
    const sent = await repeat(4, () => ask(target, `/v1/plan?join=${join}`))
    return `${sent} plans of 100 nodes`
  },

  'pipelined-requests': async ([target]) => {
    const many = Buffer.from('GET /v1/owner?key=a HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(50_000))
    const sockets = await openMany(target, 100, () => many)
    for (const socket of sockets) socket.resume()
    await pause(HOLD_MS)
    return `${sockets.length} connections with 50,000 requests each, sent at once`
  },

  'pipelined-requests-nobody-reads': async ([target]) => {
    const many = Buffer.from('GET /v1/owner?key=a HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(50_000))
    const sockets = await openMany(target, 100, () => many)
    await pause(HOLD_MS)
    return `${sockets.length} connections with 50,000 requests each, sent at once`
  },

  'a-request-on-each-connection-at-once': async ([target]) => {
    const sockets = await openMany(target, 900, () => undefined)
    let rounds = 0
    for (const endMs = performance.now() + HOLD_MS; performance.now() < endMs; rounds++) {
      for (const socket of sockets) socket.write('GET /v1/owner?key=a HTTP/1.1\r\nHost: a\r\n\r\n')
      await pause(500)
    }
    return `${rounds} times a request on each of ${sockets.length} connections`
  },

  'bodies-in-small-chunks': async ([target]) => {
    const head =
      'POST /v1/owners HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
    const chunks = Buffer.from(head + '1\r\n \r\n'.repeat(300_000))
    let opened = 0
    for (const endMs = performance.now() + HOLD_MS; performance.now() < endMs;) {
      const sockets = await openMany(target, 50, () => chunks)
      await pause(500)
      for (const socket of sockets) socket.destroy()
      opened += sockets.length
    }
    return `${opened} bodies in chunks of one byte`
  },

  'unfinished-heads': async ([target]) => {
    const head = Buffer.from(`GET /v1/owner?key=a HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(250 * 1024)}`)
    const sockets = await openMany(target, 1200, () => head)
    await pause(HOLD_MS)
    return `${sockets.length} heads of 250 KB without an end`
  },

  'unfinished-heads-on-the-admin-port': async ([target]) => {
    const head = Buffer.from(`GET /livez HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(250 * 1024)}`)
    const sockets = await openMany({ ...target, httpPort: target?.adminPort ?? 0 }, 1200, () => head)
    await pause(HOLD_MS)
    return `${sockets.length} heads of 250 KB without an end`
  },

  'unfinished-bodies': async ([target]) => {
    const head = Buffer.from(
      `POST /v1/owners HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${2 * MIB}\r\n\r\n`,
    )
    const sockets = await openMany(target, 100, () => Buffer.concat([head, Buffer.alloc(2 * MIB - 1, 0x20)]))
    await pause(HOLD_MS)
    return `${sockets.length} bodies of 2 MiB without an end`
  },

  'large-heads-whose-bodies-do-not-come': async ([target]) => {
    const head = `POST /v1/owners HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX: ${'a'.repeat(250 * 1024)}\r\n`
    const sockets = await openMany(target, 1000, () => Buffer.from(`${head}Content-Length: 10\r\n\r\n`))
    await pause(HOLD_MS)
    return `${sockets.length} heads of 250 KB whose bodies do not come`
  },

  'pages-nobody-reads': async ([target]) => {
    const one = `GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nX: ${'a'.repeat(8 * 1024)}\r\n\r\n`
    const sockets = await openMany(target, 800, () => Buffer.from(one.repeat(32)))
    await pause(HOLD_MS)
    return `${sockets.length} connections with 32 status pages each`
  },

  // Each is gone again before its answer is there.
  'clients-that-do-not-wait': async ([target]) => {
    const pages = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n'.repeat(16))
    const others = Buffer.from('GET /v1/agreement HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(16))
    let opened = 0
    for (const endMs = performance.now() + HOLD_MS; performance.now() < endMs;) {
      const sockets = await openMany(target, 900, () => (opened++ % 2 === 0 ? pages : others))
      for (const socket of sockets) socket.resetAndDestroy()
    }
    return `${opened} connections with 16 status pages or questions of agreement each, reset at once`
  },

  'cookies-without-end': async ([target]) => {
    const headers = { cookie: 'd=;'.repeat(80_000) }
    const sent = await repeat(4, () => ask(target, '/v1/route/any', { headers }))
    return `${sent} requests of 80,000 cookies`
  },

  'actions-without-the-token': async ([target]) => {
    const admin = target && { ...target, httpPort: target.adminPort }
    const headers = { authorization: 'Bearer guessed', 'content-type': 'application/json' }
    const body = Buffer.alloc(2 * MIB, 0x20)
    const sent = await repeat(8, () => ask(admin, '/v1/admin/drain', { method: 'POST', headers }, body))
    return `${sent} actions with a wrong token and 2 MiB each`
  },

  'idle-connections': async ([target]) => {
    const sockets = await openMany(target, 6000, () => undefined)
    await pause(HOLD_MS)
    return `${sockets.length} connections that ask nothing`
  },

  'slow-heads': async ([target]) => {
    const sockets = await openMany(target, 4500, () => Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nA: '))
    for (let i = 0; i < HOLD_MS / 500; i++) {
      await pause(500)
      for (const socket of sockets) if (socket.writable) socket.write('b')
    }
    return `${sockets.length} heads, two bytes a second`
  },
}

/** Does it again and again, `parallel` at a time, for as long as an attack lasts; how often. */
async function repeat(parallel: number, once: () => Promise<unknown>): Promise<number> {
  const endMs = performance.now() + HOLD_MS
  let count = 0
  const loop = async () => {
    while (performance.now() < endMs) {
      await once()
      count++
    }
  }
  await Promise.all(Array.from({ length: parallel }, loop))
  return count
}

/** Posts a body and reads the answer. */
function post(target: Addresses | undefined, path: string, type: string, body: Buffer): Promise<void> {
  const headers = { 'Content-Type': type, 'Content-Length': body.length }
  return ask(target, path, { method: 'POST', headers }, body)
}

/** Asks and reads the answer; what goes wrong is the target's affair. */
function ask(
  target: Addresses | undefined,
  path: string,
  options: RequestOptions = {},
  body?: Buffer,
): Promise<void> {
  return new Promise((resolve) => {
    const place = { host: '127.0.0.1', port: target?.httpPort, path, agent: false }
    const asked = request({ ...options, ...place }, (response) => {
      response.resume()
      response.on('close', resolve)
    })
    asked.on('error', () => {
      resolve()
    })
    asked.end(body)
  })
}

/** Opens connections that send their bytes and read nothing; those that are open at the end. */
async function openMany(
  target: Pick<Addresses, 'httpPort'> | undefined,
  count: number,
  bytes: () => Buffer | undefined,
): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (let i = 0; i < count; i++) {
    const socket = connect({ host: '127.0.0.1', port: target?.httpPort ?? 0 })
    socket.pause()
    socket.on('error', () => {})
    const first = bytes()
    if (first !== undefined) socket.once('connect', () => socket.write(first))
    sockets.push(socket)
    if (i % 50 === 49) await pause(10)
  }
  await pause(200)
  return sockets.filter(({ destroyed }) => !destroyed)
}
