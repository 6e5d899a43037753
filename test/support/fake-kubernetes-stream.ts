/** The body of an answer of the fake API server: bytes that a test can hold back, spoil and cut. */
export class FakeStream implements AsyncIterable<Uint8Array> {
  /** Called once, when nobody reads any more: at the end, after a failure, or when the reader leaves. */
  onClose: () => void = () => {}
  /** Called at a failure, for readers that wait for the head. */
  onFail: (error: Error) => void = () => {}
  readonly #random: (() => number) | undefined
  readonly #queue: Uint8Array[] = []
  #leftBytes = Infinity
  #cleanLimit = false
  #silent = false
  #ended = false
  #failure: Error | undefined
  #closed = false
  #wake: () => void = () => {}

  /** @param random - Chance by which chunks are cut into pieces; undefined for none. */
  constructor(random: (() => number) | undefined) {
    this.#random = random
  }

  sendLine(value: unknown): void {
    this.send(`${JSON.stringify(value)}\n`)
  }

  send(text: string): void {
    if (this.#silent || this.#ended || this.#failure !== undefined) return
    let bytes: Uint8Array = new TextEncoder().encode(text)
    const over = bytes.length > this.#leftBytes
    if (over) bytes = bytes.subarray(0, this.#leftBytes)
    this.#leftBytes -= bytes.length
    for (const piece of this.#pieces(bytes)) this.#queue.push(piece)
    this.#wake()
    if (!over) return
    if (this.#cleanLimit) this.end()
    else this.fail(new Error('read ECONNRESET'))
  }

  /** From now on nothing comes any more, and the connection stays open. */
  silence(): void {
    this.#silent = true
  }

  /** The body breaks off after so many bytes more. */
  limit(bytes: number, clean: boolean): void {
    this.#leftBytes = bytes
    this.#cleanLimit = clean
  }

  end(): void {
    if (this.#silent) return
    this.#ended = true
    this.#wake()
  }

  /** What was sent before may still be read. */
  fail(error: Error): void {
    if (this.#ended || this.#failure !== undefined) return
    this.#failure = error
    this.onFail(error)
    this.#wake()
  }

  /** The reader has gone. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#failure ??= new Error('closed')
    this.#queue.length = 0
    this.onClose()
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunk = this.#queue.shift()
        if (chunk !== undefined) yield chunk
        else if (this.#failure !== undefined) throw this.#failure
        else if (this.#ended) return
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve
          })
        }
      }
    } finally {
      this.close()
    }
  }

  #pieces(bytes: Uint8Array): Uint8Array[] {
    if (this.#random === undefined || bytes.length < 2) return bytes.length === 0 ? [] : [bytes]
    const at = 1 + Math.floor(this.#random() * (bytes.length - 1))
    return [bytes.subarray(0, at), bytes.subarray(at)]
  }
}
