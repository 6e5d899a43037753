import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Endpoint } from '../../src/membership/memberlist/protocol/endpoint.ts'
import type { ExchangeFailure } from '../../src/membership/memberlist/protocol/effects.ts'
import type { StreamProbeOutcome } from '../../src/membership/memberlist/protocol/events.ts'
import type { Message, PushPull } from '../../src/membership/memberlist/wire/messages.ts'

/** What a process of the network does with what comes to it over a stream. */
export type Manner = 'answer' | 'refuse' | 'keep silent' | 'answer wrongly'

/** A process that gossips. */
export interface Post {
  readonly endpoint: Endpoint
  /** Datagrams that came, in their order. */
  readonly packets: readonly { readonly from: Endpoint; readonly messages: readonly Message[] }[]
  /** States that came over streams. */
  readonly states: readonly { readonly from: Endpoint; readonly state: PushPull }[]
  manner: Manner
  /** The state that it answers with. */
  state: PushPull
  sendPacket(to: Endpoint, messages: readonly Message[]): void
  probe(to: Endpoint, timeoutMs: number): Promise<StreamProbeOutcome>
  pushPull(to: Endpoint, timeoutMs: number): Promise<PushPull | ExchangeFailure>
  /** Ends the process; its host is still there. */
  close(): Promise<void>
}

/** How the contract gets at a network. */
export interface NetworkHarness {
  open(): Promise<Post>
  /** Lets time pass until this has come about, in the network's own time. */
  settle<T>(promise: Promise<T>): Promise<T>
  /** Lets so much time pass, enough for what is on its way to arrive. */
  pass(ms: number): Promise<void>
  close(): Promise<void>
}

const node = {
  name: 'n1',
  address: Uint8Array.of(10, 0, 0, 1),
  port: 7946,
  meta: Uint8Array.of(1, 2, 3),
  incarnation: 4,
  state: 0,
  vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
}
const empty: PushPull = { join: false, nodes: [], userState: new Uint8Array(0) }
const messages: readonly Message[] = [
  { kind: 'ping', seqNo: 7, node: 'n1', source: { address: node.address, port: 7946, node: 'é' } },
  {
    kind: 'alive',
    node: 'n1',
    incarnation: 4,
    address: node.address,
    port: 1,
    meta: node.meta,
    vsn: node.vsn,
  },
  { kind: 'suspect', node: 'n1', incarnation: 4, from: 'n2' },
  { kind: 'user', payload: Uint8Array.of(9) },
]
/** Longer than whatever is on its way takes, and far less than the limits of streams. */
const ON_ITS_WAY_MS = 20

/** Silence is waited out; whatever else comes must come first, on a busy machine too. */
const timeoutMs = (manner: Manner) => (manner === 'keep silent' ? 300 : 20_000)

/** One suite for the simulator's network and for real sockets: what the machine may rely on. */
export function describeGossipNetwork(name: string, makeHarness: () => NetworkHarness): void {
  describe(`${name} carries gossip as the machine may expect`, () => {
    let harness: NetworkHarness
    let a: Post
    let b: Post

    beforeEach(async () => {
      harness = makeHarness()
      a = await harness.open()
      b = await harness.open()
    })
    afterEach(() => harness.close())

    /** A place where nobody listens, on a host that is there. */
    const nowhere = async (): Promise<Endpoint> => {
      const gone = await harness.open()
      await gone.close()
      return gone.endpoint
    }

    /** Lets time pass until something is in the list, which a busy machine may make long. */
    const arrives = async (list: readonly unknown[]) => {
      for (let i = 0; i < 100 && list.length === 0; i++) await harness.pass(ON_ITS_WAY_MS)
    }

    test('a datagram arrives once, whole, from where its sender listens', async () => {
      a.sendPacket(b.endpoint, messages)
      await arrives(b.packets)
      await harness.pass(ON_ITS_WAY_MS)
      expect(b.packets).toEqual([{ from: a.endpoint, messages }])
      expect(a.packets).toEqual([])
    })

    test('its reader has a copy of its own', async () => {
      a.sendPacket(b.endpoint, messages)
      await arrives(b.packets)
      expect(b.packets[0]!.messages).toEqual(messages)
      for (const message of b.packets[0]!.messages) expect(messages).not.toContain(message)
    })

    test('a datagram to where nobody listens goes nowhere, and nothing comes back', async () => {
      a.sendPacket(await nowhere(), messages)
      await harness.pass(ON_ITS_WAY_MS)
      a.sendPacket(b.endpoint, messages)
      await arrives(b.packets)
      expect(a.packets).toEqual([])
      expect(b.packets).toHaveLength(1)
    })

    test('what the wire cannot carry is not sent', () => {
      expect(() => {
        a.sendPacket(b.endpoint, [{ kind: 'suspect', node: '', incarnation: 1, from: 'n1' }])
      }).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
    })

    test.each<[Manner, StreamProbeOutcome]>([
      ['answer', 'acked'],
      ['answer wrongly', 'failed'],
      ['refuse', 'failed'],
      ['keep silent', 'failed'],
    ])('a probe of one that would %s: %s', async (manner, outcome) => {
      b.manner = manner
      expect(await harness.settle(a.probe(b.endpoint, timeoutMs(manner)))).toBe(outcome)
    })

    test.each<[Manner, ExchangeFailure['outcome']]>([
      ['refuse', 'rejected'],
      ['keep silent', 'failed'],
    ])('a push/pull with one that would %s: %s', async (manner, outcome) => {
      b.manner = manner
      a.state = { ...empty, nodes: [node] }
      expect(await harness.settle(a.pushPull(b.endpoint, timeoutMs(manner)))).toMatchObject({ outcome })
      expect(b.states).toMatchObject([{ state: { nodes: [node] } }])
    })

    test('where nobody listens on a host that is there, streams are refused', async () => {
      const endpoint = await nowhere()
      expect(await harness.settle(a.probe(endpoint, 20_000))).toBe('refused')
      expect(await harness.settle(a.pushPull(endpoint, 20_000))).toMatchObject({ outcome: 'refused' })
    })

    test('a push/pull gives each the state of the other, from a port that is not where it listens', async () => {
      a.state = { ...empty, nodes: [node], join: false }
      b.state = { ...empty, nodes: [node, { ...node, name: 'n2', state: 1 }] }
      expect(await harness.settle(a.pushPull(b.endpoint, 20_000))).toEqual(b.state)
      expect(b.states).toEqual([
        { from: { address: a.endpoint.address, port: expect.any(Number) as number }, state: a.state },
      ])
      expect(b.states[0]!.from.port).not.toBe(a.endpoint.port)
    })

    test('one that ends while it is asked makes it fail, and is refused then', async () => {
      b.manner = 'keep silent'
      const asked = a.pushPull(b.endpoint, 20_000)
      await arrives(b.states)
      await b.close()
      expect(await harness.settle(asked)).toMatchObject({ outcome: 'failed' })
      expect(await harness.settle(a.probe(b.endpoint, 20_000))).toBe('refused')
    })
  })
}
