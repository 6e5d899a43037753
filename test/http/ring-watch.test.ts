import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { Socket } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { fakeMember } from '../support/fake-source.ts'
import { ChunkReader, closed, dial, exchange, get, request } from './raw-client.ts'
import { serveRing, THREE_MEMBERS, type ServedRing } from './running-ring.ts'

/** A watch on a connection of its own. */
class Watch {
  readonly socket: Socket
  readonly events: EventSourceMessage[] = []
  retryMs: number | undefined
  /** Everything that came, head included. */
  raw = ''

  private constructor(socket: Socket) {
    this.socket = socket
    const parser = createParser({
      onEvent: (event) => {
        this.events.push(event)
      },
      onRetry: (retryMs) => {
        this.retryMs = retryMs
      },
    })
    const chunks = new ChunkReader()
    socket.on('data', (part: string) => {
      this.raw += part
      parser.feed(chunks.read(part))
    })
  }

  static async open(served: ServedRing): Promise<Watch> {
    const watch = new Watch(await dial(served.server.port))
    sockets.push(watch.socket)
    watch.socket.write(get('/v1/ring/watch'))
    await vi.waitFor(() => {
      expect(watch.events.length).toBeGreaterThan(0)
    })
    return watch
  }

  async has(count: number): Promise<readonly { readonly id: string | undefined; readonly nodes: number }[]> {
    await vi.waitFor(() => {
      expect(this.events.length).toBeGreaterThanOrEqual(count)
    })
    return this.events.map(({ id, data }) => ({
      id,
      nodes: (JSON.parse(data) as { nodes: unknown[] }).nodes.length,
    }))
  }
}

const sockets: Socket[] = []

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})

describe('GET /v1/ring/watch', () => {
  test('sends the ring at once, then at each change, with the epoch as id', async () => {
    await using served = await serveRing()
    const watch = await Watch.open(served)
    expect(await watch.has(1)).toEqual([{ id: '1', nodes: 3 }])
    expect(watch.raw).toContain('Content-Type: text/event-stream\r\n')
    expect(watch.retryMs).toBe(1000)
    const { ring } = served.ring.manager.snapshot
    expect(JSON.parse(watch.events[0]?.data ?? '')).toEqual({
      nodes: ring.nodes.map((node) => ({ ...node, share: ring.shares().get(node.ringKey) })),
      digest: ring.digest,
      epoch: 1,
      sinceChangeMs: expect.any(Number),
    })
    expect(watch.events[0]?.event).toBe('ring')
    served.source.set(THREE_MEMBERS.slice(1))
    expect(await watch.has(2)).toEqual([
      { id: '1', nodes: 3 },
      { id: '2', nodes: 2 },
    ])
    served.source.set([])
    expect(await watch.has(3)).toContainEqual({ id: '3', nodes: 0 })
  })

  test('sends heartbeats, to every watcher', async () => {
    await using served = await serveRing({ limits: { heartbeatMs: 20 } })
    const watches = [await Watch.open(served), await Watch.open(served)]
    await vi.waitFor(() => {
      for (const { raw } of watches) expect(raw.split(': heartbeat').length).toBeGreaterThan(4)
    })
    expect(watches.map(({ events }) => events.length)).toEqual([1, 1])
  })

  test('takes so many watchers and no more, and again one when one has gone', async () => {
    await using served = await serveRing({ limits: { maxWatchers: 2 } })
    const [first] = [await Watch.open(served), await Watch.open(served)]
    const refused = await exchange(served.server.port, get('/v1/ring/watch'))
    expect([refused.status, JSON.parse(refused.body)]).toEqual([
      503,
      expect.objectContaining({ code: 'TOO_MANY_WATCHERS' }),
    ])
    expect(refused.headers.get('retry-after')).toBe('5')
    first?.socket.destroy()
    await vi.waitFor(async () => {
      const again = await Watch.open(served)
      expect(again.events).toHaveLength(1)
    })
  })

  test('counts no HEAD as a watcher', async () => {
    await using served = await serveRing({ limits: { maxWatchers: 1 } })
    for (let i = 0; i < 3; i++) {
      const head = await exchange(served.server.port, request('HEAD', '/v1/ring/watch'))
      expect([head.status, head.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    }
    expect((await Watch.open(served)).events).toHaveLength(1)
  })

  test('ends with the server, and with the ring', async () => {
    await using served = await serveRing()
    const watch = await Watch.open(served)
    const startedMs = performance.now()
    await served.server.close(10_000)
    await closed(watch.socket)
    expect(performance.now() - startedMs).toBeLessThan(2000)
    await using other = await serveRing()
    const last = await Watch.open(other)
    await other.ring.stop()
    await closed(last.socket)
    expect(last.raw.endsWith('0\r\n\r\n')).toBe(true)
  })

  /** Rings of about 250 KB: two of them are more than what the system takes from a reader that rests. */
  const MANY = Array.from({ length: 1500 }, (_, i) => fakeMember(`member-${i}`, `10.0.${i >> 8}.${i & 255}`))

  async function openDeaf(served: ServedRing): Promise<Socket> {
    const deaf = await dial(served.server.port)
    sockets.push(deaf)
    deaf.pause()
    deaf.write(get('/v1/ring/watch'))
    return deaf
  }

  test('sends one that is behind the newest ring alone, and holds no more', { timeout: 30_000 }, async () => {
    await using served = await serveRing({ members: MANY })
    const slow = await openDeaf(served)
    const quick = await Watch.open(served)
    const CHANGES = 50
    let mostBytes = 0
    for (let change = 1; change <= CHANGES; change++) {
      served.source.set(MANY.slice(change))
      await quick.has(change + 1)
      mostBytes = Math.max(mostBytes, served.ledger.counts().heldBytes.answer)
    }
    const size = Number(quick.events[0]?.data.length)
    expect(mostBytes).toBeGreaterThan(0.9 * size)
    expect(mostBytes).toBeLessThan(3 * size)
    let received = ''
    slow.on('data', (part: string) => {
      received += part
    })
    slow.resume()
    await vi.waitFor(() => {
      expect(received).toContain(`id: ${CHANGES + 1}\n`)
    })
    // What the system had taken, the one that was under way, and the newest.
    expect(received.split('event: ring').length - 1).toBeLessThan(CHANGES / 2)
    await vi.waitFor(() => {
      expect(served.ledger.counts().heldBytes.answer).toBe(0)
    })
  })

  test('cuts one for whom bytes wait and who takes none', { timeout: 30_000 }, async () => {
    await using served = await serveRing({ members: MANY, limits: { slowReaderMs: 200 } })
    const deaf = await openDeaf(served)
    const quick = await Watch.open(served)
    for (let change = 1; served.ledger.counts().closed['slow-reader'] === 0; change++) {
      served.source.set(MANY.slice(change % 100))
      await quick.has(change + 1)
    }
    await closed(deaf)
    expect(quick.socket.closed).toBe(false)
    expect(served.ledger.counts().heldBytes.answer).toBe(0)
  })

  test('refuses one for whom there is no room', async () => {
    await using served = await serveRing({ members: MANY, limits: { maxWaitingAnswerBytes: 100_000 } })
    const refused = await exchange(served.server.port, get('/v1/ring/watch'))
    expect([refused.status, JSON.parse(refused.body)]).toEqual([
      503,
      expect.objectContaining({ code: 'OVERLOADED' }),
    ])
  })
})
