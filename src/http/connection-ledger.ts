import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import { LimitedWarnings } from '../limited-warnings.ts'
import { zeros } from '../zeros.ts'
import { HeldBytes } from './held-bytes.ts'
import { ADMIN_HTTP_LIMITS, type HttpLimits } from './limits.ts'
import { CLOSE_REASONS, PortConnections, type AnswerAccount, type CloseReason } from './port-connections.ts'
import { Intake } from './intake.ts'
import { Turns } from './turns.ts'

/** The ports of a process: look-ups, probes with metrics, and requests for the program behind `ringman proxy`. */
export type PortName = 'lookup' | 'admin' | 'proxy'

/** What the ledger counts, for metrics. Closed connections count from the start of the process. */
export interface LedgerCounts {
  /** Of the ports that are open. */
  readonly connections: Readonly<Partial<Record<PortName, number>>>
  readonly limits: Readonly<Partial<Record<PortName, number>>>
  readonly closed: Readonly<Record<CloseReason, number>>
  readonly heldBytes: { readonly head: number; readonly body: number; readonly answer: number }
}

/** Milliseconds between two looks for readers that take nothing. */
const SWEEP_MS = 1000

/** Milliseconds between two lines about connections that were closed for want of room. */
const WARNING_MS = 60_000

/**
 * The one account of what clients hold in this process: connections, heads, request bodies, and answers
 * that wait for readers. Each has a bound, over all ports and routes.
 */
export class ConnectionLedger {
  /** For whatever takes long: parsing large bodies, looking up many keys. */
  readonly turns = new Turns()
  /** How much of what clients send is taken in one turn of the event loop. */
  readonly intake = new Intake()
  readonly #clock: Clock
  readonly #limits: HttpLimits
  readonly #warnings: LimitedWarnings
  readonly #ports = new Map<PortName, PortConnections>()
  readonly #readers = new Set<SlowReader>()
  readonly #closed = zeros(CLOSE_REASONS)
  readonly #answers: Readonly<Record<PortName, HeldBytes>>
  /** Of requests, in memory that is taken for them. One that is not whole yet is cut for others that hold less. */
  readonly bodies: HeldBytes
  #sweeping = false

  constructor(deps: { readonly clock: Clock; readonly logger: Logger; readonly limits: HttpLimits }) {
    this.#clock = deps.clock
    this.#limits = deps.limits
    const heldBytes = (maxBytes: number, reason: CloseReason) =>
      new HeldBytes(maxBytes, (socket) => this.cut(socket, reason))
    const lookup = heldBytes(deps.limits.maxWaitingAnswerBytes, 'answers-waiting')
    this.#answers = {
      lookup,
      proxy: lookup,
      admin: heldBytes(ADMIN_HTTP_LIMITS.maxWaitingAnswerBytes, 'answers-waiting'),
    }
    this.bodies = heldBytes(deps.limits.maxHeldBodyBytes, 'unfinished-bodies')
    this.#warnings = new LimitedWarnings(deps.clock, deps.logger, WARNING_MS)
  }

  /** Begins to count the connections of a port. */
  openPort(name: PortName, limits: HttpLimits): PortConnections {
    const answers: AnswerAccount = {
      hasRoom: (bytes) => this.#answers[name].hasRoom(bytes),
      hold: (socket, bytes) => this.holdAnswer(name, socket, bytes),
    }
    const port = new PortConnections(limits, { intake: this.intake, answers }, (reason) => {
      this.#closed[reason] += 1
      this.#warnings.warn(
        { event: 'connections.limited', port: name, reason, open: port.size, limit: port.limit },
        'Closed connections to stay within the limits',
      )
    })
    this.#ports.set(name, port)
    return port
  }

  counts(): LedgerCounts {
    const ports = [...this.#ports]
    const sizes = ports.map(([name, { size, others }]) => [name, size + others.count] as const)
    const limits = ports.map(([name, { limit }]) => [name, limit] as const)
    return {
      connections: Object.fromEntries(sizes),
      limits: Object.fromEntries(limits),
      closed: { ...this.#closed },
      heldBytes: {
        head: ports.reduce((sum, [, { headBytes }]) => sum + headBytes, 0),
        body: this.bodies.totalBytes,
        answer: this.#answers.lookup.totalBytes + this.#answers.admin.totalBytes,
      },
    }
  }

  /** The answers that wait for the readers of a port. */
  answers(port: PortName): HeldBytes {
    return this.#answers[port]
  }

  /**
   * Takes an answer into account that waits for its reader, on a port.
   *
   * @returns Call it when the reader has it.
   */
  holdAnswer(port: PortName, socket: Socket, bytes: number): () => void {
    const releaseBytes = this.#answers[port].hold(bytes, socket)
    const releaseReader = this.watchReader(socket)
    return () => {
      releaseBytes()
      releaseReader()
    }
  }

  /**
   * Watches a connection on which bytes wait: it is cut when its reader has taken none for `slowReaderMs`.
   *
   * @returns Call it when no bytes wait any more.
   */
  watchReader(socket: Socket): () => void {
    const reader = { socket, takenBytes: takenBytesOf(socket), sinceMs: this.#clock.now() }
    this.#readers.add(reader)
    this.#sweepLater()
    return () => this.#readers.delete(reader)
  }

  /** Cuts a connection, and counts it. */
  cut(socket: Socket, reason: CloseReason): void {
    if (socket.destroyed) return
    this.#closed[reason] += 1
    socket.destroy()
  }

  #sweepLater(): void {
    if (this.#sweeping || this.#readers.size === 0) return
    this.#sweeping = true
    this.#clock.after(Math.min(SWEEP_MS, this.#limits.slowReaderMs), () => {
      this.#sweeping = false
      const nowMs = this.#clock.now()
      for (const reader of this.#readers) {
        const takenBytes = takenBytesOf(reader.socket)
        if (takenBytes !== reader.takenBytes) {
          reader.takenBytes = takenBytes
          reader.sinceMs = nowMs
        } else if (nowMs - reader.sinceMs >= this.#limits.slowReaderMs) {
          this.#readers.delete(reader)
          this.cut(reader.socket, 'slow-reader')
        }
      }
      this.#sweepLater()
    })
  }
}

interface SlowReader {
  readonly socket: Socket
  takenBytes: number
  sinceMs: number
}

/** Bytes of finished writes, which the system has taken. */
function takenBytesOf(socket: Socket): number {
  return socket.bytesWritten - socket.writableLength
}
