import { isIP } from 'node:net'
import { formatDuration, inLargestUnit, UNITS_MS } from '../duration.ts'
import { isRingmanError } from '../errors.ts'
import { isWithin } from '../is-within.ts'
import { isWord } from '../membership/member.ts'

/** What a value may look like, how it is read from text or from a file, and how it is shown again. */
export interface ValueType<T> {
  /**
   * Reads text (flag, variable) or what a file holds.
   *
   * @throws {NotAllowed}
   */
  read(given: unknown): T
  /** Stands for the value in the help, such as `PORT`. */
  readonly placeholder: string
  /** What is allowed, to follow "allowed: ". */
  readonly allowed: string
  /** What JSON Schema says of it in a file; absent for text. */
  readonly schema?: ValueSchema
  /** The value as a file would hold it. */
  encode(value: T): PlainValue
}

export type ValueSchema =
  | { readonly type: 'integer'; readonly minimum: number; readonly maximum: number }
  | { readonly type: 'boolean' }
  | { readonly enum: readonly string[] }

/** One reason why a value is not allowed. */
export interface Refusal {
  /** What is allowed, or a sentence of its own. */
  readonly message: string
  /** Whether `message` is a sentence of its own. */
  readonly whole?: true
  /** Whether the value must not be shown. */
  readonly hidden?: true
  /** Which item of a list it is about. */
  readonly index?: number
}

/** A value is not allowed. */
export class NotAllowed extends Error {
  readonly refusals: readonly Refusal[]

  constructor(refusals: readonly Refusal[]) {
    super(refusals.map(({ message }) => message).join('; '))
    this.refusals = refusals
  }
}

/** Throws unless something holds. */
function check(holds: boolean, allowed: string): asserts holds {
  if (!holds) throw new NotAllowed([{ message: allowed }])
}

/** The text that was given. Who wrote `0123` in YAML sees 123 in the message. */
function textOf(given: unknown, allowed: string): string {
  const isBare = typeof given === 'number' || typeof given === 'boolean'
  check(typeof given === 'string', isBare ? `${allowed}; without quotes it is a ${typeof given}` : allowed)
  return given
}

/** What print and JSON know. */
export type PlainValue = string | number | boolean | readonly string[]

/** An integer between two bounds, both allowed. */
export function integer(
  min: number,
  max: number,
  options: { readonly placeholder?: string; readonly allowed?: string } = {},
): ValueType<number> {
  const allowed = options.allowed ?? `an integer from ${min} to ${max}`
  return {
    read(given) {
      const value = typeof given === 'string' && /^\d{1,15}$/.test(given) ? Number(given) : given
      check(isWithin(value, min, max), allowed)
      return value
    },
    schema: { type: 'integer', minimum: min, maximum: max },
    placeholder: options.placeholder ?? 'N',
    allowed,
    encode: (value) => value,
  }
}

/** A port to connect to. */
export const port: ValueType<number> = integer(1, 65_535, {
  placeholder: 'PORT',
  allowed: 'a port from 1 to 65535',
})

/** A port to listen on. */
export const listenPort: ValueType<number> = integer(0, 65_535, {
  placeholder: 'PORT',
  allowed: 'a port from 0 to 65535, where 0 takes a free one',
})

/**
 * A duration such as `500ms`, `1.5s`, `2m` or `1h`; the value is in whole milliseconds. A bare number is refused,
 * except 0: seconds and milliseconds are too easily mistaken for each other.
 */
export function duration(minMs: number, maxMs: number): ValueType<number> {
  const allowed = `a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, with its unit: ms, s, m or h`
  return {
    read(given) {
      const ms = typeof given === 'string' ? parseDuration(given) : given === 0 ? 0 : undefined
      check(ms !== undefined && ms >= minMs && ms <= maxMs, allowed)
      return ms
    },
    placeholder: 'DURATION',
    allowed,
    encode: formatDuration,
  }
}

function parseDuration(text: string): number | undefined {
  if (/^0+$/.test(text)) return 0
  const match = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h)$/.exec(text)
  const [, amount, unit] = match ?? []
  if (amount === undefined || unit === undefined) return undefined
  return Math.round(Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS])
}

const UNITS_BYTES = { B: 1, KiB: 1024, MiB: 1024 * 1024 } as const

/** A size such as `512B`, `64KiB` or `1MiB`; a bare number is in bytes. The value is in bytes. */
export function size(minBytes: number, maxBytes: number): ValueType<number> {
  const allowed = `a size from ${formatSize(minBytes)} to ${formatSize(maxBytes)}, such as 512B, 64KiB or 1MiB`
  return {
    read(given) {
      const text = typeof given === 'number' ? String(given) : given
      check(typeof text === 'string', allowed)
      const [, amount, unit = 'B'] = /^(\d{1,12})(B|KiB|MiB)?$/.exec(text) ?? []
      const bytes = Number(amount ?? Number.NaN) * UNITS_BYTES[unit as keyof typeof UNITS_BYTES]
      check(bytes >= minBytes && bytes <= maxBytes, allowed)
      return bytes
    },
    placeholder: 'SIZE',
    allowed,
    encode: formatSize,
  }
}

/** Bytes as the shortest size text that says exactly the same. */
export function formatSize(bytes: number): string {
  return inLargestUnit(bytes, UNITS_BYTES, 'B')
}

/** One of a few words. */
export function choice<const Words extends readonly [string, ...string[]]>(
  words: Words,
  placeholder: string = words.join('|'),
): ValueType<Words[number]> {
  const allowed = words.length === 1 ? words[0] : `one of ${words.join(', ')}`
  return {
    read(given) {
      const found = words.find((one) => one === given)
      check(found !== undefined, allowed)
      return found
    },
    schema: { enum: words },
    placeholder,
    allowed,
    encode: (value) => value,
  }
}

/** Yes or no. A flag without a value means yes. */
export const boolean: ValueType<boolean> = {
  read(given) {
    const value = given === 'true' || (given === 'false' ? false : given)
    check(typeof value === 'boolean', 'true or false')
    return value
  },
  schema: { type: 'boolean' },
  placeholder: 'true|false',
  allowed: 'true or false',
  encode: (value) => value,
}

/** Text in a form. `read` gives its value, or undefined for one that is not in the form; `format` gives the text again. */
export function form<T = string>(
  placeholder: string,
  allowed: string,
  read: (text: string) => T | undefined,
  format: (value: T) => string = String,
): ValueType<T> {
  return {
    read(given) {
      const value = read(textOf(given, allowed))
      check(value !== undefined, allowed)
      return value
    },
    placeholder,
    allowed,
    encode: format,
  }
}

/** Text of which a pattern is all. */
export function matching(placeholder: string, allowed: string, pattern: RegExp): ValueType<string> {
  return form(placeholder, allowed, (text) => (pattern.test(text) ? text : undefined))
}

/**
 * Text of printable characters without white space.
 *
 * @param maxBytes - The most that it may take in UTF-8, where it has to fit a place of that size.
 */
export function word(placeholder: string, maxLength: number, maxBytes = Infinity): ValueType<string> {
  const inBytes = maxBytes === Infinity ? '' : `, at most ${maxBytes} bytes of UTF-8`
  const allowed = `1 to ${maxLength} printable characters without white space${inBytes}`
  return form(placeholder, allowed, (text) =>
    isWord(text, maxLength) && Buffer.byteLength(text) <= maxBytes ? text : undefined,
  )
}

/** Text for people, on one line. */
export const sentence = matching('TEXT', '1 to 256 printable characters', /^[^\p{C}\p{Zl}\p{Zp}]{1,256}$/u)

/** The name of an HTTP header. */
export const headerName = matching('NAME', 'the name of an HTTP header', /^[!#$%&'*+.^_`|~\w-]{1,256}$/)

/** A host name; the value is in lower case. */
export const hostName = form('HOST', 'a host name without port', (text) =>
  /^[a-zA-Z0-9_]([-.a-zA-Z0-9_]{0,251}[a-zA-Z0-9_])?$/.test(text) ? text.toLowerCase() : undefined,
)

/** A path of the file system. */
export const path = matching('FILE', 'a path', /./s)

/** An IP address to bind to; the unspecified ones mean all interfaces. */
export const bindAddress = form('IP', 'an IP address; 0.0.0.0 or :: for all interfaces', (text) =>
  isIP(text) === 0 ? undefined : text,
)

/** An IP address that others can reach. */
export const reachableAddress = form(
  'IP',
  'an IP address that the other members can reach, so not 0.0.0.0 or ::',
  (text) => (isIP(text) === 0 || /^[0:.]+$/.test(text) ? undefined : text),
)

const HTTP_URL_ALLOWED = 'an http:// or https:// URL without user, query or fragment'

/** Absolute `http:` or `https:` URL; slashes at its end are cut off. */
export const httpUrl = urlType(HTTP_URL_ALLOWED, (text) => text)

/** Look-up port of a member that is named without one. */
export const DEFAULT_HTTP_PORT = 8080

/** Admin port of a member that is named without one. */
export const DEFAULT_ADMIN_PORT = 8081

/** Where a member answers look-ups: a URL, or `HOST[:PORT]`, which becomes one. */
export const memberUrl = urlOfPort(DEFAULT_HTTP_PORT)

/** Where a member's admin port is: a URL, or `HOST[:PORT]`, which becomes one. */
export const adminUrl = urlOfPort(DEFAULT_ADMIN_PORT)

function urlOfPort(defaultPort: number): ValueType<string> {
  return urlType(`HOST[:PORT] or ${HTTP_URL_ALLOWED}`, (text) => {
    if (text.includes('://')) return text
    return `http://${text}${/:\d+$/.test(text) ? '' : `:${defaultPort}`}`
  })
}

function urlType(allowed: string, complete: (text: string) => string): ValueType<string> {
  return form('URL', allowed, (text) => {
    const url = URL.parse(complete(text))
    if (url === null || url.username + url.password + url.search + url.hash !== '') return undefined
    // A number alone is an IP address to a URL: somebody who gave a port, or a pid, would ask a stranger.
    if (isIP(url.hostname) !== 0 && !text.includes(url.hostname)) return undefined
    return /^https?:$/.test(url.protocol) ? url.href.replace(/\/+$/, '') : undefined
  })
}

/**
 * Text in a form of its own. `parse` throws a `RingmanError` for a bad one, and its message becomes the problem's.
 */
export function parsed<T>(
  placeholder: string,
  allowed: string,
  parse: (text: string) => T,
  format: (value: T) => string,
): ValueType<T> {
  return {
    read(given) {
      const text = textOf(given, allowed)
      try {
        return parse(text)
      } catch (error) {
        if (!isRingmanError(error)) throw error
        throw new NotAllowed([{ message: error.message, whole: true }])
      }
    },
    placeholder,
    allowed,
    encode: format,
  }
}

/** A list: text is split at commas, a file may hold a real list. Empty text is the empty list. */
export function list<T>(
  item: ValueType<T>,
  options: { readonly min?: number; readonly max: number },
): ValueType<readonly T[]> {
  const { min = 0, max } = options
  const allowed = `a list of ${min === 0 ? 'at most' : `${min} to`} ${max}, separated by commas; each ${item.allowed}`
  return {
    read(given) {
      const parts: unknown = typeof given === 'string' ? splitList(given) : given
      check(Array.isArray(parts), allowed)
      const refusals: Refusal[] = []
      const values = parts.flatMap((part, index) => {
        try {
          return [item.read(part)]
        } catch (error) {
          if (!(error instanceof NotAllowed)) throw error
          refusals.push(...error.refusals.map((refusal) => ({ ...refusal, index })))
          return []
        }
      })
      if (refusals.length > 0) throw new NotAllowed(refusals)
      check(values.length >= min && values.length <= max, allowed)
      return values
    },
    placeholder: `${item.placeholder},…`,
    allowed,
    encode: (values) => values.map((value) => String(item.encode(value))),
  }
}

/** The items of a list given as text; blanks around them and empty ones are ignored. */
export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
