import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { RingmanError } from '../errors.ts'
import { GrowingBuffer } from '../growing-buffer.ts'
import { jsonExcess, type JsonLimits } from '../json-size.ts'
import type { ConnectionLedger } from './connection-ledger.ts'

/** A body in more pieces than this must have so many bytes for each, on average. */
const FEW_PIECES = 4000
const SMALLEST_PIECE_BYTES = 16

/** What is made of a body up to this size takes no time to speak of. A larger one waits for a turn of its own. */
const SMALL_BODY_BYTES = 16 * 1024

/**
 * The whole body of a request. One whose Content-Length is above `limitBytes` is refused unread; the rest of one that
 * turns out to be longer is left to the caller.
 *
 * @throws {RingmanError} `BODY_TOO_LARGE`; `OVERLOADED`; `BODY_INVALID` when the client went away.
 */
export function readBody(
  request: IncomingMessage,
  ledger: ConnectionLedger,
  limitBytes: number,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const tooLarge = () =>
      new RingmanError('BODY_TOO_LARGE', `the body must have at most ${limitBytes} bytes`, {
        detail: { limit: limitBytes },
      })
    const announcedBytes = Number(request.headers['content-length'] ?? 0)
    if (announcedBytes > limitBytes) {
      reject(tooLarge())
      return
    }
    const { bodies } = ledger
    const body = new GrowingBuffer()
    const releases: (() => void)[] = []
    const release = () => {
      for (const releaseBytes of releases.splice(0)) releaseBytes()
    }
    const stopListening = () => {
      request.off('data', onData)
      request.off('end', onEnd)
      request.off('close', onClose)
      // `error` stays heard: it comes with `close` and says no more than that.
    }
    const fail = (error: RingmanError) => {
      stopListening()
      release()
      reject(error)
    }
    let pieces = 0
    const onData = (part: Buffer) => {
      pieces++
      if (pieces > FEW_PIECES && body.sizeBytes < pieces * SMALLEST_PIECE_BYTES) {
        fail(new RingmanError('BODY_INVALID', 'the body comes in too many pieces'))
        // Each costs as much as a request of its own, read or thrown away.
        request.destroy()
        return
      }
      if (body.sizeBytes + part.length > limitBytes) {
        fail(tooLarge())
        return
      }
      const { capacityBytes } = body
      body.append(part, announcedBytes)
      const takenBytes = body.capacityBytes - capacityBytes
      if (takenBytes === 0) return
      if (bodies.hasRoom(takenBytes)) {
        releases.push(bodies.hold(takenBytes, request.socket))
      } else {
        fail(new RingmanError('OVERLOADED', 'too many request bodies are being read; try again in a moment'))
      }
    }
    const give = () => {
      release()
      resolve(body.take())
    }
    const onEnd = () => {
      stopListening()
      // It is whole: whoever sent it is not cut any more.
      release()
      releases.push(bodies.hold(body.capacityBytes))
      if (body.sizeBytes <= SMALL_BODY_BYTES) give()
      else {
        void ledger.turns.begin(request.socket).then(() => {
          if (request.socket.destroyed) onClose()
          else give()
        })
      }
    }
    const onClose = () => fail(new RingmanError('BODY_INVALID', 'the body ended early'))
    request.on('data', onData)
    request.on('end', onEnd)
    request.on('close', onClose)
    request.on('error', () => {})
    if (request.destroyed) onClose()
  })
}

const JSON_TEXT = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads JSON of a bounded number of values and depth. Both are counted in the bytes, before anything is made of them: a
 * parsed value takes many times the bytes of its text.
 *
 * @throws {RingmanError} `BODY_INVALID`.
 */
export function parseJson(body: Uint8Array, limits: JsonLimits): unknown {
  checkJsonSize(body, limits)
  try {
    return JSON.parse(JSON_TEXT.decode(body))
  } catch (error) {
    throw new RingmanError('BODY_INVALID', 'the body is not JSON in UTF-8', { cause: error })
  }
}

/** Reads a body of JSON. @throws {RingmanError} What {@link readBody} and {@link parseJson} throw. */
export async function readJson(
  request: IncomingMessage,
  ledger: ConnectionLedger,
  limitBytes: number,
  limits: JsonLimits,
): Promise<unknown> {
  const body = await readBody(request, ledger, limitBytes)
  try {
    return parseJson(body, limits)
  } finally {
    // Gives its memory back now: it has often outlived new objects, and would be kept until the whole heap is collected.
    void (body.buffer as ArrayBuffer).transfer(0)
  }
}

/** @throws {RingmanError} `BODY_INVALID` for JSON with more values, or nested deeper, than allowed. */
export function checkJsonSize(body: Uint8Array, limits: JsonLimits): void {
  const excess = jsonExcess(body, limits)
  if (excess !== undefined) throw new RingmanError('BODY_INVALID', `the body ${excess}`)
}

/** @throws {RingmanError} `CONTENT_TYPE_UNSUPPORTED` for anything but plain JSON in UTF-8. */
export function checkContentType(headers: IncomingHttpHeaders): void {
  const { 'content-type': type = '', 'content-encoding': encoding = 'identity' } = headers
  const [mediaType = '', ...parameters] = type.split(';').map((part) => part.trim().toLowerCase())
  if (mediaType !== 'application/json') {
    throw new RingmanError('CONTENT_TYPE_UNSUPPORTED', 'the body must be of type application/json')
  }
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice('charset='.length)
  if (charset !== undefined && !/^"?utf-?8"?$/.test(charset)) {
    throw new RingmanError('CONTENT_TYPE_UNSUPPORTED', 'the body must be in UTF-8')
  }
  if (encoding.trim().toLowerCase() !== 'identity') {
    throw new RingmanError('CONTENT_TYPE_UNSUPPORTED', 'the body must not be compressed')
  }
}
