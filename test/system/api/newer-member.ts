import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

/**
 * A member as a later version may be: it hands each request on to a real one, and to every object of the answer adds a
 * field, to every word of an open list another one.
 *
 * @returns The server, which is to be closed, and its URL.
 */
export async function startNewerMember(
  url: string,
): Promise<{ readonly server: Server; readonly url: string }> {
  const server = createServer((request, response) => {
    const answer = async () => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const headers = Object.fromEntries(
        ['content-type', 'if-none-match'].flatMap((name) => {
          const value = request.headers[name]
          return typeof value === 'string' ? [[name, value]] : []
        }),
      )
      const body = chunks.length === 0 ? null : Buffer.concat(chunks)
      const real = await fetch(`${url}${request.url}`, { method: request.method ?? 'GET', headers, body })
      const text = await real.text()
      const etag = real.headers.get('etag')
      response.writeHead(real.status, {
        'content-type': real.headers.get('content-type') ?? 'text/plain',
        ...(etag !== null && { etag }),
      })
      response.end(text === '' ? '' : JSON.stringify(grow(JSON.parse(text))))
    }
    answer().catch((error: unknown) => {
      response.writeHead(502).end(String(error))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

function grow(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(grow)
  if (typeof value !== 'object' || value === null) return value
  const grown = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, grow(inner)]))
  if ('state' in grown) grown['state'] = 'of-a-later-version'
  if ('code' in grown) grown['code'] = 'OF_A_LATER_VERSION'
  return { ...grown, ofALaterVersion: { nested: [1] } }
}
