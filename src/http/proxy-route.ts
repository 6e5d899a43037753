import type Koa from 'koa'
import { isRingmanError, RingmanError } from '../errors.ts'
import type { HttpLimits } from './limits.ts'
import { checkKey } from './parameters.ts'
import { splitTarget } from './query.ts'
import { findKey, headerValue, type KeyPlace } from './route-key.ts'
import type { RingAnswers } from './ring-answers.ts'
import { proxyAddressOf } from './ring-view.ts'
import { KEY_COUNT, type Handler } from './route.ts'

/** How `/v1/route` finds the key of a request. */
export interface RouteSettings {
  /** The first place that has a key counts. */
  readonly routeKey: readonly KeyPlace[]
  /** The header in which the proxy gives the path and the query of the request; without it they are those behind `/v1/route`. */
  readonly routePathHeader?: string | undefined
  /** A request without a key that can be looked up: `pass` is 200 without an owner, `refuse` is 400. */
  readonly routeWithoutKey: 'pass' | 'refuse'
}

/** What holds where nothing is set. */
export const DEFAULT_ROUTE_SETTINGS: RouteSettings = {
  routeKey: [{ kind: 'header', name: 'x-ringman-key' }],
  routeWithoutKey: 'pass',
}

/** How many owners a proxy is told: the owner, and two that take over when it does not answer. */
const OWNERS = 3

/**
 * Answers a proxy that asks where a request belongs, whatever its method and body: 200 without a body, the owners as
 * addresses in headers.
 */
export function proxyRoute(
  { service: { manager }, view }: RingAnswers,
  limits: HttpLimits,
  settings: RouteSettings,
): Handler {
  const pathHeader = settings.routePathHeader?.toLowerCase()

  const keyOf = (ctx: Koa.Context, query: string, below: string): string => {
    const { rawHeaders } = ctx.req
    const target =
      pathHeader === undefined
        ? { path: below, query }
        : splitTarget(headerValue(rawHeaders, pathHeader) ?? '')
    const key = findKey(settings.routeKey, { rawHeaders, ...target })
    if (key === undefined) {
      throw new RingmanError('KEY_MISSING', 'the request has a key in none of the places of --route-key')
    }
    return checkKey(key, limits)
  }

  return (ctx, query, below) => {
    let key: string
    try {
      key = keyOf(ctx, query, below)
    } catch (error) {
      if (settings.routeWithoutKey === 'refuse' || !isRingmanError(error)) throw error
      ctx[KEY_COUNT] = 0
      return { status: 200, headers: [...view.get().routeHeaders], body: '' }
    }
    const owners = manager.getNodes(key, OWNERS)
    const current = view.get()
    ctx['_ringOwner'] = owners[0]?.ringKey
    ctx['_ringKey'] = key
    let list = ''
    let next = 0
    const headers = [...current.routeHeaders]
    for (const owner of owners) {
      const address = proxyAddressOf(owner)
      if (address === undefined) continue
      if (next > 0) headers.push(`X-Ringman-Next-${next}`, address)
      list = next === 0 ? address : `${list},${address}`
      next++
    }
    if (next > 0) headers.push('X-Ringman-Owner', list)
    return { status: 200, headers, body: '' }
  }
}
