import { syncBuiltinESMExports } from 'node:module'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import workerThreads from 'node:worker_threads'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { systemClock, type Clock } from '../../../src/clock.ts'
import type { HashRing } from '../../../src/ring/hash-ring.ts'
import { fakeMember } from '../../support/fake-source.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import {
  closed,
  collect,
  connectTo,
  dial,
  exchange,
  exchangeOn,
  get,
  type RawResponse,
} from '../raw-client.ts'
import { serveRing } from '../running-ring.ts'

const { Worker } = workerThreads

/** A thread that loads what lets a test have it fail. */
class FailingWorker extends Worker {
  constructor(file: URL, options: object) {
    const preload = fileURLToPath(new URL('failing-thread.ts', import.meta.url))
    super(file, { ...options, execArgv: [...process.execArgv, '--import', preload] })
  }
}

/** For all modules: other tests in this process may have loaded those that start threads. */
function startThreadsAs(worker: typeof Worker) {
  Object.assign(workerThreads, { Worker: worker })
  syncBuiltinESMExports()
}

beforeAll(() => {
  startThreadsAs(FailingWorker)
})
afterAll(() => {
  startThreadsAs(Worker)
})

/** For tests in which only a thread that hangs is late, however busy the machine is. */
const patientClock: Clock = {
  ...systemClock,
  after: (delayMs, fn) => systemClock.after(delayMs * 20, fn),
}

const OWNER = get('/v1/owner?key=a')
const RING = get('/v1/ring')

async function serve(options: Parameters<typeof serveRing>[0]) {
  const served = await serveRing(options)
  onTestFinished(() => served[Symbol.asyncDispose]())
  const connect = () => connectTo(served.server.port)
  return { ...served, connect, threads: served.threads! }
}

/** Has the thread at a place fail. */
function failThread(place: number, how: 'hang' | 'throw') {
  const channel = new BroadcastChannel('failing-thread')
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- no window
  channel.postMessage({ place, how })
  channel.close()
}

const json = ({ body }: RawResponse) =>
  JSON.parse(body) as { readonly epoch: number; readonly digest: string; readonly owner: { ringKey: string } }

const membersUpTo = (count: number) =>
  Array.from({ length: count }, (_, i) => fakeMember(`node${i}`, `10.0.0.${i + 1}`))

test('no thread answers from an older ring once anybody has seen the newer one', async () => {
  const { ring, source, connect } = await serve({ threads: 3, members: membersUpTo(3) })
  const rings = new Map<number, HashRing>()
  const note = () => void rings.set(ring.manager.snapshot.epoch, ring.manager.snapshot.ring)
  note()
  const churn = { on: true, changes: 0 }
  const change = () => {
    if (churn.on) source.set(membersUpTo(3 + (++churn.changes % 5)))
  }
  ring.manager.subscribe(() => {
    note()
    setImmediate(change)
  })
  change()
  const connections = await Promise.all(Array.from({ length: 12 }, connect))
  // One that the main thread answers, through a relay and Node's server.
  connections.push(await connect())
  let epoch = 0
  for (let i = 0; i < 1300 || churn.changes < 100; i++) {
    const key = `key-${i}`
    const place = i % 13
    const isSlow = place === 12
    // What the manager says now has counted before the request is sent.
    const least = Math.max(epoch, ring.manager.snapshot.epoch)
    const asked = isSlow ? get(`/v1/owners?key=${key}`) : get(`/v1/owner?key=${key}`)
    const socket = connections[place]!
    const received = socket.destroyed ? undefined : await exchangeOn(socket, asked).catch(() => undefined)
    if (received === undefined) {
      // Where this machine is so busy that a thread does not run for 100 ms it is replaced, with what waits at its listener.
      connections[place] = await connect().catch(connect)
      continue
    }
    const answer = json(received)
    expect(answer.epoch).toBeGreaterThanOrEqual(least)
    epoch = answer.epoch
    const seen = rings.get(epoch)!
    expect(answer.digest).toBe(seen.digest)
    if (!isSlow) expect(answer.owner.ringKey).toBe(seen.ownerOf(key)!.ringKey)
  }
  churn.on = false
  expect(epoch).toBeGreaterThan(50)
})

test('a thread that hangs is replaced when the ring changes; nobody but its own clients notices', async () => {
  const logger = new RecordingLogger()
  const { ring, source, connect, server, threads } = await serve({
    threads: 2,
    logger,
    clock: patientClock,
  })
  const connections = await Promise.all(Array.from({ length: 24 }, connect))
  for (const socket of connections) await exchangeOn(socket, OWNER)
  failThread(1, 'hang')
  // Asked until answers have been missing for a whole round: then the thread hangs, and no other of its connections is answered.
  const waiting = new Map<Socket, Promise<boolean>>()
  await vi.waitFor(async () => {
    const missing = waiting.size
    for (const socket of connections.filter((one) => !waiting.has(one))) {
      const answered = exchangeOn(socket, OWNER).then(
        () => waiting.delete(socket),
        () => false,
      )
      waiting.set(socket, answered)
    }
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(missing).toBeGreaterThan(0)
  }, 60_000)
  source.set(membersUpTo(2))
  await expect.poll(() => ring.manager.snapshot.epoch).toBe(2)
  expect(threads.replaced).toEqual({ late: 1, silent: 0, ended: 0 })
  // One that still waits is answered by a thread that was only slow, or is closed with the thread that hangs.
  for (const socket of connections) await waiting.get(socket)
  const closedOnes = connections.filter((socket) => waiting.has(socket))
  expect(closedOnes.length).toBeGreaterThan(0)
  expect(closedOnes.length).toBeLessThan(24)
  for (const socket of connections.filter((one) => !waiting.has(one))) {
    expect(json(await exchangeOn(socket, OWNER)).epoch).toBe(2)
  }
  await expect.poll(() => threads.answering).toBe(3)
  for (let i = 0; i < 20; i++) expect(json(await exchange(server.port, OWNER)).epoch).toBe(2)
  expect(logger.lines.map(({ fields }) => fields)).toContainEqual({
    event: 'thread.replaced',
    thread: 1,
    reason: 'late',
  })
})

test('a thread that fails is replaced after a moment, and so is one that hangs while the ring stays', async () => {
  const { server, threads, connect } = await serve({ threads: 1 })
  const socket = await connect()
  await exchangeOn(socket, OWNER)
  failThread(1, 'throw')
  await closed(socket)
  await vi.waitFor(() => {
    expect(threads.replaced.ended).toBe(1)
    expect(threads.answering).toBe(2)
  }, 60_000)
  expect((await exchange(server.port, OWNER)).status).toBe(200)
  failThread(1, 'hang')
  await vi.waitFor(() => {
    expect(threads.replaced.silent).toBe(1)
    expect(threads.answering).toBe(2)
  }, 60_000)
  expect((await exchange(server.port, OWNER)).status).toBe(200)
})

test('connections of all threads count together, and nobody shuts others out', async () => {
  const { server, ledger, connect, threads } = await serve({ threads: 2, limits: { maxConnections: 12 } })
  const open = () => ledger.counts().connections.lookup
  // Those that the main thread has now, by relays, are all in use.
  const relayed = await Promise.all(Array.from({ length: 30 }, connect))
  await Promise.allSettled(relayed.map((socket) => exchangeOn(socket, RING)))
  expect(open()).toBeLessThanOrEqual(12)
  for (let i = 0; i < 30; i++) {
    const socket = await connect()
    expect((await exchangeOn(socket, OWNER)).status).toBe(200)
  }
  // Each thread has room for a third, whatever the others have.
  expect(open()).toBeLessThanOrEqual(12 + 4 + 4)
  expect((await exchange(server.port, RING)).status).toBe(200)
  await expect.poll(() => threads.addTo(ledger.counts()).closed['made-room']).toBeGreaterThan(30)
})

test('a request that is refused while it is still being sent is told so', async () => {
  const { connect } = await serve({ threads: 1 })
  for (let i = 0; i < 20; i++) {
    const socket = await connect()
    const received = collect(socket)
    socket.write(get('/v1/ring', { 'X-Long': 'a'.repeat(400_000) }))
    await closed(socket)
    expect(received.text).toMatch(/^HTTP\/1\.1 431 /)
  }
})

test('the main thread is told whose connection it is', async () => {
  const addresses: unknown[] = []
  const { server } = await serve({
    threads: 1,
    app: {
      extend: [
        (ctx, next) => {
          addresses.push(ctx.req.socket.remoteAddress)
          return next()
        },
      ],
    },
    fast: true,
  })
  await exchange(server.port, RING)
  expect(addresses).toEqual(['127.0.0.1'])
})

test('closing ends what is idle, and lets a request under way finish', async () => {
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  let begun = false
  const { connect, server, threads } = await serve({
    threads: 2,
    fast: true,
    app: {
      extend: [
        async (_, next) => {
          begun = true
          await held
          await next()
        },
      ],
    },
  })
  const idle = await Promise.all(Array.from({ length: 6 }, connect))
  for (const socket of idle) await exchangeOn(socket, OWNER)
  const busy = await connect()
  const answer = exchangeOn(busy, RING)
  await expect.poll(() => begun).toBe(true)
  const closing = Promise.all([server.close(10_000), threads.close(10_000)])
  await Promise.all(idle.map(closed))
  await vi.waitFor(async () => {
    await expect(dial(server.port)).rejects.toThrow('ECONNREFUSED')
  }, 60_000)
  release()
  expect((await answer).headers.get('connection')).toBe('close')
  await closing
  await closed(busy)
})

test('a client that reads nothing of what is relayed is cut off, and its connection counts no more', async () => {
  const { connect, ledger } = await serve({ threads: 1, limits: { slowReaderMs: 200 } })
  const socket = await connect()
  socket.pause()
  const many = get('/openapi.json').repeat(400)
  socket.write(many)
  await expect.poll(() => ledger.counts().closed['slow-reader']).toBe(1)
  socket.resume()
  await closed(socket)
  expect(ledger.counts().connections.lookup).toBe(0)
})

test('moves that begin and end without another ring are in the answers of threads', async () => {
  const { source, ring, connect } = await serve({ threads: 1, members: membersUpTo(2), clock: patientClock })
  const socket = await connect()
  const keys = Array.from({ length: 40 }, (_, i) => `key-${i}`)
  const nextOwners = async () => {
    const answers: unknown[] = []
    for (const key of keys) {
      const { next } = json(await exchangeOn(socket, get(`/v1/owner?key=${key}`))) as { next?: unknown }
      answers.push(next)
    }
    return answers
  }
  expect(new Set(await nextOwners())).toEqual(new Set([undefined]))
  source.set([
    ...membersUpTo(2),
    fakeMember('pending', '10.0.0.9', { handover: { phase: 'pending', number: 1 } }),
  ])
  const expected = () => keys.map((key) => ring.nextOwnerOf(key))
  await vi.waitFor(async () => {
    expect(expected().some((next) => next !== undefined)).toBe(true)
    expect(await nextOwners()).toEqual(expected())
  }, 60_000)
  source.set(membersUpTo(2))
  await expect.poll(async () => new Set(await nextOwners())).toEqual(new Set([undefined]))
})
