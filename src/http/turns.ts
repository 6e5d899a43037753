import type { Duplex } from 'node:stream'
import { getOrMake } from '../get-or-make.ts'

/** Who waits for a turn; `resolve` is undefined once it has one, or is gone. */
interface Waiter {
  resolve: (() => void) | undefined
}

/**
 * Long work in pieces, one in each turn of the event loop, whoever asked for it: a crowd of large requests holds the
 * loop no longer than one does, and connections, probes and small requests come in between. Work that has begun goes
 * before work that has not, so that what pieces hold between two turns is that of one request and not of all.
 */
export class Turns {
  readonly #waiting: Waiter[] = []
  readonly #begun: Waiter[] = []
  readonly #bySocket = new WeakMap<Duplex, Set<Waiter>>()
  #scheduled = false

  /**
   * Resolves in a turn that no other caller gets, in the order of the calls; at once when the connection is closed: nobody
   * waits any more, and nothing is to be kept for the request.
   */
  async begin(socket: Duplex): Promise<void> {
    if (socket.destroyed) return
    const own = this.#waitersOf(socket)
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiter = { resolve }
    own.add(waiter)
    this.#stand(this.#waiting, waiter)
    await promise
    own.delete(waiter)
  }

  /** Resolves in a turn of its own, for the next piece of work that has begun. */
  goOn(): Promise<void> {
    return new Promise((resolve) => this.#stand(this.#begun, { resolve }))
  }

  #waitersOf(socket: Duplex): Set<Waiter> {
    return getOrMake(this.#bySocket, socket, () => {
      const waiters = new Set<Waiter>()
      socket.once('close', () => {
        for (const waiter of waiters) call(waiter)
      })
      return waiters
    })
  }

  #stand(line: Waiter[], waiter: Waiter): void {
    line.push(waiter)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || this.#begun.length + this.#waiting.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      let next
      do next = this.#begun.shift() ?? this.#waiting.shift()
      while (next !== undefined && !call(next))
      this.#schedule()
    })
  }
}

/** Lets one go on. @returns False for one that is gone. */
function call(waiter: Waiter): boolean {
  const { resolve } = waiter
  waiter.resolve = undefined
  resolve?.()
  return resolve !== undefined
}
