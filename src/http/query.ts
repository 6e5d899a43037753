/**
 * Request targets and queries, read the way Go's `net/url` reads them. Text here is *byte text*: a string whose
 * characters are the bytes 0x00 to 0xff, as Node gives `req.url`, so that keys which are not UTF-8 survive.
 */

/** The path and the query of a request target, both as they came. */
export interface Target {
  readonly path: string
  /** Without the question mark; empty when there is none. */
  readonly query: string
}

/** Splits a request target; of one in absolute form (`http://host/path`) the scheme and host are dropped. */
export function splitTarget(target: string): Target {
  let start = 0
  if (target.charCodeAt(0) !== 0x2f) {
    const authority = /^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i.exec(target)
    start = authority === null ? 0 : authority[0].length
  }
  const mark = target.indexOf('?', start)
  return mark === -1
    ? { path: target.slice(start), query: '' }
    : { path: target.slice(start, mark), query: target.slice(mark + 1) }
}

/** Decodes the escapes of a path; undefined when one is malformed. A plus stays a plus. */
export function tryDecodePath(path: string): string | undefined {
  return path.includes('%') ? tryUnescape(path, false) : path
}

/**
 * The first value of a parameter as Go's `url.ParseQuery` finds it: pairs with a semicolon or a malformed
 * escape are skipped, names are case-sensitive and may be escaped themselves, a plus is a space.
 *
 * @returns Byte text; undefined when no well-formed pair has that name.
 * @see https://pkg.go.dev/net/url#ParseQuery
 */
export function firstValue(query: string, name: string): string | undefined {
  for (let start = 0; start < query.length;) {
    let end = query.indexOf('&', start)
    if (end === -1) end = query.length
    const pair = query.slice(start, end)
    start = end + 1
    if (pair === '' || pair.includes(';')) continue
    const equals = pair.indexOf('=')
    const pairName = tryUnescape(equals === -1 ? pair : pair.slice(0, equals), true)
    if (pairName !== name) continue
    const value = equals === -1 ? '' : tryUnescape(pair.slice(equals + 1), true)
    if (value !== undefined) return value
  }
  return undefined
}

/** One `name=value` of a query, as text. */
export interface Parameter {
  readonly name: string
  /** Undefined when it is not percent-encoded UTF-8. */
  readonly value: string | undefined
}

/** Every pair of a query, in order, strictly: what is not percent-encoded UTF-8 has no value. */
export function parseParameters(query: string): Parameter[] {
  if (query === '') return []
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=')
      const name = equals === -1 ? pair : pair.slice(0, equals)
      const value = equals === -1 ? '' : pair.slice(equals + 1)
      return { name: tryDecodeText(name) ?? name, value: tryDecodeText(value) }
    })
}

const PLAIN = /^[!-$&-*,-~]*$/

/** Decodes percent-encoded UTF-8 with a plus for a space; undefined when it is anything else. */
export function tryDecodeText(escaped: string): string | undefined {
  if (PLAIN.test(escaped)) return escaped
  try {
    return decodeURIComponent(
      escaped
        .replaceAll('+', ' ')
        .replace(/[\u0080-\u00ff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`),
    )
  } catch {
    // Malformed escapes and bytes that are not UTF-8 are what this function is asked to find.
    return undefined
  }
}

function tryUnescape(escaped: string, plusIsSpace: boolean): string | undefined {
  let text = ''
  let copied = 0
  for (let i = 0; i < escaped.length; i++) {
    const code = escaped.charCodeAt(i)
    if (code === 0x2b && plusIsSpace) {
      text += `${escaped.slice(copied, i)} `
      copied = i + 1
    } else if (code === 0x25) {
      const high = hexDigit(escaped.charCodeAt(i + 1))
      const low = hexDigit(escaped.charCodeAt(i + 2))
      if (high === -1 || low === -1) return undefined
      text += escaped.slice(copied, i) + String.fromCharCode(high * 16 + low)
      i += 2
      copied = i + 1
    }
  }
  return copied === 0 ? escaped : text + escaped.slice(copied)
}

/** The value of a hexadecimal digit's character code, -1 for any other (and for the NaN past the end). */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
