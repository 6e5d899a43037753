import type { ClientRequest, IncomingMessage } from 'node:http'

/**
 * The head of the answer to a request. Rejects when none comes: also where the other side goes over to another protocol
 * (status 101), of which Node tells by `close` alone.
 */
export function answerHead(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('error', reject)
    request.once('response', (message) => {
      // Whoever reads the body hears of its end; without a listener it would be an uncaught error.
      message.on('error', () => {})
      resolve(message)
    })
    request.once('close', () => {
      reject(new Error('the connection ended without an answer to the request'))
    })
  })
}
