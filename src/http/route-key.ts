import { isUtf8 } from 'node:buffer'
import { assertNever, configInvalid, RingmanError } from '../errors.ts'
import { shorten } from './parameters.ts'
import { firstValue, tryDecodePath } from './query.ts'

/** Where in a request its key may be: `header:NAME`, `query:NAME`, `cookie:NAME` or `path:PATTERN`. */
export type KeyPlace =
  | { readonly kind: 'header' | 'query' | 'cookie'; readonly name: string }
  | { readonly kind: 'path'; readonly segments: readonly string[] }

/** A request that a proxy asks about; texts are byte text, as they came. */
export interface ProxiedRequest {
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[]
  readonly path: string
  readonly query: string
}

const KEY_SEGMENT = '{key}'
const ANY_SEGMENT = '*'

const NAMED = /^(?<kind>header|query|cookie):(?<name>[!#$%&'*+.^_`|~\w-]{1,256})$/
const PATTERN = /^path:\/(?<segments>[!-+\--z{}|~]{1,1024})$/

/**
 * Parses a place. A pattern is made of whole segments: `{key}` once, `*` for any segment, and literal ones.
 *
 * @throws {RingmanError} `CONFIG_INVALID`.
 */
export function parseKeyPlace(text: string): KeyPlace {
  const { kind, name } = NAMED.exec(text)?.groups ?? {}
  if (name !== undefined) {
    if (kind === 'header') return { kind, name: name.toLowerCase() }
    return { kind: kind === 'query' ? 'query' : 'cookie', name }
  }
  const segments = PATTERN.exec(text)?.groups?.['segments']?.split('/') ?? []
  const keys = segments.filter((segment) => segment === KEY_SEGMENT)
  const stray = segments.some(
    (segment) => segment === '' || (/[{}]/.test(segment) && segment !== KEY_SEGMENT),
  )
  if (keys.length === 1 && !stray) return { kind: 'path', segments }
  throw configInvalid(
    `"${text}" is not a place of a key: header:NAME, query:NAME, cookie:NAME or path:/PATTERN with {key} as one of its segments is allowed`,
  )
}

/** The text of which {@link parseKeyPlace} makes this place. */
export function formatKeyPlace(place: KeyPlace): string {
  return place.kind === 'path' ? `path:/${place.segments.join('/')}` : `${place.kind}:${place.name}`
}

/**
 * The key of a request, from the first of the places that has one; undefined where none has. What is empty counts as
 * not there.
 *
 * In a query and a path it is percent-encoded UTF-8, in a header and a cookie it is plain UTF-8.
 *
 * @throws {RingmanError} `KEY_INVALID` for bytes that are no UTF-8; `KEY_REPEATED` for a header that comes twice.
 */
export function findKey(places: readonly KeyPlace[], request: ProxiedRequest): string | undefined {
  for (const place of places) {
    const found = valueAt(place, request)
    if (found !== undefined && found !== '') return decode(found)
  }
  return undefined
}

/** Byte text; undefined where there is nothing. */
function valueAt(place: KeyPlace, { rawHeaders, path, query }: ProxiedRequest): string | undefined {
  switch (place.kind) {
    case 'header':
      return headerValue(rawHeaders, place.name)
    case 'query':
      return query === '' ? undefined : firstValue(query, place.name)
    case 'cookie':
      return cookieValue(rawHeaders, place.name)
    case 'path':
      return pathValue(path, place.segments)
    default:
      return assertNever(place)
  }
}

/**
 * The value of a header.
 *
 * @param name - In lower case.
 * @throws {RingmanError} `KEY_REPEATED`: of two, one may be the client's and one the proxy's.
 */
export function headerValue(rawHeaders: readonly string[], name: string): string | undefined {
  let value: string | undefined
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (!isNamed(rawHeaders[at], name)) continue
    if (value !== undefined) throw new RingmanError('KEY_REPEATED', `the header ${shorten(name)} comes twice`)
    value = rawHeaders[at + 1]
  }
  return value
}

/** Not `request.headers`, which Node would make for the whole request. */
function isNamed(header: string | undefined, name: string): boolean {
  return header !== undefined && header.length === name.length && header.toLowerCase() === name
}

/** The first cookie of that name which is not empty. HTTP/2 may bring one Cookie header for each cookie. */
function cookieValue(rawHeaders: readonly string[], name: string): string | undefined {
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const value = isNamed(rawHeaders[at], 'cookie') ? cookieIn(rawHeaders[at + 1] ?? '', name) : undefined
    if (value !== undefined) return value
  }
  return undefined
}

/** The same in one header, which is not taken apart: it may have a hundred thousand cookies. */
function cookieIn(header: string, name: string): string | undefined {
  for (let at = header.indexOf(name); at !== -1; at = header.indexOf(name, at + 1)) {
    const before = skipBlanks(header, at - 1, -1)
    const equals = skipBlanks(header, at + name.length, 1)
    if ((before >= 0 && header[before] !== ';') || header[equals] !== '=') continue
    const end = header.indexOf(';', equals)
    const value = withoutBlanks(header.slice(equals + 1, end === -1 ? header.length : end))
    const quoted = value.length > 1 && value.startsWith('"') && value.endsWith('"')
    const bare = quoted ? value.slice(1, -1) : value
    if (bare !== '') return bare
  }
  return undefined
}

/** Not `trim()`: in byte text that takes the byte 0xa0 off, the last of letters such as "à". */
function withoutBlanks(text: string): string {
  const start = skipBlanks(text, 0, 1)
  return text.slice(start, skipBlanks(text, text.length - 1, -1) + 1)
}

function skipBlanks(text: string, from: number, step: 1 | -1): number {
  for (let at = from; ; at += step) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x09) return at
  }
}

/** What stands for `{key}` in a path that begins with the segments of a pattern. */
function pathValue(path: string, segments: readonly string[]): string | undefined {
  const parts = path.split('/')
  if (parts.length <= segments.length) return undefined
  let value: string | undefined
  for (const [at, segment] of segments.entries()) {
    const part = parts[at + 1] ?? ''
    if (segment === KEY_SEGMENT) value = part
    else if (segment === ANY_SEGMENT ? part === '' : part !== segment && tryDecodePath(part) !== segment)
      return undefined
  }
  if (value === undefined) return undefined
  const decoded = tryDecodePath(value)
  if (decoded === undefined) throw invalidKey()
  return decoded
}

const ASCII = /^[\0-\x7f]*$/

function decode(byteText: string): string {
  if (ASCII.test(byteText)) return byteText
  const bytes = Buffer.from(byteText, 'latin1')
  if (!isUtf8(bytes)) throw invalidKey()
  return bytes.toString()
}

function invalidKey(): RingmanError {
  return new RingmanError('KEY_INVALID', 'the key is not UTF-8')
}
