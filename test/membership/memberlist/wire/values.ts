import type {
  StreamDecoder,
  StreamResult,
} from '../../../../src/membership/memberlist/wire/stream-decoder.ts'
import { type ErrorDetail, isRingmanError, type RingmanError } from '../../../../src/errors.ts'

/** The result of a stream of which these bytes are all. */
export function toItsEnd(decoder: StreamDecoder, bytes: Uint8Array): StreamResult {
  let result = decoder.push(bytes)
  while (decoder.isWorking) result = decoder.step()
  return result ?? decoder.end()
}

/** UTF-8 of `text`. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** The arrays one after the other. */
export function concat(...arrays: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(arrays))
}

/** Bytes that look random and are the same each time; the recipe of the LZW vectors. */
export function recipeBytes(seed: number, alphabet: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = (state >>> 16) % alphabet
  }
  return bytes
}

/** The code of the error that `run` throws; undefined when it throws none. */
export function thrownCode(run: () => unknown): string | undefined {
  return thrown(run)?.code
}

/** The detail of the error that `run` throws; undefined when it throws none. */
export function thrownDetail(run: () => unknown): ErrorDetail | undefined {
  return thrown(run)?.detail
}

function thrown(run: () => unknown): RingmanError | undefined {
  try {
    run()
  } catch (error) {
    if (isRingmanError(error)) return error
    throw error
  }
  return undefined
}
