import type { Socket } from 'node:net'

/** Bytes of one kind that are held for clients, within a bound. */
export class HeldBytes {
  readonly #maxBytes: number
  readonly #cut: (socket: Socket) => void
  readonly #bySocket = new Map<Socket, number>()
  #totalBytes = 0

  /** @param cut - Ends a connection for which bytes are held, to make room. */
  constructor(maxBytes: number, cut: (socket: Socket) => void) {
    this.#maxBytes = maxBytes
    this.#cut = cut
  }

  get totalBytes(): number {
    return this.#totalBytes
  }

  /** Whether there is room for so many more. The connection for which more than that is held is cut to make it. */
  hasRoom(bytes: number): boolean {
    while (this.#totalBytes + bytes > this.#maxBytes) {
      let largest: Socket | undefined
      let most = bytes
      for (const [socket, socketBytes] of this.#bySocket) {
        if (socketBytes <= most) continue
        most = socketBytes
        largest = socket
      }
      if (largest === undefined) return false
      this.#totalBytes -= most
      this.#bySocket.delete(largest)
      this.#cut(largest)
    }
    return true
  }

  /**
   * Takes bytes into account.
   *
   * @param socket - The connection that may be cut for them; none where it is no matter of one connection alone.
   * @returns Call it once, when they are held no more.
   */
  hold(bytes: number, socket?: Socket): () => void {
    this.#totalBytes += bytes
    if (socket === undefined) {
      return () => {
        this.#totalBytes -= bytes
      }
    }
    this.#bySocket.set(socket, (this.#bySocket.get(socket) ?? 0) + bytes)
    return () => {
      const left = this.#bySocket.get(socket)
      // It was cut, and has been taken off the account.
      if (left === undefined) return
      this.#totalBytes -= bytes
      if (left > bytes) this.#bySocket.set(socket, left - bytes)
      else this.#bySocket.delete(socket)
    }
  }
}
