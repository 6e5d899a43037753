import { DIGESTS_KEPT } from '../manager/ring-order.ts'
import type { ForwardedBy } from './decision.ts'

/** Headers between members; whoever lets requests in from outside should take them off. */
const HOPS = 'ringman-hops'
const DIGESTS = 'ringman-digests'
export const STAND_IN = 'ringman-stand-in'
/** Milliseconds that are left until the answer must begin. */
const TIME_LEFT = 'ringman-time-left'

/** Digests that go with a request: a member further behind than that is not told so. */
const SENT_DIGESTS = 16

/** Headers of one connection alone (RFC 9110, 7.6.1), and those that are written again for the next one. */
const OF_THE_CONNECTION =
  /^(connection|expect|keep-alive|proxy-(authenticate|authorization|connection)|te|trailer|transfer-encoding|upgrade)$/

const DIGEST_LIST = /^[0-9a-f]{16}(,[0-9a-f]{16})*$/

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

/** Reads what a request says of its way; what makes no sense counts as the most careful thing it can be. */
export function readForwardedBy(headers: Headers): ForwardedBy {
  const hops = textOf(headers[HOPS])
  const digests = textOf(headers[DIGESTS]) ?? ''
  return {
    hops: hops === undefined ? 0 : /^\d{1,3}$/.test(hops) ? Number(hops) : Number.MAX_SAFE_INTEGER,
    digests: DIGEST_LIST.test(digests) ? digests.split(',', DIGESTS_KEPT) : [],
    standIn: textOf(headers[STAND_IN]) === '1',
  }
}

/** The milliseconds that the member before leaves; undefined where it says nothing. */
export function readTimeLeft(headers: Headers): number | undefined {
  const text = textOf(headers[TIME_LEFT])
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}

/** What the next member is told. */
export function forwardHeaders(by: ForwardedBy & { readonly timeLeftMs: number }): Record<string, string> {
  return {
    [HOPS]: String(by.hops),
    [DIGESTS]: by.digests.slice(0, SENT_DIGESTS).join(','),
    ...(by.standIn ? { [STAND_IN]: '1' } : {}),
    [TIME_LEFT]: String(Math.max(0, Math.round(by.timeLeftMs))),
  }
}

/**
 * The headers that go on to the next connection, names and values in turn.
 *
 * @param rawHeaders - As they came.
 * @param own - Set in their place; names in lower case.
 * @param kept - Names that go on although they are those of a connection, in lower case.
 */
export function passHeaders(
  rawHeaders: readonly string[],
  own: Readonly<Record<string, string>> = {},
  kept: readonly string[] = [],
): string[] {
  const named = new Set<string>()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]!.toLowerCase() !== 'connection') continue
    for (const name of rawHeaders[at + 1]!.split(',')) named.add(name.trim().toLowerCase())
  }
  const passed: string[] = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!.toLowerCase()
    const isOfConnection = OF_THE_CONNECTION.test(name) || named.has(name)
    if (Object.hasOwn(own, name) || (isOfConnection && !kept.includes(name))) continue
    passed.push(rawHeaders[at]!, rawHeaders[at + 1]!)
  }
  for (const [name, value] of Object.entries(own)) passed.push(name, value)
  return passed
}

function textOf(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.join(',')
}
