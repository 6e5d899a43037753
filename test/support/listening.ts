import { once } from 'node:events'
import { Server as HttpServer } from 'node:http'
import type { Server } from 'node:net'
import { onTestFinished } from 'vitest'
import { freePort } from './free-port.ts'

/** Has a server listen on a free port, of loopback unless told otherwise, until the test has finished. Closed, the port stays free. */
export async function listening(
  server: Server,
  host = '127.0.0.1',
): Promise<{ readonly port: number; readonly url: string }> {
  const port = await freePort()
  await once(server.listen(port, host), 'listening')
  onTestFinished(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    if (!(server instanceof HttpServer)) return
    server.closeAllConnections()
    await closed
  })
  return { port, url: `http://127.0.0.1:${port}` }
}
