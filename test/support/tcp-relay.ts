import { connect, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'

/** Where a relay listens or passes to. */
export interface TcpAddress {
  readonly host: string
  readonly port: number
}

/**
 * What a relay does with connections: passes bytes; `cut` closes those that come at once (and by `cut()` those there
 * are); `stall` keeps connections open and passes nothing, in either direction, as a dead network path does.
 */
export type RelayMode = 'pass' | 'cut' | 'stall'

interface Pair {
  readonly near: Socket
  readonly far: Socket
}

/** Passes TCP connections on to another address, until a test makes it a bad network. */
export class TcpRelay implements AsyncDisposable {
  readonly #target: TcpAddress
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  #mode: RelayMode = 'pass'
  #accepted = 0

  private constructor(target: TcpAddress) {
    this.#target = target
    this.#server = createServer((near) => {
      this.#accept(near)
    })
  }

  /** @param listen - Port 0 takes a free one. */
  static async start(listen: TcpAddress, target: TcpAddress): Promise<TcpRelay> {
    const relay = new TcpRelay(target)
    relay.#server.listen(listen.port, listen.host)
    await once(relay.#server, 'listening')
    return relay
  }

  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** How many connections came so far. */
  get accepted(): number {
    return this.#accepted
  }

  /** How many are open. */
  get open(): number {
    return this.#pairs.size
  }

  /** Ends every connection at once (by a reset) and every one that comes. */
  cut(): void {
    this.#mode = 'cut'
    this.cutOnce()
  }

  /** Ends every connection at once (by a reset); new ones are passed as before. */
  cutOnce(): void {
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
  }

  /** Lets nothing through any more, and tells nobody. */
  stall(): void {
    this.#mode = 'stall'
    for (const { near, far } of this.#pairs) {
      near.pause()
      far.pause()
    }
  }

  /**
   * Passes everything again. What was stalled goes on where it was, unless `forget`: then those connections stay
   * silent for ever, as they do when a path comes back that has lost its state.
   */
  pass(options: { readonly forget?: boolean } = {}): void {
    this.#mode = 'pass'
    if (options.forget === true) return
    for (const { near, far } of this.#pairs) {
      near.resume()
      far.resume()
    }
  }

  async stop(): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #accept(near: Socket): void {
    this.#accepted += 1
    if (this.#mode === 'cut') {
      near.on('error', () => {
        // The other end may have gone at the same moment: the connection is over either way.
      })
      near.resetAndDestroy()
      return
    }
    const far = connect({ host: this.#target.host, port: this.#target.port })
    const pair = { near, far }
    this.#pairs.add(pair)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      // No `pipe`: it resumes a paused socket when the other one drains.
      from.on('data', (bytes: Buffer) => to.write(bytes))
      from.on('end', () => to.end())
      from.on('error', () => {
        to.resetAndDestroy()
      })
      from.on('close', () => {
        to.destroy()
        this.#pairs.delete(pair)
      })
    }
    if (this.#mode === 'stall') {
      near.pause()
      far.pause()
    }
  }
}
