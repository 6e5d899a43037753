import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fakeMember } from '../support/fake-source.ts'
import { exchange, tryParse } from './raw-client.ts'
import { serveRing, THREE_MEMBERS, type ServedRing } from './running-ring.ts'

interface Case {
  readonly section: string
  readonly title: string
  readonly request: string
  readonly response: string
}

// Recorded from the Go library Nitro/ringman (2019-05): raw requests and answers, as byte text.
const { cases } = JSON.parse(readFileSync(new URL('../golden/http.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly Case[]
}

/** What of a recorded answer need not match, and why. Everything that is not named here does. */
const LEFT_OUT: Readonly<Record<string, { readonly parts: readonly Part[]; readonly reason: string }>> = {
  'nodes list, 10-node cluster (> 2048 bytes: chunked, no Content-Length)': {
    parts: ['content-length'],
    reason: 'framing: Go chunks a body above 2048 bytes, ours says its length',
  },
  'HTTP/1.0': { parts: ['status line'], reason: 'HTTP/1.0 framing: Node answers as HTTP/1.1' },
  'raw DEL (0x7f) in the request line': {
    parts: ['status line', 'content-type', 'body'],
    reason: "protocol error: answered by Node's parser, with the same status",
  },
  'raw control byte 0x01 in the request line': {
    parts: ['status line', 'content-type', 'body'],
    reason: "protocol error: answered by Node's parser, with the same status",
  },
  '/': {
    parts: ['content-type', 'x-content-type-options', 'content-length', 'body'],
    reason: 'not under /hashring: the stand-alone application answers with its own kind of error',
  },
}

type Part = 'status line' | 'content-type' | 'x-content-type-options' | 'content-length' | 'body'

let three: ServedRing
let ten: ServedRing
let empty: ServedRing

beforeAll(async () => {
  three = await serveRing({ members: THREE_MEMBERS })
  ten = await serveRing({
    members: Array.from({ length: 10 }, (_, i) => fakeMember(`ten${i + 1}`, `127.0.0.${101 + i}`)),
  })
  // Listed, but its metadata was not taken: the ring is empty.
  empty = await serveRing({ members: [{ ...fakeMember('emptynode', '127.0.0.60'), metadata: undefined }] })
})

afterAll(async () => {
  for (const served of [three, ten, empty]) await served[Symbol.asyncDispose]()
})

function serverFor({ request }: Case): ServedRing {
  if (request.includes('Host: 127.0.0.105:')) return ten
  return request.includes('Host: 127.0.0.60:') ? empty : three
}

/** The recorded node list in our order, by name: Go lists in an order of its own. */
function sortNodes(body: string): string {
  if (!body.startsWith('[\n  {')) return body
  const nodes = body.slice('[\n'.length, -'\n]'.length).split(',\n  {')
  const entries = nodes.map((node, at) => (at === 0 ? node : `  {${node}`))
  const nameOf = (entry: string) => /"Name": "([^"]*)"/.exec(entry)?.[1] ?? ''
  entries.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
  return `[\n${entries.join(',\n')}\n]`
}

describe('answers as the Go library recorded them', () => {
  test.each(cases)('$section: $title', async (each) => {
    const recorded = tryParse(each.response, each.request.startsWith('HEAD '), true)
    expect(recorded).toBeDefined()
    if (recorded === undefined) return
    const answer = await exchange(serverFor(each).server.port, each.request)
    const leftOut = new Set(LEFT_OUT[each.title]?.parts)
    const partsOf = ({ statusLine, headers, body }: typeof recorded) =>
      Object.entries({
        'status line': statusLine,
        'content-type': headers.get('content-type'),
        'x-content-type-options': headers.get('x-content-type-options'),
        'content-length': headers.get('content-length'),
        body,
      } satisfies Record<Part, string | undefined>).filter(([part]) => !leftOut.has(part as Part))
    if (recorded.headers.get('content-length') === undefined) leftOut.add('content-length')
    expect(answer.status).toBe(recorded.status)
    expect(Object.fromEntries(partsOf(answer))).toEqual(
      Object.fromEntries(partsOf({ ...recorded, body: sortNodes(recorded.body) })),
    )
  })

  test('leaves out only cases that were recorded', () => {
    const titles = new Set(cases.map(({ title }) => title))
    expect(Object.keys(LEFT_OUT).filter((title) => !titles.has(title))).toEqual([])
    expect(cases.length).toBeGreaterThan(60)
  })
})
