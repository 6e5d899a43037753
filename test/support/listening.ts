import { once } from 'node:events'
import { Server as HttpServer } from 'node:http'
import type { AddressInfo, Server } from 'node:net'
import { onTestFinished } from 'vitest'

/** Has a server listen on a free port, of loopback unless told otherwise, until the test has finished. */
export async function listening(
  server: Server,
  host = '127.0.0.1',
): Promise<{ readonly port: number; readonly url: string }> {
  await once(server.listen(0, host), 'listening')
  onTestFinished(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    if (!(server instanceof HttpServer)) return
    server.closeAllConnections()
    await closed
  })
  const { port } = server.address() as AddressInfo
  return { port, url: `http://127.0.0.1:${port}` }
}
