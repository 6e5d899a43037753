import type { ClientRequest, IncomingMessage } from 'node:http'

/** Interim answers (1xx) to one request; a server that sends them without an end would hold the event loop. */
const MAX_INTERIM = 16

/**
 * The head of the answer to a request. Rejects when none comes: also where the other side goes over to another protocol
 * (status 101), of which Node tells by `close` alone.
 */
export function answerHead(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('error', reject)
    let interim = 0
    request.on('information', () => {
      interim++
      if (interim > MAX_INTERIM) request.destroy(new Error('too many interim answers came before the answer'))
    })
    request.once('response', (message) => {
      // Whoever reads the body hears of its end; without a listener it would be an uncaught error.
      message.on('error', () => {})
      resolve(message)
    })
    request.once('close', () => reject(new Error('the connection ended without an answer to the request')))
  })
}
