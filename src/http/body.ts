import type { IncomingMessage } from 'node:http'
import { RingmanError } from '../errors.ts'
import { GrowingBuffer } from '../growing-buffer.ts'
import type { HttpLimits } from './limits.ts'

/** Reads request bodies, and bounds each of them and what they hold together. */
export class BodyReader {
  readonly #limits: Pick<HttpLimits, 'maxBodyBytes' | 'maxHeldBodyBytes'>
  #heldBytes = 0

  constructor(limits: Pick<HttpLimits, 'maxBodyBytes' | 'maxHeldBodyBytes'>) {
    this.#limits = limits
  }

  /** Bytes of bodies that are being read. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /**
   * The whole body. One whose Content-Length is above the limit is refused unread; the rest of one that turns
   * out to be longer is left to the caller.
   *
   * @throws {RingmanError} `BODY_TOO_LARGE`; `OVERLOADED`; `BODY_INVALID` when the client went away.
   */
  read(request: IncomingMessage): Promise<Uint8Array> {
    const { maxBodyBytes, maxHeldBodyBytes } = this.#limits
    return new Promise((resolve, reject) => {
      const tooLarge = () =>
        new RingmanError('BODY_TOO_LARGE', `the body must have at most ${maxBodyBytes} bytes`, {
          detail: { limit: maxBodyBytes },
        })
      if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) {
        reject(tooLarge())
        return
      }
      const body = new GrowingBuffer()
      const finish = () => {
        this.#heldBytes -= body.sizeBytes
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
        if (body.sizeBytes + part.length > maxBodyBytes) {
          fail(tooLarge())
        } else if (this.#heldBytes + part.length > maxHeldBodyBytes) {
          fail(
            new RingmanError('OVERLOADED', 'too many request bodies are being read; try again in a moment'),
          )
        } else {
          this.#heldBytes += part.length
          body.append(part)
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
}
