import { RingmanError } from '../../errors.ts'

/**
 * Cuts a stream of JSON objects, one right after the other or with white space between, into the bytes of each.
 * Chunks may end anywhere. At most `limitBytes` of an unfinished object are held; what is inside an object is
 * left to the decoder.
 */
export class DocumentSplitter {
  readonly #limitBytes: number
  #held = new Uint8Array(0)
  #heldBytes = 0
  #depth = 0
  #inString = false
  #escaped = false

  /** @param limitBytes - Largest object in bytes. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** Bytes of the unfinished object. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /**
   * Takes the next bytes.
   *
   * @returns The objects that they complete, in order.
   * @throws {RingmanError} `BODY_INVALID` when something other than an object begins, `BODY_TOO_LARGE` when one
   *   grows beyond the limit; the splitter is of no use after either.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const documents: Uint8Array[] = []
    let begin = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0
      if (this.#depth === 0) {
        if (byte === 0x7b) {
          this.#depth = 1
          begin = at
        } else if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) {
          throw new RingmanError('BODY_INVALID', 'the stream has something other than a JSON object')
        }
      } else if (this.#inString) {
        if (this.#escaped) this.#escaped = false
        else if (byte === 0x5c) this.#escaped = true
        else if (byte === 0x22) this.#inString = false
      } else if (byte === 0x22) {
        this.#inString = true
      } else if (byte === 0x7b || byte === 0x5b) {
        this.#depth += 1
      } else if (byte === 0x7d || byte === 0x5d) {
        this.#depth -= 1
        if (this.#depth === 0) {
          this.#hold(chunk.subarray(begin, at + 1))
          documents.push(this.#held.slice(0, this.#heldBytes))
          this.#heldBytes = 0
        }
      }
    }
    if (this.#depth > 0) this.#hold(chunk.subarray(begin))
    return documents
  }

  /** Copies into one buffer, which at least doubles when it grows: a byte a chunk costs no more than one chunk. */
  #hold(part: Uint8Array): void {
    const sizeBytes = this.#heldBytes + part.length
    if (sizeBytes > this.#limitBytes) {
      throw new RingmanError(
        'BODY_TOO_LARGE',
        `a document of the stream is larger than ${this.#limitBytes} bytes`,
        {
          detail: { limitBytes: this.#limitBytes },
        },
      )
    }
    if (sizeBytes > this.#held.length) {
      const grown = new Uint8Array(Math.max(sizeBytes, 2 * this.#held.length))
      grown.set(this.#held.subarray(0, this.#heldBytes))
      this.#held = grown
    }
    this.#held.set(part, this.#heldBytes)
    this.#heldBytes = sizeBytes
  }
}
