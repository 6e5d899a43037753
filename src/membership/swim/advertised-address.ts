import { isIPv4, isIPv6 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import { RingmanError } from '../../errors.ts'
import { isUnicast } from './datagram-guard.ts'
import type { SwimPreset } from './swim-settings.ts'

/** What `os.networkInterfaces()` gives. */
export type NetworkInterfaces = NodeJS.Dict<NetworkInterfaceInfo[]>

/** The IPv4 literal that binds to every address. */
export const ANY_ADDRESS = '0.0.0.0'

/**
 * Checks the address to bind to.
 *
 * @throws {RingmanError} `CONFIG_INVALID` for anything but an IPv4 literal of one host or `0.0.0.0`.
 */
export function checkBindAddress(bindHost: string): void {
  if (bindHost === ANY_ADDRESS || isUnicast(bindHost)) return
  throw new RingmanError(
    'CONFIG_INVALID',
    `cannot bind to "${bindHost}": ${allowed(bindHost)} or ${ANY_ADDRESS}`,
  )
}

/**
 * The address that others are told: the one given, or the one bound to, or the only one there is.
 *
 * @returns An IPv4 literal.
 * @throws {RingmanError} `CONFIG_INVALID` for an address that cannot be advertised, and when there are several
 *   to choose from: the message lists them.
 */
export function chooseAdvertisedAddress(options: {
  readonly advertise: string | undefined
  readonly bindHost: string
  readonly preset: SwimPreset
  readonly interfaces: NetworkInterfaces
}): string {
  const { advertise, bindHost, preset, interfaces } = options
  if (advertise !== undefined) {
    if (isUnicast(advertise)) return advertise
    const why =
      advertise === ANY_ADDRESS
        ? 'it leads nowhere; the address others reach this process at'
        : allowed(advertise)
    throw new RingmanError('CONFIG_INVALID', `cannot advertise "${advertise}": ${why}, is allowed`)
  }
  if (bindHost !== ANY_ADDRESS) return bindHost
  if (preset === 'local') return '127.0.0.1'
  const found = Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter(({ address, internal }) => !internal && isIPv4(address))
    .map(({ address }) => address)
  const routable = found.filter((address) => !address.startsWith('169.254.'))
  const candidates = [...new Set(routable.length > 0 ? routable : found)]
  if (candidates.length > 1) {
    throw new RingmanError(
      'CONFIG_INVALID',
      `there are several addresses to advertise: ${candidates.join(', ')}; name one of them as the advertised address, or bind to it`,
      { detail: { candidates } },
    )
  }
  return candidates[0] ?? '127.0.0.1'
}

function allowed(given: string): string {
  return isIPv6(given)
    ? 'the swim source knows no IPv6 (use the memberlist source); an IPv4 address'
    : 'an IPv4 address of one host, such as 10.0.0.5'
}
