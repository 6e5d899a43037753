import type { Duplex } from 'node:stream'

/**
 * Long work in pieces, one in each turn of the event loop, whoever asked for it: a crowd of large requests holds the
 * loop no longer than one does, and connections, probes and small requests come in between. Work that has begun goes
 * before work that has not, so that what pieces hold between two turns is that of one request and not of all.
 */
export class Turns {
  /** In the order of the calls, each among those of its connection. */
  readonly #waiting = new Map<Waiter, Set<Waiter>>()
  readonly #begun: Waiter[] = []
  readonly #bySocket = new WeakMap<Duplex, Set<Waiter>>()
  #scheduled = false

  /**
   * Resolves in a turn that no other caller gets, in the order of the calls; at once when the connection is closed: nobody
   * waits any more, and nothing is to be kept for the request.
   */
  begin(socket: Duplex): Promise<void> {
    return new Promise((resolve) => {
      if (socket.destroyed) {
        resolve()
        return
      }
      const own = this.#waitersOf(socket)
      own.add(resolve)
      this.#waiting.set(resolve, own)
      this.#schedule()
    })
  }

  /** Resolves in a turn of its own, for the next piece of work that has begun. */
  goOn(): Promise<void> {
    return new Promise((resolve) => {
      this.#begun.push(resolve)
      this.#schedule()
    })
  }

  #waitersOf(socket: Duplex): Set<Waiter> {
    let waiters = this.#bySocket.get(socket)
    if (waiters === undefined) {
      const own = (waiters = new Set())
      this.#bySocket.set(socket, own)
      socket.once('close', () => {
        for (const resolve of own) {
          this.#waiting.delete(resolve)
          resolve()
        }
      })
    }
    return waiters
  }

  #schedule(): void {
    if (this.#scheduled || this.#begun.length + this.#waiting.size === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      const next = this.#begun.shift() ?? this.#firstWaiting()
      next?.()
      this.#schedule()
    })
  }

  #firstWaiting(): Waiter | undefined {
    for (const [resolve, own] of this.#waiting) {
      this.#waiting.delete(resolve)
      own.delete(resolve)
      return resolve
    }
    return undefined
  }
}

type Waiter = () => void
