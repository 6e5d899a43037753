import { isIPv6 } from 'node:net'
import { configInvalid } from '../../errors.ts'
import { chooseAdvertisedAddress, type AdvertisedAddressOptions } from '../advertised-address.ts'
import { isUnicast } from './datagram-guard.ts'

/** The IPv4 literal that binds to every address. */
const ANY_ADDRESS = '0.0.0.0'

/**
 * Checks the address to bind to.
 *
 * @throws {RingmanError} `CONFIG_INVALID` for anything but an IPv4 literal of one host or `0.0.0.0`.
 */
export function checkBindAddress(bindHost: string): void {
  if (bindHost === ANY_ADDRESS || isUnicast(bindHost)) return
  throw configInvalid(`cannot bind to "${bindHost}": ${allowed(bindHost)} or ${ANY_ADDRESS}`)
}

/**
 * The IPv4 address that others are told, as {@link chooseAdvertisedAddress} chooses it.
 *
 * @throws {RingmanError} `CONFIG_INVALID` as there, and for an IPv6 address.
 */
export function chooseIPv4Address(options: AdvertisedAddressOptions): string {
  const { advertise } = options
  if (advertise !== undefined && !isUnicast(advertise)) {
    const why =
      advertise === ANY_ADDRESS
        ? 'it leads nowhere; the address others reach this process at'
        : allowed(advertise)
    throw configInvalid(`cannot advertise "${advertise}": ${why}, is allowed`)
  }
  return chooseAdvertisedAddress(options)
}

function allowed(given: string): string {
  return isIPv6(given)
    ? 'the swim source knows no IPv6 (use the memberlist source); an IPv4 address'
    : 'an IPv4 address of one host, such as 10.0.0.5'
}
