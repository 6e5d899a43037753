/** What the network between the hosts does to their packets. */
export interface Traffic {
  /** The fraction of packets that are lost, 0 to 1, drawn for each packet by itself. */
  readonly lossFraction: number
  /** Addresses by island: packets pass only within one. Addresses that are in none pass everywhere. */
  readonly islands: readonly (readonly string[])[]
  /** Ports of one address that another one does not get through to, in this direction only. @default none */
  readonly closed?: readonly ClosedPort[]
}

/** What a firewall drops. */
export interface ClosedPort {
  readonly protocol: 'udp' | 'tcp'
  readonly from: string
  readonly to: string
  readonly port: number
}

/** A network that loses nothing. */
export const CLEAR: Traffic = { lossFraction: 0, islands: [] }

/** The table's name within the router's namespace. */
export const TABLE = 'inet lab'

/** Loss is drawn out of so many. */
const LOSS_STEPS = 10_000

/** The nftables script that sets up the router: counters for what hosts send, then what is dropped. */
export function setupScript(): string {
  return `table ${TABLE} {
  set cut { type ipv4_addr . ipv4_addr; }
  counter udp_sent { }
  counter tcp_sent { }
  chain forward { type filter hook forward priority filter; policy accept; }
}
${changeScript(CLEAR)}`
}

/** The nftables script that changes the router to `traffic`; nftables carries it out as one transaction. */
export function changeScript(traffic: Traffic): string {
  const pairs = cutPairs(traffic.islands)
  const lost = Math.round(traffic.lossFraction * LOSS_STEPS)
  if (!(lost >= 0 && lost <= LOSS_STEPS)) {
    throw new Error(`loss must be 0 to 1, not ${traffic.lossFraction}`)
  }
  return [
    `flush chain ${TABLE} forward`,
    `flush set ${TABLE} cut`,
    ...(pairs.length === 0 ? [] : [`add element ${TABLE} cut { ${pairs.join(', ')} }`]),
    `add rule ${TABLE} forward meta l4proto udp counter name "udp_sent"`,
    `add rule ${TABLE} forward meta l4proto tcp counter name "tcp_sent"`,
    // Dropped while forwarded: the sender sees no error, as with a real loss.
    `add rule ${TABLE} forward ip saddr . ip daddr @cut drop`,
    ...(traffic.closed ?? []).map(
      ({ protocol, from, to, port }) =>
        `add rule ${TABLE} forward ip saddr ${from} ip daddr ${to} ${protocol} dport ${port} drop`,
    ),
    ...(lost === 0 ? [] : [`add rule ${TABLE} forward numgen random mod ${LOSS_STEPS} < ${lost} drop`]),
    '',
  ].join('\n')
}

function cutPairs(islands: readonly (readonly string[])[]): string[] {
  return islands.flatMap((from) =>
    islands
      .filter((to) => to !== from)
      .flatMap((to) => from.flatMap((source) => to.map((target) => `${source} . ${target}`))),
  )
}
