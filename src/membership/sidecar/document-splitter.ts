import { RingmanError } from '../../errors.ts'
import { GrowingBuffer } from '../../growing-buffer.ts'

/**
 * Cuts a stream of JSON objects, one right after the other or with white space between, into the bytes of each.
 * Chunks may end anywhere. At most `limitBytes` of an unfinished object are held; what is inside an object is
 * left to the decoder.
 */
export class DocumentSplitter {
  readonly #limitBytes: number
  readonly #held = new GrowingBuffer()
  #depth = 0
  #inString = false
  #escaped = false

  /** @param limitBytes - Largest object in bytes. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get heldBytes(): number {
    return this.#held.sizeBytes
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
          documents.push(this.#held.take())
        }
      }
    }
    if (this.#depth > 0) this.#hold(chunk.subarray(begin))
    return documents
  }

  #hold(part: Uint8Array): void {
    if (this.#held.sizeBytes + part.length > this.#limitBytes) {
      throw new RingmanError(
        'BODY_TOO_LARGE',
        `a document of the stream is larger than ${this.#limitBytes} bytes`,
        { detail: { limitBytes: this.#limitBytes } },
      )
    }
    this.#held.append(part)
  }
}
