import { writeSync } from 'node:fs'

/** Where a logger writes its lines. */
export interface LineWriter {
  /** Takes one line with its end. */
  write(line: string): void
}

/**
 * Writes lines to a file descriptor at once. What cannot be written, because the reader went away, the disk is full
 * or a non-blocking pipe is, is dropped: losing log lines must not stop look-ups, nor make memory grow. A line is
 * written whole or not at all, except for the one during which the descriptor failed for good.
 */
export class DescriptorWriter implements LineWriter {
  readonly #descriptor: number
  /** What a pipe did not take of the last line. */
  #rest = Buffer.alloc(0)

  /** @param descriptor - Open for writing, such as 1 for standard output. */
  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  write(line: string): void {
    this.#rest = this.#flush(this.#rest)
    if (this.#rest.byteLength > 0) return
    const bytes = Buffer.from(line)
    const rest = this.#flush(bytes)
    if (rest.byteLength < bytes.byteLength) this.#rest = rest
  }

  /** Writes as much as the descriptor takes and gives back what it did not. */
  #flush(bytes: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
    let rest = bytes
    try {
      while (rest.byteLength > 0) rest = rest.subarray(writeSync(this.#descriptor, rest))
    } catch {
      // A log that cannot be written has nowhere to say so.
    }
    return rest
  }
}
