import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { mutatedRequest } from './mutated-request.ts'
import { closed, collect, dial, exchange, get } from './raw-client.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { serveRing } from './running-ring.ts'

const arbitraryBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'))

test('survives mutated requests and arbitrary bytes, and finds no fault of its own in them', async () => {
  const logger = new RecordingLogger()
  await using served = await serveRing({
    logger,
    limits: { headersTimeoutMs: 2000, requestTimeoutMs: 2000 },
  })
  const { port } = served.server
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(mutatedRequest, arbitraryBytes), { minLength: 1, maxLength: 5 }),
      async (requests) => {
        const socket = await dial(port)
        const received = collect(socket)
        socket.end(Buffer.from(requests.join(''), 'latin1'))
        await closed(socket)
        for (const [, status] of received.text.matchAll(/HTTP\/1\.1 (\d+) /g)) expect(status).not.toBe('500')
      },
    ),
    { numRuns: 400 },
  )
  expect(logger.errors).toEqual([])
  expect((await exchange(port, get('/v1/owner?key=a'))).status).toBe(200)
})
