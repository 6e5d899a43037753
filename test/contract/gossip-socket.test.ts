import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  openUdpSocket,
  type GossipSocket,
  type OpenGossipSocket,
} from '../../src/membership/swim/gossip-socket.ts'
import { freePort } from '../support/free-port.ts'
import { MemoryUdp } from '../support/swim-network.ts'

const memory = new MemoryUdp((_, arrive) => {
  setTimeout(arrive, 1)
})

describe.each<[string, OpenGossipSocket]>([
  ['real UDP', openUdpSocket],
  [
    'UDP in memory',
    (...args) =>
      new Promise((resolve) => {
        resolve(memory.bind(...args))
      }),
  ],
])('a gossip socket of %s', (_, open) => {
  class Post {
    readonly received: { readonly bytes: number[]; readonly from: string }[] = []
    readonly errors: string[] = []
    readonly failures: Error[] = []
    socket!: GossipSocket

    async open(port?: number): Promise<this> {
      this.socket = await open('127.0.0.1', port ?? (await freePort()), {
        onDatagram: (bytes, from) => this.received.push({ bytes: [...bytes], from }),
        onSendError: (__, host) => this.errors.push(host),
        onFailure: (error) => this.failures.push(error),
      })
      return this
    }

    get host(): string {
      return `127.0.0.1:${this.socket.port}`
    }
  }

  let a: Post
  let b: Post

  beforeEach(async () => {
    a = await new Post().open()
    b = await new Post().open()
  })
  afterEach(async () => {
    await Promise.all([a, b].map(({ socket }) => socket.close()))
    expect([a, b].flatMap(({ failures }) => failures)).toEqual([])
  })

  /** Sends one more datagram and waits for it: what was sent before is there by then, or will not be. */
  async function settle(): Promise<void> {
    a.socket.send(Uint8Array.of(0), b.host)
    await expect.poll(() => b.received.at(-1)).toEqual({ bytes: [0], from: a.host })
    b.received.pop()
  }

  test('carries bytes, and says where they are from', async () => {
    a.socket.send(Uint8Array.of(1, 2, 3), b.host)
    await settle()
    expect(b.received).toEqual([{ bytes: [1, 2, 3], from: a.host }])
    expect(a.received).toEqual([])
  })

  test('carries the longest datagram that there is, and tells that a longer one is not sent', async () => {
    a.socket.send(new Uint8Array(65_507), b.host)
    a.socket.send(new Uint8Array(65_508), b.host)
    await settle()
    await expect.poll(() => a.errors).toEqual([b.host])
    expect(b.received.map(({ bytes }) => bytes.length)).toEqual([65_507])
  })

  test('sends to nobody, and nobody hears of it', async () => {
    const gone = await new Post().open()
    await gone.socket.close()
    a.socket.send(Uint8Array.of(1), gone.host)
    await settle()
    expect(a.errors).toEqual([])
    expect(gone.received).toEqual([])
  })

  test.each(['127.0.0.1:0', '127.0.0.1:65536', '127.0.0.1:'])(
    'tells that nothing can be sent to %s',
    async (host) => {
      a.socket.send(Uint8Array.of(1), host)
      await settle()
      await expect.poll(() => a.errors).toEqual([host])
    },
  )

  test('neither sends nor hears once it is closed, and may be closed again', async () => {
    const { host } = b
    await b.socket.close()
    await b.socket.close()
    b.socket.send(Uint8Array.of(1), a.host)
    a.socket.send(Uint8Array.of(1), host)
    b = await new Post().open()
    await settle()
    expect(a.received).toEqual([])
    expect(b.received).toEqual([])
  })

  test('has its port alone, and the next one may have it', async () => {
    const port = await freePort()
    const first = await new Post().open(port)
    await expect(new Post().open(port)).rejects.toMatchObject({ code: 'SOURCE_FAILED' })
    await first.socket.close()
    await b.socket.close()
    b = await new Post().open(port)
    await settle()
  })
})

test('a gossip port in use names the setting that takes another', async () => {
  const handlers = { onDatagram: () => {}, onSendError: () => {}, onFailure: () => {} }
  const first = await openUdpSocket('127.0.0.1', 0, handlers)
  await expect(openUdpSocket('127.0.0.1', first.port, handlers)).rejects.toMatchObject({
    message: expect.stringMatching(
      /taken by another program; gossipPort \(--gossip-port\) takes another$/,
    ) as string,
  })
  await first.close()
})
