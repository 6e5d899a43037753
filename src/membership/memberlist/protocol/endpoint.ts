/** Where a member's gossip is reached: an IP literal without brackets, in canonical form, and a port. */
export interface Endpoint {
  readonly address: string
  /** 1 to 65535. */
  readonly port: number
}

/** The first byte of IPv4 multicast; what is above that is reserved or broadcast. */
const MULTICAST_V4 = 224
const MULTICAST_V6 = 0xff

/** Whether two endpoints are the same place; both in canonical form. */
export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.port === b.port && a.address === b.address
}

/** An address and port as the key of a map. */
export function keyOf({ address, port }: Endpoint): string {
  return `${address} ${port}`
}

/**
 * An address in network order as text: dotted for 4 bytes (and for 16 bytes that hold an IPv4 address, `::ffff:`),
 * else IPv6 as RFC 5952 writes it.
 *
 * @returns undefined unless there are 4 or 16 bytes, and for what is no host's address: unspecified, multicast, broadcast.
 */
export function formatAddress(bytes: Uint8Array): string | undefined {
  if (bytes.every((byte) => byte === 0)) return undefined
  const first = bytes[0] as number
  if (bytes.length === 4) return first < MULTICAST_V4 ? bytes.join('.') : undefined
  if (bytes.length !== 16 || first === MULTICAST_V6) return undefined
  if (isMapped(bytes)) return formatAddress(bytes.subarray(12))
  const groups: number[] = []
  for (let i = 0; i < 16; i += 2) groups.push(((bytes[i] as number) << 8) | (bytes[i + 1] as number))
  const { start, length } = longestZeroRun(groups)
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':')
  if (length < 2) return hex(groups)
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`
}

/** An address in network order and a port as they come off the wire; undefined where nobody can be there. */
export function tryEndpoint(bytes: Uint8Array, port: number): Endpoint | undefined {
  const address = port < 1 || port > 65_535 ? undefined : formatAddress(bytes)
  return address === undefined ? undefined : { address, port }
}

/**
 * An IP literal in network order, the other way of {@link formatAddress}.
 *
 * @returns 4 or 16 bytes; undefined when `text` is no IP literal. Zones (`%eth0`) are no part of one.
 */
export function tryParseAddress(text: string): Uint8Array | undefined {
  return text.includes(':') ? tryParseV6(text) : tryParseV4(text)
}

function isMapped(bytes: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 0xff && bytes[11] === 0xff
}

function longestZeroRun(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  return best
}

function tryParseV4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  const bytes = new Uint8Array(4)
  for (const [i, part] of parts.entries()) {
    if (!/^\d{1,3}$/.test(part) || Number(part) > 255) return undefined
    bytes[i] = Number(part)
  }
  return bytes
}

function tryParseV6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  // An IPv4 address may stand at the very end only.
  const head = parseGroups(halves[0] as string, halves.length === 1)
  const tail = parseGroups(halves[1] ?? '', true)
  if (head === undefined || tail === undefined) return undefined
  const missing = 16 - head.length - tail.length
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(head)
  bytes.set(tail, 16 - tail.length)
  return bytes
}

function parseGroups(text: string, mayEndInV4: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const groups = text.split(':')
  for (const [i, group] of groups.entries()) {
    if (group.includes('.')) {
      const v4 = mayEndInV4 && i === groups.length - 1 ? tryParseV4(group) : undefined
      if (v4 === undefined) return undefined
      bytes.push(...v4)
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined
      const value = Number.parseInt(group, 16)
      bytes.push(value >> 8, value & 0xff)
    }
  }
  return bytes
}
