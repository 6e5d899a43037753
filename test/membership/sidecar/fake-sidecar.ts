import type { HttpAnswer, HttpGet } from '../../../src/membership/sidecar/sidecar-client.ts'
import { jsonBytes, stateJson, tick, type Described } from './sidecar-fixtures.ts'

/**
 * A Sidecar in memory, spoken to through `get`: it answers with its state, streams it at each change, and can be
 * made to fail. Nothing in it waits for real time.
 */
export class FakeSidecar {
  /** What each fetch of the state does instead of answering; undefined for an answer. */
  fault: 'refused' | 'status' | 'silent' | 'malformed' | undefined
  /** What each opening of the stream does instead. */
  streamFault: 'refused' | 'status' | 'silent' | 'malformed' | undefined
  fetches = 0
  streams = 0
  lastChanged = tick(1)
  instances: readonly Described[]
  readonly #open = new Set<Pipe>()
  #silent = 0

  constructor(instances: readonly Described[] = []) {
    this.instances = instances
  }

  /** Requests that are neither answered nor given up. */
  get openCount(): number {
    return this.#open.size + this.#silent
  }

  get state(): Record<string, unknown> {
    return stateJson(this.lastChanged, this.instances)
  }

  /** Changes the state and tells the streams. */
  set(lastChanged: string, instances: readonly Described[]): void {
    this.lastChanged = lastChanged
    this.instances = instances
    this.stream(jsonBytes(this.state))
  }

  /** Sends bytes to every open stream. */
  stream(bytes: Uint8Array): void {
    for (const pipe of this.#open) pipe.write(bytes)
  }

  /** Ends every open stream, with an error as a lost connection does, or in order. */
  cut(error?: Error): void {
    for (const pipe of this.#open) pipe.end(error)
  }

  readonly get: HttpGet = async (url, signal) => {
    const streamed = url.pathname.endsWith('/watch')
    if (streamed) this.streams += 1
    else this.fetches += 1
    // A real answer takes at least a turn of the event loop.
    await Promise.resolve()
    signal.throwIfAborted()
    const fault = streamed ? this.streamFault : this.fault
    switch (fault) {
      case 'refused':
        throw new Error('connect ECONNREFUSED')
      case 'status':
        return { status: 500, body: once(jsonBytes({})) }
      case 'malformed':
        return { status: 200, body: once(new TextEncoder().encode('{"Servers": oops}')) }
      case 'silent':
        return this.#silence(signal)
      case undefined:
        return { status: 200, body: streamed ? this.#pipe(signal) : once(jsonBytes(this.state)) }
      default:
        throw new Error(`no such fault: ${String(fault satisfies never)}`)
    }
  }

  #silence(signal: AbortSignal): Promise<HttpAnswer> {
    this.#silent += 1
    return new Promise((_, reject) => {
      signal.addEventListener(
        'abort',
        () => {
          this.#silent -= 1
          reject(new Error('aborted'))
        },
        { once: true },
      )
    })
  }

  #pipe(signal: AbortSignal): AsyncIterable<Uint8Array> {
    const pipe = new Pipe(() => this.#open.delete(pipe))
    this.#open.add(pipe)
    signal.addEventListener(
      'abort',
      () => {
        pipe.end(new Error('aborted'))
      },
      { once: true },
    )
    pipe.write(jsonBytes(this.state))
    return pipe
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  await Promise.resolve()
  yield bytes
}

/** A body that is written to as it is read. */
class Pipe implements AsyncIterable<Uint8Array> {
  readonly #onEnd: () => void
  readonly #chunks: Uint8Array[] = []
  #ended: { readonly error: Error | undefined } | undefined
  #wake = Promise.withResolvers<void>()

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  write(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    this.#wake.resolve()
  }

  end(error?: Error): void {
    this.#ended ??= { error }
    this.#onEnd()
    this.#wake.resolve()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift()
        if (chunk !== undefined) {
          yield chunk
          continue
        }
        if (this.#ended !== undefined) {
          if (this.#ended.error !== undefined) throw this.#ended.error
          return
        }
        await this.#wake.promise
        this.#wake = Promise.withResolvers<void>()
      }
    } finally {
      this.#onEnd()
    }
  }
}
