import { RingmanError } from '../errors.ts'
import { isWithin } from '../is-within.ts'
import { shortened } from '../printable.ts'
import type { HttpLimits } from './limits.ts'
import { parseParameters, tryDecodeText } from './query.ts'

/**
 * The parameters of a query, strictly: each once, none that is not `allowed`, all of them percent-encoded UTF-8
 * with a plus for a space.
 *
 * @param lists - Those that are comma lists; they may be repeated, and the lists are joined.
 * @throws {RingmanError} `PARAMETER_INVALID`; for the parameter `key` `KEY_REPEATED` and `KEY_INVALID`.
 */
export function readParameters(
  query: string,
  allowed: readonly string[],
  lists: readonly string[] = [],
): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const { name, value } of parseParameters(query)) {
    if (!allowed.includes(name)) {
      const choice =
        allowed.length === 0 ? 'none are' : `${allowed.join(', ')} ${allowed.length === 1 ? 'is' : 'are'}`
      throw new RingmanError(
        'PARAMETER_INVALID',
        `the parameter ${shorten(name)} is not known; ${choice} allowed`,
      )
    }
    if (value === undefined) {
      if (name === 'key') throw invalidKey()
      throw new RingmanError('PARAMETER_INVALID', `the parameter ${name} is not percent-encoded UTF-8`)
    }
    const before = parameters.get(name)
    if (before !== undefined && !lists.includes(name)) {
      const code = name === 'key' ? 'KEY_REPEATED' : 'PARAMETER_INVALID'
      throw new RingmanError(code, `the parameter ${name} is allowed once`)
    }
    parameters.set(name, before === undefined ? value : `${before},${value}`)
  }
  return parameters
}

/**
 * The key of a query that may have no other parameter.
 *
 * @throws {RingmanError} `PARAMETER_INVALID` and the codes of keys.
 */
export function readOnlyKey(query: string, limits: HttpLimits): string {
  // What nearly every look-up sends needs no list of parameters.
  if (query.startsWith('key=') && !query.includes('&')) {
    const key = tryDecodeText(query.slice(4))
    if (key === undefined) throw invalidKey()
    return checkKey(key, limits)
  }
  return checkKey(readParameters(query, ['key']).get('key'), limits)
}

/**
 * The key itself, if it is one that can be looked up.
 *
 * @param at - In a batch, its place there.
 * @throws {RingmanError} `KEY_MISSING`, `KEY_EMPTY`, `KEY_TOO_LONG`, `KEY_INVALID`.
 */
export function checkKey(key: string | undefined, { maxKeyBytes }: HttpLimits, at?: number): string {
  if (key === undefined) throw new RingmanError('KEY_MISSING', 'the parameter key is missing: add ?key=KEY')
  if (key === '') throw new RingmanError('KEY_EMPTY', `${keyAt(at)} is empty`)
  // A UTF-16 unit takes at most three bytes of UTF-8; the bytes need counting only near the limit.
  if (key.length > maxKeyBytes || (key.length * 3 > maxKeyBytes && Buffer.byteLength(key) > maxKeyBytes)) {
    throw new RingmanError(
      'KEY_TOO_LONG',
      `${keyAt(at)} has ${Buffer.byteLength(key)} bytes; at most ${maxKeyBytes} are allowed`,
      { detail: { limit: maxKeyBytes } },
    )
  }
  return key
}

/** What messages call a key. */
export function keyAt(at: number | undefined): string {
  return at === undefined ? 'the key' : `keys[${at}]`
}

/**
 * The number of owners that a query asks for; 1 when it does not say.
 *
 * @throws {RingmanError} `N_OUT_OF_RANGE`.
 */
export function parseOwnerCount(text: string | undefined, limits: HttpLimits): number {
  return checkOwnerCount(text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : text, limits)
}

/**
 * The number of owners asked for; 1 for undefined.
 *
 * @throws {RingmanError} `N_OUT_OF_RANGE`.
 */
export function checkOwnerCount(n: unknown, { maxOwners }: HttpLimits): number {
  if (n === undefined) return 1
  if (isWithin(n, 1, maxOwners)) return n
  throw new RingmanError('N_OUT_OF_RANGE', `n must be an integer from 1 to ${maxOwners}, got ${shorten(n)}`, {
    detail: { limit: maxOwners },
  })
}

/** What a client sent, as JSON, shortened for a message. */
export function shorten(value: unknown): string {
  const text = typeof value === 'string' ? value.slice(0, SHOWN_LENGTH + 1) : value
  return shortened(JSON.stringify(text) ?? 'nothing', SHOWN_LENGTH)
}

/** Characters of a client's text that a message repeats. */
const SHOWN_LENGTH = 64

function invalidKey(): RingmanError {
  return new RingmanError('KEY_INVALID', 'the key is not percent-encoded UTF-8')
}
