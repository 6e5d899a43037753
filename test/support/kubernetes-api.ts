import { request as httpsRequest } from 'node:https'

/** Who asks an API server, and where it is. */
export interface ApiAccess {
  /** Like `https://127.3.4.5:6443`. */
  readonly url: string
  /** The certificates that it is believed by, PEM. */
  readonly ca: string
  /** A bearer token; without one the asker is anonymous. */
  readonly token?: string
}

/** What an API server answered. */
export interface ApiAnswer {
  readonly status: number
  /** The JSON that came, or the text when it was none. */
  readonly body: unknown
  /** The values of the header `Warning`, without code and agent. */
  readonly warnings: readonly string[]
}

/** The content types of the three kinds of patch. */
export const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const

/** An object of the API, with what tests look at. */
export interface KubernetesObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly uid?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
    readonly resourceVersion?: string
    readonly deletionTimestamp?: string
  }
}

const REQUEST_DEADLINE_MS = 30_000

/** Asks the API server once, on a connection of its own. */
export async function askApi(
  access: ApiAccess,
  method: string,
  path: string,
  options: { readonly body?: unknown; readonly contentType?: string; readonly deadlineMs?: number } = {},
): Promise<ApiAnswer> {
  const { body, contentType = 'application/json', deadlineMs = REQUEST_DEADLINE_MS } = options
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  // Without its length, Node frames no body of a DELETE.
  const describing =
    text === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }
  return new Promise((resolve, reject) => {
    const request = httpsRequest(new URL(path, access.url), {
      method,
      ca: access.ca,
      agent: false,
      signal: AbortSignal.timeout(deadlineMs),
      headers: {
        accept: 'application/json',
        ...(access.token === undefined ? {} : { authorization: `Bearer ${access.token}` }),
        ...describing,
      },
    })
    request.on('error', reject)
    request.on('response', (response) => {
      let received = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (received += chunk))
      response.on('error', reject)
      response.on('end', () => {
        const warnings = [response.headers['warning'] ?? []].flat().flatMap((line) => parseWarnings(line))
        resolve({ status: response.statusCode ?? 0, body: tryParse(received), warnings })
      })
    })
    request.end(text)
  })
}

/** As `askApi`, for what must succeed. */
export async function askApiWell(...args: Parameters<typeof askApi>): Promise<ApiAnswer> {
  const answer = await askApi(...args)
  if (answer.status >= 300) {
    throw new Error(`${args[1]} ${args[2]}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 2000)}`)
  }
  return answer
}

/** Node joins several headers of this name by a comma; each is `299 agent "text"` (RFC 7234, section 5.5). */
function parseWarnings(line: string): string[] {
  return [...line.matchAll(/\d{3} \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) =>
    text.replaceAll(/\\(.)/g, '$1'),
  )
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}
