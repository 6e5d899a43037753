import { DEFAULT_SEED_SETTINGS, type SeedSettings } from '../../seeds/seed-resolver.ts'

/** Ready-made timings: one network (`lan`), between sites (`wan`), one machine (`local`). */
export type SwimPreset = 'lan' | 'wan' | 'local'

/** What is received may be this many times larger than what is sent: peers may be set otherwise. */
export const RECEIVE_FACTOR = 4

const LAN = {
  /** One member is probed each time; in a cluster of n each is probed by each once in n-1 times this. */
  probeIntervalMs: 200,
  /** How long a direct probe waits before others are asked to probe. */
  probeTimeoutMs: 300,
  /** How long the indirect probe waits, after the direct one, before the member is suspected. */
  indirectTimeoutMs: 600,
  /** How many others are asked to probe. */
  indirectProbes: 3,
  /** How long a suspect has to deny, in a cluster of up to 10; times log10(n) in one of n. */
  suspicionMs: 2500,
  /** A delay of this process's event loop beyond this makes it distrust what its timers conclude. */
  stallMs: 150,
  /** Between two exchanges of the whole member list with a member chosen by chance. */
  syncIntervalMs: 10_000,
  /** An update travels along in about this times log10(n+1) datagrams of each member. */
  gossipFactor: 15,
  /** Largest datagram sent, in bytes; what is received may have {@link RECEIVE_FACTOR} times as many. */
  datagramBytes: 1400,
  /** How often the news of a leave is sent to each member. */
  leaveRepeats: 4,
  /** Between two of these. */
  leaveIntervalMs: 100,
  /** How long members that are dead or left stay listed. */
  goneRetentionMs: 300_000,
  /** Members, this one not counted, beyond which no more are taken in. */
  maxMembers: 4096,
  /** Members that are dead or left beyond which the oldest are forgotten early. */
  maxGone: 1024,
  /** Addresses of seeds contacted in one round. */
  seedContacts: 4,
  seeds: DEFAULT_SEED_SETTINGS,
}

/** Everything about the `swim` source that can be set. All times in milliseconds. */
export type SwimSettings = Readonly<typeof LAN>

export const SWIM_PRESETS: Readonly<Record<SwimPreset, SwimSettings>> = {
  lan: LAN,
  wan: {
    ...LAN,
    probeIntervalMs: 1000,
    probeTimeoutMs: 1500,
    indirectTimeoutMs: 3000,
    suspicionMs: 12_000,
    stallMs: 500,
    syncIntervalMs: 30_000,
    leaveIntervalMs: 200,
    seeds: { ...DEFAULT_SEED_SETTINGS, aloneMinMs: 1000, aloneMaxMs: 10_000, settledMs: 30_000 },
  },
  local: {
    ...LAN,
    probeIntervalMs: 100,
    probeTimeoutMs: 200,
    indirectTimeoutMs: 400,
    suspicionMs: 1000,
    stallMs: 100,
    syncIntervalMs: 2000,
    leaveIntervalMs: 50,
    goneRetentionMs: 60_000,
    seeds: { ...DEFAULT_SEED_SETTINGS, aloneMinMs: 100, aloneMaxMs: 1000, settledMs: 2000 },
  },
}

/** Overrides of single settings; those of the seeds one by one too. */
export type SwimOverrides = Partial<Omit<SwimSettings, 'seeds'>> & { readonly seeds?: Partial<SeedSettings> }

export function swimSettings(preset: SwimPreset, overrides: SwimOverrides = {}): SwimSettings {
  const base = SWIM_PRESETS[preset]
  return { ...base, ...overrides, seeds: { ...base.seeds, ...overrides.seeds } }
}
