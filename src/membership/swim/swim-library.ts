import type { Socket } from 'node:dgram'
import { createRequire } from 'node:module'
import type { EventEmitter } from 'node:events'
import type { Basics } from '../../basics.ts'
import { LIBRARY_STATE, MESSAGE_TYPE, type SwimMessage, type UpdateData } from './datagram-guard.ts'
import type { SwimMeta } from './swim-metadata.ts'
import type { SwimSettings } from './swim-settings.ts'

/** A member as npm `swim` keeps it. */
export interface LibraryMember {
  readonly host: string
  /** One of `LIBRARY_STATE`. */
  state: number
  incarnation: number
  meta: unknown
  data(): UpdateData
}

type Debug = (message: string, fields?: unknown) => void

/** The parts of npm `swim` 0.6.0 that ringman touches, public or not. */
interface LibrarySwim extends EventEmitter {
  debug: Debug
  readonly codec: { encode(value: unknown): Buffer }
  readonly net: EventEmitter & {
    debug: Debug
    udpSocket: { send(bytes: Buffer, offset: number, length: number, port: string, address: string): void }
    listen(callback: () => void): void
    close(): void
    sendMessages(messages: readonly { readonly type: number; readonly data: unknown }[], host: string): void
  }
  readonly disseminator: EventEmitter & {
    debug: Debug
    removeUpdate(update: { readonly host: string }): void
  }
  readonly failureDetector: EventEmitter & {
    debug: Debug
    pingMember(member: LibraryMember | undefined): void
    pingReq(member: LibraryMember): void
    pingReqThroughMember(member: LibraryMember, relay: LibraryMember, callback: () => void): void
  }
  readonly membership: EventEmitter & {
    debug: Debug
    readonly local: LibraryMember
    readonly hostToMember: Record<string, LibraryMember>
    readonly hostToFaulty: Record<string, LibraryMember>
    next(): LibraryMember | undefined
    random(count: number): LibraryMember[]
    onUpdate(data: UpdateData): void
    sync(hosts: readonly string[]): void
  }
  bootstrap(hosts: readonly string[], callback: (error?: unknown) => void): void
  leave(): void
}

type LibrarySwimConstructor = new (options: {
  readonly local: { readonly host: string; readonly meta: SwimMeta; readonly incarnation: number }
  readonly codec: 'msgpack'
  readonly disseminationFactor: number
  readonly interval: number
  readonly pingTimeout: number
  readonly pingReqTimeout: number
  readonly pingReqGroupSize: number
  readonly preferCurrentMeta: boolean
  readonly udp: { readonly maxDgramSize: number }
}) => LibrarySwim

export interface SwimLibraryOptions extends Omit<Basics, 'random'> {
  /** This process, `IPV4:PORT`. */
  readonly host: string
  readonly meta: SwimMeta
  readonly incarnation: number
  readonly settings: SwimSettings
  readonly send: (bytes: Uint8Array, host: string) => void
  /** A member took a new state or incarnation. */
  readonly onUpdate: (data: UpdateData) => void
  /** Neither a direct nor an indirect probe of a member had an answer. */
  readonly onProbeFailed: (probe: ProbeFailure) => void
}

export interface ProbeFailure {
  readonly host: string
  /** The incarnation that was probed. */
  readonly incarnation: number
  /** When the direct probe was sent, in the clock's `now`. */
  readonly startedAtMs: number
}

/**
 * The one place that touches npm `swim`, whose inside it has to reach for: the library binds to every address,
 * parses whatever arrives, and decides on death with timers of its own. Here it keeps what it is good for: how
 * updates override each other, which of them travel along with which datagram, how messages are encoded, whom to
 * probe next. It gets no socket, no bytes (only checked messages), and no say on suspicion.
 *
 * Its `debug` lines are the instance's own properties; replacing these leaves the global `debug` package alone.
 */
export class SwimLibrary {
  readonly #swim: LibrarySwim
  readonly #options: SwimLibraryOptions
  /** Indirect probes that wait for an answer, by the host probed. */
  readonly #indirect = new Map<string, () => void>()
  #stopped = false

  constructor(options: SwimLibraryOptions) {
    this.#options = options
    this.#swim = this.#create()
  }

  /** This process; mutable as the library's own record of it. */
  get local(): LibraryMember {
    return this.#swim.membership.local
  }

  /** Hosts alive or suspect, this process not among them. */
  get liveHosts(): string[] {
    return Object.keys(this.#swim.membership.hostToMember)
  }

  /** This process, and then the members that are alive, suspect or faulty. */
  get members(): LibraryMember[] {
    const { local, hostToMember, hostToFaulty } = this.#swim.membership
    return [local, ...Object.values(hostToMember), ...Object.values(hostToFaulty)]
  }

  live(host: string): LibraryMember | undefined {
    return this.#swim.membership.hostToMember[host]
  }

  faulty(host: string): LibraryMember | undefined {
    return this.#swim.membership.hostToFaulty[host]
  }

  /** Starts probing. It is ready when this returns. */
  start(): void {
    this.#swim.bootstrap([], () => {})
  }

  /** Ends every timer. Idempotent. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    for (const cancel of this.#indirect.values()) cancel()
    this.#indirect.clear()
    this.#swim.leave()
  }

  /** Hands over a checked message from `from` (`IPV4:PORT`). */
  deliver(message: SwimMessage, from: string): void {
    // Also an ack that comes too late for the direct probe: it lives.
    if (message.kind === 'ack') this.#indirect.get(from)?.()
    this.#swim.net.emit(message.kind === 'ping-req' ? 'pingreq' : message.kind, message.data, from)
  }

  /** Applies an update that this process came to by itself. */
  apply(data: UpdateData): void {
    this.#swim.membership.onUpdate(data)
  }

  /** Probes a live member now, out of turn. */
  probe(host: string): void {
    this.#swim.failureDetector.pingMember(this.live(host))
  }

  /** Tells `hosts` of all members, this one first, and has them answer in kind. */
  sync(hosts: readonly string[]): void {
    if (hosts.length > 0) this.#swim.membership.sync(hosts)
  }

  sendUpdate(data: UpdateData, host: string): void {
    this.#swim.net.sendMessages([{ type: MESSAGE_TYPE.update, data }], host)
  }

  /** Answers a ping with nothing travelling along. */
  sendPlainAck(seq: number, host: string): void {
    this.#options.send(Buffer.concat([Buffer.of(MESSAGE_TYPE.ack), this.#swim.codec.encode({ seq })]), host)
  }

  /** Marks this process as gone, with the next incarnation, and lets that travel along from now on. */
  markLeft(meta: SwimMeta): void {
    const { local } = this
    local.state = LIBRARY_STATE.faulty
    local.incarnation += 1
    local.meta = meta
    this.#swim.membership.emit('update', local.data())
  }

  /** Forgets a member that is faulty, and news of it. */
  forget(host: string): void {
    delete this.#swim.membership.hostToFaulty[host]
    this.#swim.disseminator.removeUpdate({ host })
  }

  #create(): LibrarySwim {
    const { host, meta, incarnation, settings, logger, send, onUpdate } = this.#options
    const require = createRequire(import.meta.url)
    const Swim = require('swim') as LibrarySwimConstructor
    const swim = new Swim({
      local: { host, meta, incarnation },
      codec: 'msgpack',
      disseminationFactor: settings.gossipFactor,
      interval: settings.probeIntervalMs,
      pingTimeout: settings.probeTimeoutMs,
      pingReqTimeout: settings.indirectTimeoutMs,
      pingReqGroupSize: settings.indirectProbes,
      // Others do not decide about this process's metadata.
      preferCurrentMeta: true,
      udp: { maxDgramSize: settings.datagramBytes },
    })
    const { net, membership, failureDetector, disseminator } = swim

    // The constructor has made an unbound socket; it is not needed.
    ;(net.udpSocket as unknown as Socket).close()
    net.udpSocket = {
      send(bytes, offset, length, port, address) {
        send(bytes.subarray(offset, offset + length), `${address}:${port}`)
      },
    }
    net.listen = (callback) => callback()
    net.close = () => {}

    const trace: Debug = (message, fields) => {
      logger.trace({ event: 'library.traced', fields }, `npm swim: ${message}`)
    }
    const debug: Debug = (message, fields) => {
      logger.debug({ event: 'library.logged', fields }, `npm swim: ${message}`)
    }
    net.debug = trace
    membership.debug = trace
    failureDetector.debug = debug
    disseminator.debug = debug
    swim.debug = debug

    // Its round holds members as they were when the round began; a probe is of the member as it is now.
    const next = membership.next.bind(membership)
    membership.next = () => {
      const chosen = this.#stopped ? undefined : next()
      return chosen === undefined ? undefined : membership.hostToMember[chosen.host]
    }
    failureDetector.pingReq = (member) => this.#probeIndirectly(member)
    membership.on('update', onUpdate)
    return swim
  }

  /** As the library does it, but with a timer that can be cancelled, and through others than the one probed. */
  #probeIndirectly(member: LibraryMember): void {
    const { settings, clock, onProbeFailed } = this.#options
    const { membership, failureDetector } = this.#swim
    const { host, incarnation } = member
    if (this.#stopped || membership.hostToMember[host] === undefined || this.#indirect.has(host)) return
    const startedAtMs = clock.now() - settings.probeTimeoutMs
    const cancelTimer = clock.after(settings.indirectTimeoutMs, () => {
      this.#indirect.delete(host)
      onProbeFailed({ host, incarnation, startedAtMs })
    })
    const cancel = () => {
      cancelTimer()
      this.#indirect.delete(host)
    }
    this.#indirect.set(host, cancel)
    const others = membership.random(settings.indirectProbes + 1).filter((relay) => relay.host !== host)
    // With nobody else the member is asked once more itself, in case only one datagram was lost.
    const relays = others.length > 0 ? others.slice(0, settings.indirectProbes) : [member]
    for (const relay of relays) failureDetector.pingReqThroughMember(member, relay, cancel)
  }
}
