import { overLimit } from './malformed.ts'

const FIRST_CAPACITY = 4096

/** Bytes that arrive in pieces, kept in one stretch. It grows with what has arrived, up to a limit. */
export class ByteBuffer {
  readonly #maxBytes: number
  #bytes = new Uint8Array(0)
  #length = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The bytes; only the first {@link length} of them have arrived. A later {@link append} may replace the array. */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  get length(): number {
    return this.#length
  }

  /** @throws RingmanError `WIRE_MALFORMED` with `detail.limit` when there would be more than the limit. */
  append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length
    if (length > this.#maxBytes) throw overLimit('maxStreamBytes', this.#maxBytes)
    if (length > this.#bytes.length) {
      const capacity = Math.max(
        length,
        Math.min(this.#maxBytes, Math.max(FIRST_CAPACITY, this.#bytes.length * 2)),
      )
      const grown = new Uint8Array(capacity)
      grown.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = grown
    }
    this.#bytes.set(chunk, this.#length)
    this.#length = length
  }
}

/** `bytes` as a plain `Uint8Array` on the same memory: a `Buffer`'s own `slice` would not copy. */
export function plainView(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
}
