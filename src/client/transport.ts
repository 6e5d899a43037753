import type { LookupAddress, LookupAllOptions } from 'node:dns'
import type { ClientRequest, RequestOptions } from 'node:http'
import type { LookupFunction } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { answerHead } from '../answer-head.ts'
import type { Random } from '../clock.ts'
import { shuffle } from '../shuffle.ts'

/** One request. */
export interface Question {
  /** GET unless there is a body, which goes by POST. */
  readonly body?: string
  readonly headers: Readonly<Record<string, string>>
  /** Whether it gets a connection of its own, so that a name is resolved again and another of its addresses may answer. */
  readonly alone?: boolean
}

/** The head of an answer, and its body, which somebody must read or discard. */
export interface RawAnswer {
  readonly status: number
  header(name: string): string | undefined
  /** Ended early by leaving the loop over it. */
  readonly body: AsyncIterable<Uint8Array>
  discard(): void
}

/** Sends a request; redirects are not followed. Rejects when no head of an answer came, or `signal` aborted. */
export type Transport = (url: string, question: Question, signal: AbortSignal) => Promise<RawAnswer>

/** `fetch`, or something that behaves like it. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** TLS towards the members, as `node:tls` takes it. */
export type ClientTls = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'passphrase' | 'servername'>

/** Sends through a `fetch`. */
export function fetchTransport(fetch: Fetch): Transport {
  return async (url, { body, headers }, signal) => {
    const post = body === undefined ? {} : { method: 'POST', body }
    const response = await fetch(url, { ...post, headers, redirect: 'error', signal })
    return {
      status: response.status,
      header: (name) => response.headers.get(name) ?? undefined,
      body: response.body ?? new Blob([]).stream(),
      discard() {
        response.body?.cancel().catch(() => {
          // It has failed already, and nobody wants it.
        })
      },
    }
  }
}

/**
 * Sends by `node:http` and `node:https`. Of a name with several addresses each connection tries them in an order by
 * chance, so that the clients of a headless Service spread over its pods.
 *
 * @param options - `tls` as a function is asked for each request: certificates may change. `resolve` finds the addresses of
 *   a name.
 */
export function nodeTransport(options: {
  readonly tls?: ClientTls | (() => ClientTls) | undefined
  readonly random: Random
  readonly resolve?: Resolve
}): Transport {
  const { tls, random, resolve } = options
  // Node's HTTP takes longer to load than all of this client: it is loaded when it is first needed.
  let lookup: LookupFunction | undefined
  return async (url, { body, headers, alone = false }, signal) => {
    lookup ??= shuffledLookup(resolve ?? (await import('node:dns')).lookup, random)
    const common: RequestOptions = {
      method: body === undefined ? 'GET' : 'POST',
      headers: body === undefined ? headers : { ...headers, 'content-length': Buffer.byteLength(body) },
      lookup,
      signal,
      ...(alone ? { agent: false } : {}),
    }
    const request = url.startsWith('https:')
      ? (await import('node:https')).request(url, { ...common, ...(typeof tls === 'function' ? tls() : tls) })
      : (await import('../node-http.ts')).http.request(url, common)
    return answerOf(request, body)
  }
}

async function answerOf(request: ClientRequest, body: string | undefined): Promise<RawAnswer> {
  const head = answerHead(request)
  request.end(body)
  const message = await head
  return {
    status: message.statusCode ?? 0,
    header: (name) => {
      const value = message.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    },
    body: message as AsyncIterable<Uint8Array>,
    discard() {
      message.destroy()
    },
  }
}

/** `dns.lookup`, as far as it is used here. */
export type Resolve = (
  host: string,
  options: LookupAllOptions,
  callback: (error: Error | null, addresses: LookupAddress[]) => void,
) => void

function shuffledLookup(find: Resolve, random: Random): LookupFunction {
  return (host, options, callback) => {
    find(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, '')
        return
      }
      shuffle(addresses, random)
      const [first] = addresses
      if (options.all === true) callback(null, addresses)
      else callback(null, first?.address ?? '', first?.family)
    })
  }
}
