import { BlockList, isIPv4, isIPv6 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import { configInvalid } from '../errors.ts'
import { isUnspecified } from '../addresses.ts'

/** What `os.networkInterfaces()` gives. */
export type NetworkInterfaces = NodeJS.Dict<NetworkInterfaceInfo[]>

export interface AdvertisedAddressOptions {
  /** What was asked for; undefined to find one. */
  readonly advertise: string | undefined
  /** IP literal that the sockets are bound to. */
  readonly bindHost: string
  /** Whether the members are all on this machine, so that loopback will do. */
  readonly local: boolean
  readonly interfaces: NetworkInterfaces
}

/**
 * The address that others are told: the one given, or the one bound to, or the only one of the machine. An IPv4
 * address is preferred where a socket serves both kinds.
 *
 * @returns An IP literal.
 * @throws {RingmanError} `CONFIG_INVALID` for an address that leads nowhere, and when there are several to choose
 *   from: the message lists them.
 */
export function chooseAdvertisedAddress(options: AdvertisedAddressOptions): string {
  const { advertise, bindHost, local, interfaces } = options
  if (advertise !== undefined) {
    if (isReachable(advertise)) return advertise
    throw configInvalid(
      `cannot advertise "${advertise}": the IP address at which others reach this process is allowed`,
    )
  }
  if (!isUnspecified(bindHost)) return bindHost
  const serves = isIPv6(bindHost) ? () => true : isIPv4
  if (local) return '127.0.0.1'
  const found = Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter(({ address, internal }) => !internal && serves(address))
    .map(({ address }) => address)
  const routable = found.filter((address) => !isLinkLocal(address))
  const preferred = [
    routable.filter((address) => isIPv4(address)),
    routable,
    found.filter((address) => isIPv4(address)),
  ]
  const candidates = [...new Set(preferred.find((addresses) => addresses.length > 0))]
  if (candidates.length > 1) {
    throw configInvalid(
      `there are several addresses to advertise: ${candidates.join(', ')}; give one of them to advertise (--advertise) or to bind (--bind)`,
      { detail: { candidates } },
    )
  }
  return candidates[0] ?? '127.0.0.1'
}

/**
 * Whether a socket that is bound to `bindHost` takes what is sent to an address of the same port: the address bound to,
 * and, bound to all, every address of this machine.
 */
export function leadsToThisMachine(
  address: string,
  bindHost: string,
  interfaces: NetworkInterfaces,
): boolean {
  const own = new BlockList()
  const add = (literal: string) => own.addAddress(literal, isIPv6(literal) ? 'ipv6' : 'ipv4')
  if (isUnspecified(bindHost)) {
    own.addSubnet('127.0.0.0', 8, 'ipv4')
    add('::1')
    for (const list of Object.values(interfaces)) for (const info of list ?? []) add(info.address)
  } else add(bindHost)
  return own.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

function isReachable(address: string): boolean {
  return (isIPv4(address) || (isIPv6(address) && !address.includes('%'))) && !isUnspecified(address)
}

function isLinkLocal(address: string): boolean {
  return address.startsWith('169.254.') || /^fe[89ab]/i.test(address)
}
