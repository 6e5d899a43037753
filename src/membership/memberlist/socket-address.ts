import { formatAddress, tryParseAddress, type Endpoint } from './protocol/endpoint.ts'

/**
 * The place that a socket names, in canonical form: without a zone, an IPv4 address mapped into IPv6 as IPv4.
 *
 * @returns undefined for what is no place to answer to.
 */
export function endpointOf(address: string | undefined, port: number | undefined): Endpoint | undefined {
  if (address === undefined || port === undefined || port === 0) return undefined
  if (!address.includes(':')) return { address, port }
  const bytes = tryParseAddress(address.replace(/%.*/, ''))
  const canonical = bytes === undefined ? undefined : formatAddress(bytes)
  return canonical === undefined ? undefined : { address: canonical, port }
}
