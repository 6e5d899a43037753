import { GrowingBuffer } from '../growing-buffer.ts'
import { apiError } from './api-error.ts'

const NEWLINE = 0x0a

/** Cuts a stream of bytes into lines. Chunks may end anywhere; at most `limitBytes` of an unfinished line are held. */
export class LineSplitter {
  readonly #limitBytes: number
  readonly #held = new GrowingBuffer()

  /** @param limitBytes - Longest line in bytes. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get heldBytes(): number {
    return this.#held.sizeBytes
  }

  /**
   * Takes the next bytes.
   *
   * @returns The lines that they complete, in order, without their ends and without empty ones.
   * @throws {RingmanError} Kind `too-large` for a line beyond the limit; the splitter is of no use afterwards.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const lines: Uint8Array[] = []
    let begin = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, begin)) {
      this.#hold(chunk.subarray(begin, end))
      if (this.#held.sizeBytes > 0) lines.push(this.#held.take())
      begin = end + 1
    }
    if (begin < chunk.length) this.#hold(chunk.subarray(begin))
    return lines
  }

  #hold(part: Uint8Array): void {
    if (this.#held.sizeBytes + part.length > this.#limitBytes) {
      throw apiError('too-large', `a line of the watch is longer than ${this.#limitBytes} bytes`)
    }
    this.#held.append(part)
  }
}
