import { type Endpoint, keyOf } from '../../src/membership/memberlist/protocol/endpoint.ts'
import type { ExchangeFailure } from '../../src/membership/memberlist/protocol/effects.ts'
import type { StreamProbeOutcome } from '../../src/membership/memberlist/protocol/events.ts'
import { encodeMessage, tryDecodeMessage } from '../../src/membership/memberlist/wire/message-codec.ts'
import type { Ack, Message, Ping, PushPull } from '../../src/membership/memberlist/wire/messages.ts'
import type { SimClock } from './sim-clock.ts'

/** What the network does to packets. Rates are probabilities per packet and direction. */
export interface Conditions {
  readonly lossRate: number
  readonly minDelayMs: number
  readonly maxDelayMs: number
  readonly duplicateRate: number
  /** Packets held back by up to {@link Conditions.reorderDelayMs}, so that later ones pass them. */
  readonly reorderRate: number
  readonly reorderDelayMs: number
}

export const GOOD_LAN: Conditions = {
  lossRate: 0,
  minDelayMs: 0.1,
  maxDelayMs: 1,
  duplicateRate: 0,
  reorderRate: 0,
  reorderDelayMs: 0,
}

/** A listening process. */
export interface Listener {
  packet: (from: Endpoint, messages: readonly Message[]) => void
  /** `answer` with undefined refuses what came on the stream. */
  streamPing: (ping: Ping, answer: (ack: Ack | undefined) => void) => void
  pushPull: (from: Endpoint, state: PushPull, answer: (state: PushPull | undefined) => void) => void
}

/** How a stream ended for the one who opened it: with an answer, or as the shell tells the machine. */
type StreamEnd<T> =
  | { readonly kind: 'answered'; readonly value: T }
  | { readonly kind: ExchangeFailure['outcome']; readonly why: string }

/** Ports of connections, by whoever opens them. */
const FIRST_EPHEMERAL_PORT = 32_768
const EPHEMERAL_PORTS = 28_232

/** A lost SYN is sent again after this, then doubled; as Linux does. */
const SYN_RETRY_MS = 1000
/** A lost segment is sent again after this, then doubled. */
const DATA_RETRY_MS = 200

/**
 * Hosts, and packets and streams between them. A host that is up answers for itself: where no process listens a
 * stream is refused. A host that is down is silence.
 */
export class SimNetwork {
  conditions: Conditions
  /** Whether packets pass from one address to another; any shape of partition. */
  passes: (from: string, to: string) => boolean = () => true
  /** Further loss by address, for single bad links or hosts; multiplies what gets through. */
  readonly lossRateOf = new Map<string, number>()
  /** Addresses at which streams are refused, as by a firewall that answers. */
  readonly tcpRefusedAt = new Set<string>()
  /** Drops all packets, but no streams. */
  udpBlocked = false
  /** One packet in so many goes through the bytes of the wire, so that what cannot be sent fails here too; all would be slow. */
  packetsPerEncoded = 50
  packetsSent = 0
  streamsOpened = 0
  readonly #clock: SimClock
  readonly #random: () => number
  readonly #hosts = new Set<string>()
  readonly #listeners = new Map<string, Listener>()

  constructor(clock: SimClock, random: () => number, conditions: Conditions = GOOD_LAN) {
    this.#clock = clock
    this.#random = random
    this.conditions = conditions
  }

  /** Brings up a host's address, with or without a process. */
  hostUp(address: string): void {
    this.#hosts.add(address)
  }

  hostDown(address: string): void {
    this.#hosts.delete(address)
  }

  listen(endpoint: Endpoint, listener: Listener): void {
    this.#hosts.add(endpoint.address)
    this.#listeners.set(keyOf(endpoint), listener)
  }

  /** Lets what is sent to `from` reach whoever listens at `to`, as a forwarded address does. */
  alias(from: Endpoint, to: Endpoint): void {
    const listener = this.#listeners.get(keyOf(to))
    if (listener !== undefined) this.listen(from, listener)
  }

  close(endpoint: Endpoint): void {
    this.#listeners.delete(keyOf(endpoint))
  }

  sendPacket(from: Endpoint, to: Endpoint, messages: readonly Message[]): void {
    this.packetsSent++
    const received = this.packetsSent % this.packetsPerEncoded === 0 ? messages.map(asReceived) : messages
    const copies = this.#random() < this.conditions.duplicateRate ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (this.udpBlocked || this.#isLost(from.address, to.address)) continue
      const { reorderRate, reorderDelayMs } = this.conditions
      const heldMs = reorderRate > 0 && this.#random() < reorderRate ? this.#random() * reorderDelayMs : 0
      this.#clock.after(this.#delayMs() + heldMs, () => {
        if (this.#reaches(from.address, to.address)) {
          this.#listeners.get(keyOf(to))?.packet(from, received)
        }
      })
    }
  }

  streamPing(
    from: Endpoint,
    to: Endpoint,
    ping: Ping,
    timeoutMs: number,
    end: (outcome: StreamProbeOutcome) => void,
  ): void {
    const finish = (result: StreamEnd<Ack>) => {
      if (result.kind === 'answered') end(result.value.seqNo === ping.seqNo ? 'acked' : 'failed')
      else end(result.kind === 'refused' ? 'refused' : 'failed')
    }
    this.#stream(from, to, timeoutMs, finish, (listener, answer) => {
      listener.streamPing(ping, answer)
    })
  }

  pushPull(
    from: Endpoint,
    to: Endpoint,
    state: PushPull,
    timeoutMs: number,
    end: (result: PushPull | ExchangeFailure) => void,
  ): void {
    const finish = (result: StreamEnd<PushPull>) => {
      end(result.kind === 'answered' ? result.value : { outcome: result.kind, message: result.why })
    }
    this.#stream(from, to, timeoutMs, finish, (listener, answer) => {
      // A connection comes from a port of its own, and not from the one where its owner listens.
      const port = FIRST_EPHEMERAL_PORT + (this.streamsOpened % EPHEMERAL_PORTS)
      listener.pushPull({ address: from.address, port }, state, answer)
    })
  }

  /** Connect, request, answer: each passes when both of its directions do, with retries as TCP makes them. */
  #stream<T>(
    from: Endpoint,
    to: Endpoint,
    timeoutMs: number,
    end: (end: StreamEnd<T>) => void,
    request: (listener: Listener, answer: (value: T | undefined) => void) => void,
  ): void {
    this.streamsOpened++
    const state = { over: false }
    const finish = (result: StreamEnd<T>) => {
      if (state.over) return
      state.over = true
      end(result)
    }
    this.#clock.after(timeoutMs, () => {
      finish({ kind: 'failed', why: `no answer within ${timeoutMs} ms` })
    })
    this.#pass(from, to, SYN_RETRY_MS, state, () => {
      const listener = this.#listeners.get(keyOf(to))
      if (listener === undefined || this.tcpRefusedAt.has(to.address)) {
        finish({ kind: 'refused', why: 'nobody listens there' })
        return
      }
      this.#pass(from, to, DATA_RETRY_MS, state, () => {
        // The process may have gone, or another one come, since the connection was made.
        if (this.#listeners.get(keyOf(to)) !== listener) {
          finish({ kind: 'failed', why: 'the process is gone' })
          return
        }
        request(listener, (value) => {
          this.#pass(to, from, DATA_RETRY_MS, state, () => {
            finish(value === undefined ? { kind: 'rejected', why: 'refused' } : { kind: 'answered', value })
          })
        })
      })
    })
  }

  /** One step of a stream: there and back, tried again after `retryMs`, doubling, until the stream is over. */
  #pass(
    from: Endpoint,
    to: Endpoint,
    retryMs: number,
    state: { readonly over: boolean },
    then: () => void,
  ): void {
    if (state.over) return
    const isThrough =
      this.#reaches(from.address, to.address) &&
      !this.#isLost(from.address, to.address) &&
      !this.#isLost(to.address, from.address)
    this.#clock.after(isThrough ? this.#delayMs() : retryMs, () => {
      if (state.over) return
      if (isThrough) then()
      else this.#pass(from, to, retryMs * 2, state, then)
    })
  }

  #reaches(from: string, to: string): boolean {
    return this.#hosts.has(from) && this.#hosts.has(to) && this.passes(from, to)
  }

  #isLost(from: string, to: string): boolean {
    const { lossRate } = this.conditions
    const through =
      (1 - lossRate) * (1 - (this.lossRateOf.get(from) ?? 0)) * (1 - (this.lossRateOf.get(to) ?? 0))
    return through < 1 && this.#random() >= through
  }

  #delayMs(): number {
    const { minDelayMs, maxDelayMs } = this.conditions
    return minDelayMs + this.#random() * (maxDelayMs - minDelayMs)
  }
}

function asReceived(message: Message): Message {
  const received = tryDecodeMessage(encodeMessage(message))
  if (received === undefined) throw new Error(`a message of the kind ${message.kind} cannot be read`)
  return received
}
