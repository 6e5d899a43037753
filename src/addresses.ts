import { BlockList, isIPv6 } from 'node:net'

/** `address:port`, with brackets around an IPv6 address. */
export function formatHostPort({
  address,
  port,
}: {
  readonly address: string
  readonly port: number
}): string {
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}

/** Whether an IP literal is `0.0.0.0` or a spelling of `::`. */
export function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || (isIPv6(address) && /^[0:.]+$/.test(address))
}

/** Networks as CIDR. */
export function blockListOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits] = network.split('/')
    list.addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4')
  }
  return list
}
