import type { IncomingMessage } from 'node:http'
import { RingmanError } from '../errors.ts'
import { GrowingBuffer } from '../growing-buffer.ts'
import type { ConnectionLedger } from './connection-ledger.ts'

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
    if (Number(request.headers['content-length'] ?? 0) > limitBytes) {
      reject(tooLarge())
      return
    }
    const body = new GrowingBuffer()
    const finish = () => {
      ledger.releaseBody(body.sizeBytes)
      request.off('data', onData)
      request.off('end', onEnd)
      request.off('close', onClose)
      // `error` stays heard: it comes with `close` and says no more than that.
    }
    const fail = (error: RingmanError) => {
      finish()
      reject(error)
    }
    const onData = (part: Buffer) => {
      if (body.sizeBytes + part.length > limitBytes) {
        fail(tooLarge())
      } else if (ledger.tryHoldBody(part.length)) {
        body.append(part)
      } else {
        fail(new RingmanError('OVERLOADED', 'too many request bodies are being read; try again in a moment'))
      }
    }
    const onEnd = () => {
      finish()
      resolve(body.take())
    }
    const onClose = () => {
      fail(new RingmanError('BODY_INVALID', 'the body ended early'))
    }
    request.on('data', onData)
    request.on('end', onEnd)
    request.on('close', onClose)
    request.on('error', () => {})
    if (request.destroyed) onClose()
  })
}
