import { isIP } from 'node:net'
import { z } from 'zod'
import { isRingmanError } from '../errors.ts'

/** What a value may look like, how it is read from text or from a file, and how it is shown again. */
export interface ValueType<T> {
  /** Reads text (flag, variable) or what a file holds; its issues say what is allowed. */
  readonly schema: z.ZodType<T>
  /** Stands for the value in the help, such as `PORT`. */
  readonly placeholder: string
  /** What is allowed, to follow "allowed: ". */
  readonly allowed: string
  /** The value as a file would hold it. */
  encode(value: T): PlainValue
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
  const bounded = z.int({ error: allowed }).min(min, { error: allowed }).max(max, { error: allowed })
  return {
    schema: z.union(
      [
        bounded,
        z
          .string()
          .regex(/^\d{1,15}$/)
          .transform(Number)
          .pipe(bounded),
      ],
      { error: allowed },
    ),
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

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/**
 * A duration such as `500ms`, `1.5s`, `2m` or `1h`; the value is in whole milliseconds. A bare number is refused,
 * except 0: seconds and milliseconds are too easily mistaken for each other.
 */
export function duration(minMs: number, maxMs: number): ValueType<number> {
  const allowed = `a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}, such as 500ms, 5s or 2m`
  return {
    schema: z.union([z.string(), z.literal(0)], { error: allowed }).transform((value, context) => {
      const ms = value === 0 ? 0 : parseDuration(value)
      if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms
      context.addIssue({ code: 'custom', message: allowed })
      return z.NEVER
    }),
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

/** Milliseconds as the shortest duration text that says exactly the same. */
export function formatDuration(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    if (ms >= UNITS_MS[unit] && ms % UNITS_MS[unit] === 0) return `${ms / UNITS_MS[unit]}${unit}`
  }
  return ms === 0 ? '0s' : `${ms}ms`
}

const UNITS_BYTES = { B: 1, KiB: 1024, MiB: 1024 * 1024 } as const

/** A size such as `512B`, `64KiB` or `1MiB`; a bare number is in bytes. The value is in bytes. */
export function size(minBytes: number, maxBytes: number): ValueType<number> {
  const allowed = `a size from ${formatSize(minBytes)} to ${formatSize(maxBytes)}, such as 512B, 64KiB or 1MiB`
  return {
    schema: z.union([z.string(), z.int()], { error: allowed }).transform((value, context) => {
      const [, amount, unit = 'B'] = /^(\d{1,12})(B|KiB|MiB)?$/.exec(String(value)) ?? []
      const bytes = Number(amount ?? Number.NaN) * UNITS_BYTES[unit as keyof typeof UNITS_BYTES]
      if (bytes >= minBytes && bytes <= maxBytes) return bytes
      context.addIssue({ code: 'custom', message: allowed })
      return z.NEVER
    }),
    placeholder: 'SIZE',
    allowed,
    encode: formatSize,
  }
}

/** Bytes as the shortest size text that says exactly the same. */
export function formatSize(bytes: number): string {
  for (const unit of ['MiB', 'KiB'] as const) {
    if (bytes >= UNITS_BYTES[unit] && bytes % UNITS_BYTES[unit] === 0) {
      return `${bytes / UNITS_BYTES[unit]}${unit}`
    }
  }
  return `${bytes}B`
}

/** One of a few words. */
export function choice<const Words extends readonly [string, ...string[]]>(
  words: Words,
  placeholder: string = words.join('|'),
): ValueType<Words[number]> {
  const allowed = words.length === 1 ? words[0] : `one of ${words.join(', ')}`
  return {
    schema: z.enum(words, { error: allowed }),
    placeholder,
    allowed,
    encode: (value) => value,
  }
}

/** Yes or no. A flag without a value means yes. */
export const boolean: ValueType<boolean> = {
  schema: z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')], {
    error: 'true or false',
  }),
  placeholder: 'true|false',
  allowed: 'true or false',
  encode: (value) => value,
}

/**
 * Text of printable characters without white space.
 *
 * @param maxBytes - The most that it may take in UTF-8, where it has to fit a place of that size.
 */
export function word(placeholder: string, maxLength: number, maxBytes = Infinity): ValueType<string> {
  const inBytes = maxBytes === Infinity ? '' : `, at most ${maxBytes} bytes of UTF-8`
  const allowed = `1 to ${maxLength} printable characters without white space${inBytes}`
  return {
    schema: z
      .string({ error: allowed })
      .min(1, { error: allowed })
      .max(maxLength, { error: allowed })
      .regex(/^[^\s\p{C}]+$/u, { error: allowed })
      .refine((text) => Buffer.byteLength(text) <= maxBytes, { error: allowed }),
    placeholder,
    allowed,
    encode: (value) => value,
  }
}

const SENTENCE = '1 to 256 printable characters'

/** Text for people, on one line. */
export const sentence: ValueType<string> = {
  schema: z.string({ error: SENTENCE }).regex(/^[^\p{C}\p{Zl}\p{Zp}]{1,256}$/u, { error: SENTENCE }),
  placeholder: 'TEXT',
  allowed: SENTENCE,
  encode: (value) => value,
}

const HEADER_NAME = 'the name of an HTTP header'

/** The name of an HTTP header. */
export const headerName: ValueType<string> = {
  schema: z.string({ error: HEADER_NAME }).regex(/^[!#$%&'*+.^_`|~\w-]{1,256}$/, { error: HEADER_NAME }),
  placeholder: 'NAME',
  allowed: HEADER_NAME,
  encode: (value) => value,
}

const HOST_NAME = 'a host name without port'

/** A host name; the value is in lower case. */
export const hostName: ValueType<string> = {
  schema: z
    .string({ error: HOST_NAME })
    .regex(/^[a-zA-Z0-9_]([-.a-zA-Z0-9_]{0,251}[a-zA-Z0-9_])?$/, { error: HOST_NAME })
    .transform((text) => text.toLowerCase()),
  placeholder: 'HOST',
  allowed: HOST_NAME,
  encode: (value) => value,
}

/** A path of the file system. */
export const path: ValueType<string> = {
  schema: z.string({ error: 'a path' }).min(1, { error: 'a path' }),
  placeholder: 'FILE',
  allowed: 'a path',
  encode: (value) => value,
}

/** An IP address to bind to; the unspecified ones mean all interfaces. */
export const bindAddress: ValueType<string> = ipAddress(
  'an IP address; 0.0.0.0 or :: for all interfaces',
  () => true,
)

/** An IP address that others can reach. */
export const reachableAddress: ValueType<string> = ipAddress(
  'an IP address that the other members can reach, so not 0.0.0.0 or ::',
  (address) => !/^[0:.]+$/.test(address),
)

function ipAddress(allowed: string, accepts: (address: string) => boolean): ValueType<string> {
  return {
    schema: z
      .string({ error: allowed })
      .refine((text) => isIP(text) !== 0 && accepts(text), { error: allowed }),
    placeholder: 'IP',
    allowed,
    encode: (value) => value,
  }
}

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
  return {
    schema: z.string({ error: allowed }).transform((given, context) => {
      const text = complete(given)
      const url = URL.canParse(text) ? new URL(text) : undefined
      const plain = url !== undefined && url.username + url.password + url.search + url.hash === ''
      if (plain && (url.protocol === 'http:' || url.protocol === 'https:'))
        return url.href.replace(/\/+$/, '')
      context.addIssue({ code: 'custom', message: allowed })
      return z.NEVER
    }),
    placeholder: 'URL',
    allowed,
    encode: (value) => value,
  }
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
    schema: z.string({ error: allowed }).transform((text, context) => {
      try {
        return parse(text)
      } catch (error) {
        if (!isRingmanError(error)) throw error
        context.addIssue({ code: 'custom', message: error.message, params: { whole: true } })
        return z.NEVER
      }
    }),
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
    schema: z
      .union([z.array(z.unknown()), z.string().transform(splitList)], { error: allowed })
      .pipe(z.array(item.schema).min(min, { error: allowed }).max(max, { error: allowed }))
      .readonly(),
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
