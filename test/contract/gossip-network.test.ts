import { SimClock } from '../../lab/sim/sim-clock.ts'
import { SimNetwork } from '../../lab/sim/sim-network.ts'
import { systemClock } from '../../src/clock.ts'
import { silentLogger } from '../../src/logger.ts'
import { GossipTransport } from '../../src/membership/memberlist/gossip-transport.ts'
import type { ExchangeFailure } from '../../src/membership/memberlist/protocol/effects.ts'
import type { Endpoint } from '../../src/membership/memberlist/protocol/endpoint.ts'
import type { ProtocolEvent, StreamProbeOutcome } from '../../src/membership/memberlist/protocol/events.ts'
import { PRESETS } from '../../src/membership/memberlist/protocol/settings.ts'
import type { Ack, Message, PushPull, StreamMessage } from '../../src/membership/memberlist/wire/messages.ts'
import { freePort } from '../support/free-port.ts'
import { describeGossipNetwork, type Manner, type Post } from './gossip-network-contract.ts'

const EMPTY: PushPull = { join: false, nodes: [], userState: new Uint8Array(0) }
const wrongBy = (manner: Manner) => (manner === 'answer wrongly' ? 1 : 0)
const ackOf = (seqNo: number): Ack => ({ kind: 'ack', seqNo, payload: new Uint8Array(0) })

class SimPost implements Post {
  readonly endpoint: Endpoint
  readonly packets: { readonly from: Endpoint; readonly messages: readonly Message[] }[] = []
  readonly states: { readonly from: Endpoint; readonly state: PushPull }[] = []
  manner: Manner = 'answer'
  state = EMPTY
  readonly #network: SimNetwork

  constructor(network: SimNetwork, endpoint: Endpoint) {
    this.#network = network
    this.endpoint = endpoint
    network.listen(endpoint, {
      packet: (from, messages) => this.packets.push({ from, messages }),
      streamPing: ({ seqNo }, answer) => {
        if (this.manner === 'keep silent') return
        answer(this.manner === 'refuse' ? undefined : ackOf(seqNo + wrongBy(this.manner)))
      },
      pushPull: (from, state, answer) => {
        this.states.push({ from, state })
        if (this.manner === 'keep silent') return
        answer(this.manner === 'refuse' ? undefined : this.state)
      },
    })
  }

  sendPacket(to: Endpoint, messages: readonly Message[]): void {
    this.#network.sendPacket(this.endpoint, to, messages)
  }

  probe(to: Endpoint, timeoutMs: number): Promise<StreamProbeOutcome> {
    return new Promise((resolve) => {
      this.#network.streamPing(this.endpoint, to, { kind: 'ping', seqNo: 5, node: 'n' }, timeoutMs, resolve)
    })
  }

  pushPull(to: Endpoint, timeoutMs: number): Promise<PushPull | ExchangeFailure> {
    return new Promise((resolve) => {
      this.#network.pushPull(this.endpoint, to, this.state, timeoutMs, resolve)
    })
  }

  close(): Promise<void> {
    this.#network.close(this.endpoint)
    return Promise.resolve()
  }
}

describeGossipNetwork("The simulator's network", () => {
  const clock = new SimClock()
  const network = new SimNetwork(clock, () => 0.5)
  network.packetsPerEncoded = 1
  let hosts = 0
  const pass = (ms: number) => {
    clock.runUntil(clock.nowMs + ms)
    return Promise.resolve()
  }
  return {
    open: () => Promise.resolve(new SimPost(network, { address: `10.0.0.${++hosts}`, port: 7946 })),
    pass,
    settle: async (promise) => {
      await pass(60_000)
      return promise
    },
    close: () => Promise.resolve(),
  }
})

class SocketPost implements Post {
  readonly packets: { readonly from: Endpoint; readonly messages: readonly Message[] }[] = []
  readonly states: { readonly from: Endpoint; readonly state: PushPull }[] = []
  manner: Manner = 'answer'
  state = EMPTY
  readonly #transport: GossipTransport
  readonly #ended = new Map<number, (event: ProtocolEvent) => void>()
  #next = 1

  constructor() {
    this.#transport = new GossipTransport({
      node: { name: 'n', clock: systemClock, random: () => 0.5, logger: silentLogger },
      settings: PRESETS.lan,
      onEvent: (event) => {
        this.#on(event)
      },
      onUserMessage: () => undefined,
      onError: (error) => {
        throw error
      },
    })
  }

  get endpoint(): Endpoint {
    return { address: '127.0.0.1', port: this.#transport.port ?? 0 }
  }

  async open(): Promise<this> {
    await this.#transport.open('127.0.0.1', await freePort())
    return this
  }

  sendPacket(to: Endpoint, messages: readonly Message[]): void {
    this.#transport.sendPacket(to, messages, this.endpoint.port)
  }

  async probe(to: Endpoint, timeoutMs: number): Promise<StreamProbeOutcome> {
    const probe = this.#next++
    const ping = { kind: 'ping', seqNo: 5, node: 'n' } as const
    const ended = this.#end(probe)
    await this.#transport.probe({ kind: 'start-stream-probe', probe, to, ping, timeoutMs })
    const event = await ended
    if (event.kind !== 'stream-probe-finished') throw new Error(`a probe ended in ${event.kind}`)
    return event.outcome
  }

  async pushPull(to: Endpoint, timeoutMs: number): Promise<PushPull | ExchangeFailure> {
    const exchange = this.#next++
    const { state } = this
    const ended = this.#end(exchange)
    await this.#transport.pushPull(
      { kind: 'start-push-pull', exchange, to, state, timeoutMs },
      state.userState,
    )
    const event = await ended
    if (event.kind === 'push-pull-answered') return event.state
    if (event.kind !== 'push-pull-failed') throw new Error(`a push/pull ended in ${event.kind}`)
    return { outcome: event.outcome, message: event.message }
  }

  async close(): Promise<void> {
    // The port stays known: others ask there in vain.
    const { endpoint } = this
    Object.defineProperty(this, 'endpoint', { value: endpoint })
    await this.#transport.close()
  }

  #end(id: number): Promise<ProtocolEvent> {
    return new Promise((resolve) => this.#ended.set(id, resolve))
  }

  #on(event: ProtocolEvent): void {
    if (event.kind === 'packet-received') {
      this.packets.push({ from: event.from, messages: event.messages })
    } else if (event.kind === 'stream-ping-received') {
      this.#answer(event.stream, ackOf(event.ping.seqNo + wrongBy(this.manner)))
    } else if (event.kind === 'push-pull-received') {
      this.states.push({ from: event.from, state: event.state })
      this.#answer(event.stream, { kind: 'push-pull', pushPull: this.state })
    } else if (event.kind === 'stream-probe-finished') {
      this.#ended.get(event.probe)?.(event)
    } else if (event.kind === 'push-pull-answered' || event.kind === 'push-pull-failed') {
      this.#ended.get(event.exchange)?.(event)
    } else {
      throw new Error(`no transport makes the event ${event.kind}`)
    }
  }

  #answer(stream: number, message: StreamMessage): void {
    if (this.manner === 'keep silent') return
    const refusal = { kind: 'error', text: 'refused: overloaded' } as const
    this.#transport.answer(stream, this.manner === 'refuse' ? refusal : message)
  }
}

describeGossipNetwork('The network of real sockets', () => {
  const posts: SocketPost[] = []
  return {
    open: async () => {
      const post = await new SocketPost().open()
      posts.push(post)
      return post
    },
    pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    settle: (promise) => promise,
    close: async () => {
      await Promise.all(posts.map((post) => post.close()))
    },
  }
})
