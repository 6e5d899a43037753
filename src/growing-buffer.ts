/**
 * Collects bytes that come in pieces. Its memory is at most twice the bytes it was given at once since the last
 * `take`, however small the pieces: a million pieces of one byte cost no more than one of a million.
 */
export class GrowingBuffer {
  #bytes = new Uint8Array(0)
  #sizeBytes = 0

  /** Bytes collected since the last `take`. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  /** What was collected stands at the front of it; a later `append` may replace the array. */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  /** Copies the piece. */
  append(piece: Uint8Array): void {
    const sizeBytes = this.#sizeBytes + piece.length
    if (sizeBytes > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(sizeBytes, 2 * this.#bytes.length))
      grown.set(this.#bytes.subarray(0, this.#sizeBytes))
      this.#bytes = grown
    }
    this.#bytes.set(piece, this.#sizeBytes)
    this.#sizeBytes = sizeBytes
  }

  /** Gives what was collected, which is the caller's from then on, and starts empty. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#sizeBytes)
    this.#bytes = new Uint8Array(0)
    this.#sizeBytes = 0
    return taken
  }
}
