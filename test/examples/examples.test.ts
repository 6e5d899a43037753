import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { TestProcess } from '../support/child-process.ts'

/** Starts an example and waits until it says where it listens. */
async function start(name: string, env: Record<string, string> = {}) {
  const running = new TestProcess([new URL(`../../examples/${name}.ts`, import.meta.url).pathname], { env })
  const line = await running.until('the ports', () =>
    running.events.find(
      (fields) => typeof fields['port'] === 'number' && typeof fields['gossipPort'] === 'number',
    ),
  )
  return {
    running,
    url: `http://127.0.0.1:${String(line['port'])}`,
    gossip: `127.0.0.1:${String(line['gossipPort'])}`,
  }
}

/** Asks again and again until an answer pleases. */
async function askUntil<T>(ask: () => Promise<T>, pleases: (answer: T) => boolean): Promise<T> {
  const deadline = AbortSignal.timeout(60_000)
  for (;;) {
    const answer = await ask()
    if (pleases(answer)) return answer
    deadline.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

async function fetchJson(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(url)
  expect(response.status, url).toBe(200)
  return (await response.json()) as Record<string, unknown>
}

describe('examples/mount-in-koa.ts', () => {
  test('answers on the owner, whichever instance is asked, and mounts the look-ups', async () => {
    const first = await start('mount-in-koa')
    await using _first = first.running
    const second = await start('mount-in-koa', { SEEDS: first.gossip })
    await using _second = second.running

    const sizeAt = (url: string) => async () =>
      ((await fetchJson(`${url}/v1/ring`))['nodes'] as unknown[]).length
    for (const { url } of [first, second]) await askUntil(sizeAt(url), (size) => size === 2)

    const answerers = new Set<unknown>()
    for (let id = 0; id < 20; id++) {
      const [a, b] = await Promise.all([first, second].map(({ url }) => fetchJson(`${url}/carts/${id}`)))
      expect(a).toEqual(b)
      answerers.add(a?.['answeredBy'])
      const { owner } = (await fetchJson(`${first.url}/v1/owner?key=cart:${id}`)) as {
        owner: { name: string }
      }
      expect(owner.name).toBe(a?.['answeredBy'])
    }
    expect(answerers.size).toBe(2)

    second.running.signal('SIGTERM')
    expect(await second.running.ended).toEqual({ code: 0, signal: null })
    expect(await askUntil(sizeAt(first.url), (size) => size === 1)).toBe(1)
  })
})

describe('examples/plain-http.ts', () => {
  test('counts each key at its owner, whichever instance is asked', async () => {
    const first = await start('plain-http')
    await using _first = first.running
    const second = await start('plain-http', { SEEDS: first.gossip })
    await using _second = second.running
    for (const { running } of [first, second]) {
      await running.until('a ring of 2', () => running.errLines.find((line) => line.startsWith('ring of 2')))
    }

    const answerers = new Set<unknown>()
    for (let page = 0; page < 20; page++) {
      const a = await fetchJson(`${first.url}/visits/${page}`)
      const b = await fetchJson(`${second.url}/visits/${page}`)
      expect([a['count'], b['count']]).toEqual([1, 2])
      expect(a['answeredBy']).toBe(b['answeredBy'])
      answerers.add(a['answeredBy'])
    }
    expect(answerers.size).toBe(2)

    first.running.signal('SIGTERM')
    expect(await first.running.ended).toEqual({ code: 0, signal: null })
  })
})

describe('examples/sharded-cache.ts', () => {
  test('makes each value once, at its owner, whichever instance is asked', async () => {
    const first = await start('sharded-cache')
    await using _first = first.running
    const second = await start('sharded-cache', { SEEDS: first.gossip })
    await using _second = second.running
    for (const { running } of [first, second]) {
      await running.until('a ring of 2', () => running.errLines.find((line) => line.startsWith('ring of 2')))
    }

    const answerers = new Set<unknown>()
    const ask = async (key: number) => {
      // All at once: those who come while a value is being made get the same one.
      const answers = await Promise.all(
        [first, second, first].map(({ url }) => fetchJson(`${url}/values/${key}`)),
      )
      expect(answers.filter(({ hit }) => hit === false)).toHaveLength(1)
      expect(new Set(answers.map(({ value }) => value)).size).toBe(1)
      for (const { answeredBy, isOwner } of answers) {
        expect(isOwner).toBe(true)
        answerers.add(answeredBy)
      }
    }
    await Promise.all(Array.from({ length: 20 }, (_, key) => ask(key)))
    expect(answerers.size).toBe(2)
  })
})

describe('examples/rooms.ts', () => {
  test('opens a room at one instance, wherever its clients connect, and hands it over', async () => {
    const first = await start('rooms')
    await using _first = first.running
    const second = await start('rooms', { SEEDS: first.gossip, DRAIN_MS: '500' })
    await using _second = second.running
    const enter = async (port: string, room: string) => {
      const socket = new WebSocket(`${port.replace('http', 'ws')}/rooms/${room}`)
      const heard: Record<string, unknown>[] = []
      socket.addEventListener('message', ({ data }) => {
        heard.push(JSON.parse(String(data)) as Record<string, unknown>)
      })
      const closed = once(socket, 'close')
      await askUntil(
        () => Promise.resolve(heard.length),
        (count) => count > 0,
      )
      return { socket, heard, closed }
    }
    const said = (texts: readonly string[]) =>
      texts.map((text, n) => ({ number: n + 1, at: expect.any(Number) as unknown, text }))

    const rooms = Array.from({ length: 8 }, (_, n) => `room${n}`)
    const before = await Promise.all(
      rooms.map(async (room) => {
        const one = await enter(first.url, room)
        const other = await enter(second.url, room)
        expect(other.heard[0]?.['openAt']).toBe(one.heard[0]?.['openAt'])
        one.socket.send('hello')
        await askUntil(
          () => Promise.resolve(other.heard.length),
          (count) => count > 1,
        )
        expect(other.heard.slice(1)).toEqual(said(['hello']))
        return { one, other }
      }),
    )
    expect(new Set(before.map(({ one }) => one.heard[0]?.['openAt'])).size).toBe(2)

    second.running.signal('SIGTERM')
    await second.running.ended
    for (const [n, { one, other }] of before.entries()) {
      // Connected to the one that ended, or in a room that was open there.
      await other.closed
      const again = await enter(first.url, rooms[n] ?? '')
      expect(again.heard[0]).toMatchObject({ openAt: `rooms-${first.url.split(':').at(-1)}`, count: 1 })
      again.socket.send('again')
      await askUntil(
        () => Promise.resolve(again.heard.length),
        (count) => count > 1,
      )
      expect(again.heard[0]?.['messages']).toEqual(said(['hello']))
      expect(again.heard[1]).toMatchObject({ number: 2, text: 'again' })
      one.socket.close()
      again.socket.close()
    }
  })
})
