/** So many bytes must be there before memory is taken for all that are announced. */
const ENOUGH_TO_TRUST_BYTES = 64 * 1024

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

  /** Bytes of memory that it takes. */
  get capacityBytes(): number {
    return this.#bytes.length
  }

  /**
   * Copies the piece.
   *
   * @param wholeBytes - How many bytes there will be in the end, where that is known: grown to that at once, nothing is
   *   copied twice. A first small piece takes no more than its own size even so.
   */
  append(piece: Uint8Array, wholeBytes = 0): void {
    const sizeBytes = this.#sizeBytes + piece.length
    if (sizeBytes > this.#bytes.length) {
      const expected = sizeBytes < ENOUGH_TO_TRUST_BYTES ? 0 : wholeBytes
      const grown = new Uint8Array(Math.max(sizeBytes, expected, 2 * this.#bytes.length))
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

/**
 * All bytes of a body.
 *
 * @param tooLarge - Makes what is thrown as soon as there are more than `limitBytes`; nothing is read after that.
 */
export async function collectBytes(
  body: AsyncIterable<Uint8Array>,
  limitBytes: number,
  tooLarge: () => Error,
): Promise<Uint8Array> {
  const whole = new GrowingBuffer()
  for await (const part of body) {
    if (whole.sizeBytes + part.length > limitBytes) throw tooLarge()
    whole.append(part)
  }
  return whole.take()
}
