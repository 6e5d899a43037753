import { isIPv4, isIPv6 } from 'node:net'
import { blockListOf } from '../addresses.ts'
import { configInvalid } from '../errors.ts'
import { isPort } from '../is-within.ts'

/** An address to join through, as configured; a missing port means the default port of the gossip. */
export type Seed =
  /** An IP literal, without brackets. */
  | { readonly kind: 'address'; readonly address: string; readonly port?: number }
  /** A host name, resolved as every program of this machine resolves it (hosts file included). */
  | { readonly kind: 'host'; readonly name: string; readonly port?: number }
  /** A DNS name whose A and AAAA records are all seeds. */
  | { readonly kind: 'dns'; readonly name: string; readonly port?: number }
  /** A DNS name whose SRV records name targets and ports. */
  | { readonly kind: 'srv'; readonly name: string }
  /** The addresses of pods, which Kubernetes is asked for. */
  | { readonly kind: 'pods'; readonly port?: number }

/** Where a seed leads to. */
export interface SeedAddress {
  /** IP literal without brackets. */
  readonly address: string
  /** 1 to 65535. */
  readonly port: number
}

const ALLOWED =
  'HOST, HOST:PORT, 1.2.3.4:PORT, [::1]:PORT, dns:NAME, dns:NAME:PORT, srv:NAME, pods: and pods:PORT are allowed (port 1 to 65535, default the gossip port)'

const NO_HOSTS = [
  { fault: 'the unspecified address leads nowhere', addresses: blockListOf(['0.0.0.0/8', '::/128']) },
  {
    fault: 'a multicast or broadcast address is no host',
    addresses: blockListOf(['224.0.0.0/3', 'ff00::/8']),
  },
  {
    fault: 'a link-local address leads elsewhere on each host',
    addresses: blockListOf(['169.254.0.0/16', 'fe80::/10']),
  },
]

/**
 * Parses one seed: `HOST[:PORT]`, `IPV4[:PORT]`, `[IPV6][:PORT]`, `dns:NAME[:PORT]`, `srv:NAME` or `pods:[PORT]`.
 *
 * @throws {RingmanError} `CONFIG_INVALID`, saying what was given and what is allowed.
 */
export function parseSeed(text: string): Seed {
  const fail = (why: string): never => {
    throw configInvalid(`"${text}" is not a seed (${why}): ${ALLOWED}`)
  }
  if (text.startsWith('pods:')) {
    const port = text.slice('pods:'.length)
    if (port === '') return { kind: 'pods' }
    return isPort(port) ? { kind: 'pods', port: Number(port) } : fail(`"${port}" is not a port`)
  }
  const checkedHost = (address: string) => {
    const fault = faultOfSeedAddress(address)
    return fault === undefined ? address : fail(fault)
  }
  const match =
    /^(?:(?<scheme>dns|srv):)?(?:\[(?<bracketed>[^[\]]*)\]|(?<host>[^:[\]]*))(?::(?<port>.*))?$/.exec(text)
  const { scheme, bracketed, host = '', port: portText } = match?.groups ?? {}
  if (match === null) return fail(isIPv6(text) ? 'an IPv6 address needs brackets' : 'it has too many colons')
  if (portText !== undefined && !isPort(portText)) return fail(`"${portText}" is not a port`)
  const port = portText === undefined ? {} : { port: Number(portText) }

  if (bracketed !== undefined) {
    if (scheme !== undefined) return fail(`${scheme}: takes a name, not an address`)
    if (!isIPv6(bracketed) || bracketed.includes('%')) return fail('in brackets must be an IPv6 address')
    return { kind: 'address', address: checkedHost(bracketed), ...port }
  }
  if (isIPv4(host)) {
    if (scheme !== undefined) return fail(`${scheme}: takes a name, not an address`)
    return { kind: 'address', address: checkedHost(host), ...port }
  }
  if (!isHostName(host)) return fail(host === '' ? 'the name is empty' : 'the name is not a host name')
  if (scheme === 'srv') {
    if (portText !== undefined) return fail('SRV records bring their ports along')
    return { kind: 'srv', name: host }
  }
  return { kind: scheme === 'dns' ? 'dns' : 'host', name: host, ...port }
}

/** The text that parses to this seed. */
export function formatSeed(seed: Seed): string {
  if (seed.kind === 'srv') return `srv:${seed.name}`
  if (seed.kind === 'pods') return `pods:${seed.port ?? ''}`
  const port = seed.port === undefined ? '' : `:${seed.port}`
  if (seed.kind === 'address') {
    return isIPv6(seed.address) ? `[${seed.address}]${port}` : `${seed.address}${port}`
  }
  return `${seed.kind === 'dns' ? 'dns:' : ''}${seed.name}${port}`
}

/** Why nobody in particular can be joined at an IP literal; undefined where that is possible. */
export function faultOfSeedAddress(address: string): string | undefined {
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  return NO_HOSTS.find(({ addresses }) => addresses.check(address, family))?.fault
}

/** Letters, digits, `-` and `_` in labels of 1 to 63; the last label is no number, as that would be an address. */
function isHostName(text: string): boolean {
  const name = text.endsWith('.') ? text.slice(0, -1) : text
  const labels = name.split('.')
  return (
    name.length <= 253 &&
    labels.every((label) => /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label)) &&
    !/^\d+$/.test(labels.at(-1) ?? '')
  )
}
