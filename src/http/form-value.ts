import type { IncomingMessage } from 'node:http'
import { Busboy, type BusboyInstance } from '@fastify/busboy'
import { firstValue } from './query.ts'
import type { Turns } from './turns.ts'

/** Parts of a multipart form that are looked at; the rest is passed over. */
const MAX_PARTS = 1000

/** Bytes of a multipart form that are parsed in one turn of the event loop: they hold some 300 parts at the most. */
const BYTES_PER_TURN = 16 * 1024

/**
 * The value of a field as Go's `Request.FormValue` finds it, in byte text; undefined when there is none. Looked at
 * in this order, malformed pairs and forms being passed over:
 *
 * 1. an urlencoded body, with POST, PUT and PATCH alone;
 * 2. the query;
 * 3. a multipart body, with any method.
 *
 * @param read - Reads the body, where it has to be read; it throws what this throws.
 * @param turns - Where a large multipart body waits between its pieces.
 * @see https://pkg.go.dev/net/http#Request.FormValue
 */
export function formValue(
  request: IncomingMessage,
  query: string,
  name: string,
  read: (request: IncomingMessage) => Promise<Uint8Array>,
  turns: Turns,
): string | undefined | Promise<string | undefined> {
  const contentType = request.headers['content-type']
  if (contentType === undefined) return firstValue(query, name)
  const mediaType = contentType.split(';', 1)[0]?.trim().toLowerCase()
  if (
    mediaType === 'application/x-www-form-urlencoded' &&
    /^(?:POST|PUT|PATCH)$/.test(request.method ?? '')
  ) {
    return read(request).then((body) => firstValue(toLatin1(body), name) ?? firstValue(query, name))
  }
  const inQuery = firstValue(query, name)
  if (inQuery !== undefined || mediaType !== 'multipart/form-data') return inQuery
  return read(request).then((body) => multipartValue(body, contentType, name, turns))
}

function toLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** The first field of that name in a whole multipart body; undefined when the body is malformed. */
async function multipartValue(
  body: Uint8Array,
  contentType: string,
  name: string,
  turns: Turns,
): Promise<string | undefined> {
  let parser: BusboyInstance
  try {
    parser = new Busboy({
      headers: { 'content-type': contentType },
      // Every part as a stream of raw bytes: as a field it would be decoded, and lose what is not UTF-8.
      isPartAFile: () => true,
      limits: { parts: MAX_PARTS },
    })
  } catch {
    // No boundary: the form is malformed, as Go has it.
    return undefined
  }
  let value: string | undefined
  const over = new AbortController()
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const end = (result: string | undefined) => {
    over.abort()
    resolve(result)
  }
  const malformed = () => end(undefined)
  parser.on('file', (fieldName: string | undefined, stream, fileName: string | undefined) => {
    stream.on('error', malformed)
    if (fieldName !== name || (fileName ?? '') !== '' || value !== undefined) {
      stream.resume()
      return
    }
    value = ''
    stream.setEncoding('latin1')
    stream.on('data', (part: string) => {
      value = (value ?? '') + part
    })
  })
  parser.on('error', malformed)
  parser.on('partsLimit', () => end(value))
  parser.on('finish', () => end(value))
  for (let at = 0; at < body.length && !over.signal.aborted; at += BYTES_PER_TURN) {
    if (at > 0) await turns.goOn()
    parser.write(body.subarray(at, at + BYTES_PER_TURN))
  }
  if (!over.signal.aborted) parser.end()
  return promise
}
