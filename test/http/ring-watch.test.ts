import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { Socket } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import type { Stretch } from '../../src/ring/moved.ts'
import { fakeMember } from '../support/fake-source.ts'
import { TurnClock } from '../support/turn-clock.ts'
import { ChunkReader, closed, collect, connectTo, exchange, get, request } from './raw-client.ts'
import { serveRing, THREE_MEMBERS, type ServedRing } from './running-ring.ts'

/** A watch on a connection of its own. */
class Watch {
  readonly socket: Socket
  readonly events: EventSourceMessage[] = []
  retryMs: number | undefined
  /** Everything that came, head included. */
  raw = ''

  constructor(socket: Socket) {
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

  static async open(served: ServedRing, query = ''): Promise<Watch> {
    const watch = new Watch(await connectTo(served.server.port))
    watch.socket.write(get(`/v1/ring/watch${query}`))
    await watch.gets(1)
    return watch
  }

  /** Waits for so many events, without reading them: they may be long. */
  async gets(count: number): Promise<void> {
    await expect.poll(() => this.events.length, { interval: 5 }).toBeGreaterThanOrEqual(count)
  }

  async has(count: number): Promise<readonly { readonly id: string | undefined; readonly nodes: number }[]> {
    await this.gets(count)
    return this.events.map(({ id, data }) => ({
      id,
      nodes: (JSON.parse(data) as { nodes: unknown[] }).nodes.length,
    }))
  }
}

/** A watch whose client takes nothing. */
async function openDeaf(served: ServedRing, query = ''): Promise<Socket> {
  const deaf = await connectTo(served.server.port)
  deaf.pause()
  deaf.write(get(`/v1/ring/watch${query}`))
  return deaf
}

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
      changes: [
        {
          epoch: 1,
          timeMs: expect.any(Number),
          cause: 'joined',
          node: '127.0.0.1:8000',
          count: 3,
          movedShare: 0,
        },
      ],
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
    }, 60_000)
    expect(watches.map(({ events }) => events.length)).toEqual([1, 1])
  })

  test('tells when the member becomes unsure, and when it is no longer', async () => {
    await using served = await serveRing({ maxSilenceMs: 1000, clock: new TurnClock() })
    served.source.statisticsNow = { staleMs: 0 }
    const watch = await Watch.open(served)
    served.source.statisticsNow = { staleMs: 10_000 }
    await watch.gets(2)
    served.source.statisticsNow = { staleMs: 0 }
    await watch.gets(3)
    const told = watch.events.map(({ event, data }) => [
      event,
      (JSON.parse(data) as { unsure?: boolean }).unsure,
    ])
    expect(told).toEqual([
      ['ring', undefined],
      ['ring', true],
      ['ring', undefined],
    ])
    expect(new Set(watch.events.map(({ id }) => id))).toEqual(new Set(['1']))
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
    }, 60_000)
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
    // Longer than this test may take.
    await served.server.close(60_000)
    await closed(watch.socket)
    await using other = await serveRing()
    const last = await Watch.open(other)
    await other.ring.stop()
    await closed(last.socket)
    expect(last.raw.endsWith('0\r\n\r\n')).toBe(true)
  })

  /** Rings of about 250 KB: two of them are more than what the system takes from a reader that rests. */
  const MANY = Array.from({ length: 1500 }, (_, i) => fakeMember(`member-${i}`, `10.0.${i >> 8}.${i & 255}`))

  test('sends one that is behind the newest ring alone, and holds no more', async () => {
    await using served = await serveRing({ members: MANY })
    const slow = await openDeaf(served)
    const quick = await Watch.open(served)
    const CHANGES = 50
    let mostBytes = 0
    for (let change = 1; change <= CHANGES; change++) {
      served.source.set(MANY.slice(change))
      await quick.gets(change + 1)
      mostBytes = Math.max(mostBytes, served.ledger.counts().heldBytes.answer)
    }
    const size = Number(quick.events[0]?.data.length)
    expect(mostBytes).toBeGreaterThan(0.9 * size)
    expect(mostBytes).toBeLessThan(3 * size)
    const received = collect(slow)
    slow.resume()
    await expect.poll(() => received.text.includes(`id: ${CHANGES + 1}\n`)).toBe(true)
    // What the system had taken, the one that was under way, and the newest.
    expect(received.text.split('event: ring').length - 1).toBeLessThan(CHANGES / 2)
    await expect.poll(() => served.ledger.counts().heldBytes.answer).toBe(0)
  })

  test('cuts one for whom bytes wait and who takes none', async () => {
    // Time goes on as the quick one reads: where the process stands still, nobody is slow.
    let nowMs = 0
    const clock = { ...systemClock, now: () => nowMs }
    await using served = await serveRing({ members: MANY, clock, limits: { slowReaderMs: 200 } })
    const deaf = await openDeaf(served)
    const quick = await Watch.open(served)
    for (let change = 1; served.ledger.counts().closed['slow-reader'] === 0; change++) {
      served.source.set(MANY.slice(change % 100))
      await quick.gets(change + 1)
      nowMs += 20
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

describe('GET /v1/ring/watch?node=', () => {
  interface Told {
    readonly event: string | undefined
    readonly id: string | undefined
    readonly data: Record<string, unknown>
  }

  async function told(watch: Watch, count: number): Promise<readonly Told[]> {
    await watch.gets(count)
    return watch.events.map(({ event, id, data }) => ({
      event,
      id,
      data: JSON.parse(data) as Record<string, unknown>,
    }))
  }

  const bounds = ({ start, end }: Stretch) => ({ start, end })
  const [first, second, third] = THREE_MEMBERS

  test('begins with all that the node owns, then tells what it gained and lost', async () => {
    await using served = await serveRing()
    const { manager } = served.ring
    const watches = [
      await Watch.open(served, '?node=127.0.0.2:8000'),
      await Watch.open(served, '?node=node2'),
      await Watch.open(served, '?node=nobody'),
    ] as const
    const before = manager.snapshot.ring
    const owned = HashRing.empty.movedTo(before).gainedBy('127.0.0.2:8000')
    for (const [i, node] of ['127.0.0.2:8000', 'node2'].entries()) {
      expect(await told(watches[i]!, 1)).toEqual([
        {
          event: 'owned',
          id: '1',
          data: {
            node,
            ringKey: '127.0.0.2:8000',
            stretches: [...owned].map(bounds),
            digest: before.digest,
            epoch: 1,
          },
        },
      ])
    }
    expect((await told(watches[2], 1))[0]?.data).toMatchObject({ ringKey: null, stretches: [] })

    served.source.set([second!, { ...third!, state: 'left' }])
    const [, gainedAll] = await told(watches[1], 2)
    const after = manager.snapshot.ring
    const gained = before.movedTo(after).gainedBy('127.0.0.2:8000')
    expect(gainedAll).toEqual({
      event: 'moved',
      id: '2',
      data: {
        node: 'node2',
        ringKey: '127.0.0.2:8000',
        gained: [...gained].map((stretch) => ({ ...bounds(stretch), from: stretch.from?.ringKey })),
        lost: [],
        before: before.digest,
        after: after.digest,
        changes: [
          expect.objectContaining({ epoch: 2, cause: 'left', node: '127.0.0.3:8000', count: 1 }),
          expect.objectContaining({ epoch: 2, cause: 'removed', node: '127.0.0.1:8000', count: 1 }),
        ],
        nodes: expect.arrayContaining([before.get('127.0.0.1:8000'), before.get('127.0.0.3:8000')]),
        digest: after.digest,
        epoch: 2,
      },
    })
    expect((await told(watches[2], 2))[1]?.data).toMatchObject({ gained: [], lost: [], after: after.digest })
    served.source.set([first!])
    const [, , lostAll] = await told(watches[0], 3)
    expect(lostAll?.data).toMatchObject({ ringKey: null, gained: [], before: after.digest })
    expect(lostAll?.data['lost']).toEqual([{ start: 0, end: 2 ** 32, to: '127.0.0.1:8000' }])
    served.ring.manager.noteOffRing('127.0.0.1:8000')
    const events = await told(watches[0], 4)
    expect(events[3]?.data).toMatchObject({ gained: [], lost: [], changes: [{ cause: 'was-off-ring' }] })
  })

  test('one that is behind is told the difference to the last ring that it was sent', async () => {
    const MEMBERS = Array.from({ length: 60 }, (_, i) => fakeMember(`m-${i}`, `10.0.${i >> 8}.${i & 255}`))
    const few = [MEMBERS[0]!, MEMBERS[1]!]
    await using served = await serveRing({ members: few })
    const slow = await openDeaf(served, '?node=m-0')
    const quick = await Watch.open(served, '?node=m-0')
    // Each of these is about 200 KB: more than the system takes for a reader that rests.
    for (let change = 1; change <= 40; change++) {
      served.source.set(change % 2 === 1 ? MEMBERS : [...few, MEMBERS[change]!])
      await quick.gets(change + 1)
    }
    served.source.set(few)
    const all = await told(quick, 42)
    const last = all.at(-1)!.data
    const received: Record<string, unknown>[] = []
    const parser = createParser({
      onEvent: ({ data }) => received.push(JSON.parse(data) as Record<string, unknown>),
    })
    const chunks = new ChunkReader()
    slow.on('data', (part: string) => {
      parser.feed(chunks.read(part))
    })
    slow.resume()
    await expect.poll(() => received.at(-1)).toMatchObject({ digest: last['digest'] })
    expect(received.length).toBeLessThan(all.length)
    // What it was told, one after the other, leads from what it owned at first to what it owns at last.
    const owns = new Set<string>()
    const cut = (stretches: unknown) =>
      stretches as readonly { readonly start: number; readonly end: number }[]
    const grid = Array.from({ length: 4096 }, (_, i) => i * 2 ** 20)
    const touch = (stretches: unknown, act: (point: string) => void) => {
      for (const { start, end } of cut(stretches)) {
        for (const point of grid) if (point >= start && point < end) act(String(point))
      }
    }
    let digest: unknown
    for (const event of received) {
      if (digest === undefined) touch(event['stretches'], (point) => owns.add(point))
      else {
        expect(event['before']).toBe(digest)
        touch(event['lost'], (point) => owns.delete(point))
        touch(event['gained'], (point) => owns.add(point))
      }
      digest = event['digest']
    }
    const now = new Set<string>()
    const final = HashRing.empty.movedTo(served.ring.manager.snapshot.ring).gainedBy('10.0.0.0:8000')
    touch([...final], (point) => now.add(point))
    expect(owns).toEqual(now)
  })

  test('one whose difference would be far longer is told all again', async () => {
    const MEMBERS = Array.from({ length: 300 }, (_, i) => fakeMember(`m-${i}`, `10.0.${i >> 8}.${i & 255}`))
    await using served = await serveRing({ members: MEMBERS.slice(0, 1) })
    const watch = await Watch.open(served, '?node=m-0')
    served.source.set(MEMBERS)
    const [one, all] = await told(watch, 2)
    expect(one?.data['stretches']).toEqual([{ start: 0, end: 2 ** 32 }])
    const owned = HashRing.empty.movedTo(served.ring.manager.snapshot.ring).gainedBy('10.0.0.0:8000')
    expect([all?.event, all?.data['stretches']]).toEqual(['owned', [...owned].map(bounds)])
  })

  test('refuses a node that is none', async () => {
    await using served = await serveRing()
    for (const query of ['?node=', `?node=${'x'.repeat(601)}`, '?node=a&node=b', '?nodes=a']) {
      const refused = await exchange(served.server.port, get(`/v1/ring/watch${query}`))
      expect([refused.status, JSON.parse(refused.body)]).toEqual([
        400,
        expect.objectContaining({ code: 'PARAMETER_INVALID' }),
      ])
    }
  })
})

test('a watch with a large head is refused, and its connection closed', async () => {
  await using served = await serveRing()
  const large = get('/v1/ring/watch', { 'X-Large': 'a'.repeat(20_000) })
  const refused = await exchange(served.server.port, large)
  expect([refused.status, refused.headers.get('connection'), JSON.parse(refused.body)]).toEqual([
    400,
    'close',
    expect.objectContaining({
      code: 'PARAMETER_INVALID',
      detail: expect.stringContaining('16 KiB') as string,
    }),
  ])
})
