import { DEFAULT_VERSIONS } from '../../member.ts'

/** The names of the presets. */
export type Preset = 'lan' | 'wan' | 'local'

/**
 * The first part has memberlist's names and values; the second part is what it does beyond memberlist, each of which
 * can be switched off. `n` is the count of living members (alive or suspect, this one included): the dead never count.
 */
const lan = {
  /** Time between two probes of this member's round; times `1 + health score`. LAN 1 s, WAN 5 s, local 1 s. */
  probeIntervalMs: 1000,
  /**
   * Wait for a direct ack before others are asked; times `1 + health score`. About the 99th percentile of the
   * round trip. LAN 500 ms, WAN 3 s, local 200 ms.
   */
  probeTimeoutMs: 500,
  /** Members asked to probe in our stead. LAN 3, WAN 3, local 1. */
  indirectChecks: 3,
  /** Whether a member that does not ack over UDP is also probed over TCP. */
  streamProbes: true,
  /** Shortest suspicion: `suspicionMult * max(1, log10(n)) * probeIntervalMs`. LAN 4, WAN 6, local 3. */
  suspicionMult: 4,
  /**
   * Longest suspicion: this times the shortest. It comes down by `log(c + 1) / log(k + 1)` with c confirmations of
   * `k = suspicionMult - 2`. 1 makes the time fixed, as in plain SWIM. 6.
   */
  suspicionMaxTimeoutMult: 6,
  /** Times a message is sent on: `retransmitMult * ceil(log10(n + 1))`, and at least `min(n, 3 * retransmitMult)`. LAN 4, WAN 4, local 2. */
  retransmitMult: 4,
  /** Members that get gossip each time. LAN 3, WAN 4, local 3. */
  gossipNodes: 3,
  /** Time between two gossips while there is something to say. LAN 200 ms, WAN 500 ms, local 100 ms. */
  gossipIntervalMs: 200,
  /** For so long the dead still get gossip, so that they can refute. LAN 30 s, WAN 60 s, local 15 s. */
  gossipToTheDeadMs: 30_000,
  /**
   * Time between two exchanges of the whole state; above 32 members times `ceil(log2(n) - 5) + 1`. 0 switches
   * them off. LAN 30 s, WAN 60 s, local 15 s.
   */
  pushPullIntervalMs: 30_000,
  /** Time for a push/pull. LAN 10 s, WAN 30 s, local 1 s. */
  streamTimeoutMs: 10_000,
  /** Health scores go from 0 to this minus 1; 1 switches health awareness off. 8. */
  awarenessMaxMultiplier: 8,
  /**
   * Bytes that the messages of one packet may take, compound framing included; what checksum, label and encryption
   * add is taken off by the shell. 1400 less these.
   */
  packetBudgetBytes: 1400,
  /** Whether every message is encrypted, so that nobody without a key can forge one. false. */
  keyed: false,
  /** What this member says it speaks: protocol 1 to 5, speaking 2, and delegate versions (serf wants 2 to 5, 5). */
  versions: DEFAULT_VERSIONS,

  /** Direct pings of one probe that were not acked are repeated at `probeTimeoutMs / 2` and at `probeTimeoutMs`. */
  repeatPings: true,
  /** Whether a ping tells a suspect that it is suspected, so that its ack can refute (Lifeguard's buddy system). */
  tellSuspects: true,
  /**
   * From half of the shortest suspicion time on the suspect is pinged every `probeIntervalMs / 2`, and once over TCP;
   * an answer puts off declaring it dead by the shortest suspicion time. So does hearing that others hold us for dead; and
   * of a member that we hold for dead, news of a death is taken as suspicion.
   */
  checkSuspects: true,
  /**
   * A suspect whose TCP port refuses while its host answers, and whom a relay does not reach either, is dead after
   * this times `probeIntervalMs`, unless it answers one of our pings (every fifth of that) or refutes. So is one
   * whose name is claimed from another endpoint. 0 switches it off. 0.6: more than
   * the 0.5 after which the relays of other implementations speak up.
   */
  refusedSuspicionMult: 0.6,
  /**
   * Whether others are asked to look for a suspect at once, so that a silent one is dead after 2.5 probe intervals of silence
   * instead of the whole suspicion: `auto`, where all living members follow this rule; `always`, also beside other programs,
   * which take any news of a death at once; `off`. auto.
   */
  witnesses: 'auto' as 'auto' | 'always' | 'off',
  /** A deadline found this late means that we were stalled: the time lost counts against nobody. 0 switches it off. 50 ms. */
  stallThresholdMs: 50,
  /** The dead and the left are listed for so long, then forgotten. LAN 60 s, WAN 120 s, local 30 s. */
  deadKeptMs: 60_000,
  /** Time, times 0.5 to 1.5, between contacts with seeds that are not alive here; from 1 s, doubling. LAN 10 s, WAN 20 s, local 5 s. 0 switches it off. */
  rejoinIntervalMs: 10_000,
  /**
   * Time, times 0.5 to 1.5, between pings to a random lost member (one that died and did not leave), with the chance
   * `3 * lost / n`. LAN 5 s, WAN 10 s, local 2 s. 0 switches it off.
   */
  reconnectIntervalMs: 5000,
  /** The lost are looked for so long. 1 h. */
  lostKeptMs: 3_600_000,
  /** Longest wait for acks of our leaving. 5 s. */
  leaveTimeoutMs: 5000,

  /** Members listed at most, the dead included; some of the dead make room. 20,000. */
  maxMembers: 20_000,
  /** Messages waiting to be sent on; the ones most often sent make room. 8,192. */
  maxQueued: 8192,
  /** Probes under way for others. 256. */
  maxRelays: 256,
}

/** Every number of the machine. */
export interface ProtocolSettings extends Readonly<typeof lan> {
  /** The Nitro fork's cluster name: undefined writes no field and takes any; else members whose name differs are refused. */
  readonly clusterName?: string | undefined
}

const wan: ProtocolSettings = {
  ...lan,
  streamTimeoutMs: 30_000,
  suspicionMult: 6,
  pushPullIntervalMs: 60_000,
  probeTimeoutMs: 3000,
  probeIntervalMs: 5000,
  gossipNodes: 4,
  gossipIntervalMs: 500,
  gossipToTheDeadMs: 60_000,
  deadKeptMs: 120_000,
  rejoinIntervalMs: 20_000,
  reconnectIntervalMs: 10_000,
}

const local: ProtocolSettings = {
  ...lan,
  streamTimeoutMs: 1000,
  indirectChecks: 1,
  retransmitMult: 2,
  suspicionMult: 3,
  pushPullIntervalMs: 15_000,
  probeTimeoutMs: 200,
  gossipIntervalMs: 100,
  gossipToTheDeadMs: 15_000,
  deadKeptMs: 30_000,
  rejoinIntervalMs: 5000,
  reconnectIntervalMs: 2000,
}

/**
 * Settings for networks as they are met: `lan` for one data centre, `wan` between them, `local` for one machine.
 * Frozen; override by spreading.
 */
export const PRESETS: Readonly<Record<Preset, ProtocolSettings>> = Object.freeze({
  lan: Object.freeze(lan),
  wan: Object.freeze(wan),
  local: Object.freeze(local),
})
