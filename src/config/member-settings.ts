import { hostname } from 'node:os'
import { formatDuration } from '../duration.ts'
import { DEFAULT_FOLD_WINDOW_MS } from '../manager/hash-ring-manager.ts'
import { WEIGHT_LIMIT } from '../membership/member.ts'
import type { SourceKind } from '../membership/source.ts'
import { formatHostPort } from '../addresses.ts'
import { formatSeed, parseSeed, type Seed } from '../seeds/seed.ts'
import type { ListedPlace } from '../membership/member.ts'
import { parseStaticMember } from '../membership/static/static-source.ts'
import { GOSSIP_SETTINGS } from './gossip-settings.ts'
import { KUBERNETES_SETTINGS } from './kubernetes-settings.ts'
import { settingsWith, type SettingTable, type ValuesOf } from './setting.ts'
import { SIDECAR_SETTINGS } from './sidecar-settings.ts'
import {
  bindAddress,
  boolean,
  choice,
  duration,
  integer,
  list,
  listenPort,
  parsed,
  port,
  reachableAddress,
  word,
} from './value-type.ts'

/** The sources that can be chosen; `create-source.ts` has the part that belongs to each. */
export const SOURCE_NAMES = [
  'memberlist',
  'swim',
  'sidecar',
  'kubernetes',
  'static',
] as const satisfies readonly SourceKind[]

/** One of the sources that can be chosen. */
export type SourceName = (typeof SOURCE_NAMES)[number]

/** Sources whose members gossip with each other. */
const GOSSIP = ['memberlist', 'swim'] as const
const MEMBERSHIP = { category: 'Membership', sources: GOSSIP } as const

const seed = parsed<Seed>(
  'SEED',
  'HOST[:PORT], dns:NAME[:PORT], srv:NAME or pods:[PORT]',
  parseSeed,
  formatSeed,
)

const staticMember = parsed<ListedPlace>(
  'MEMBER',
  'HOST:PORT or HOST:PORT=WEIGHT',
  parseStaticMember,
  ({ weight = 1, ...place }) => `${formatHostPort(place)}${weight === 1 ? '' : `=${weight}`}`,
)

/** What makes a ring: the settings that the command and the library share, under the same names. */
export const MEMBER_SETTINGS = {
  source: {
    type: choice(SOURCE_NAMES),
    default: 'memberlist',
    help: 'Where members come from',
    category: 'Membership',
  },
  name: {
    type: word('NAME', 128),
    computedDefault: { compute: hostname, words: 'the host name' },
    help: "This member's name, unique in the cluster",
    category: 'Membership',
  },
  seeds: {
    type: list(seed, { max: 1000 }),
    default: '',
    help: 'Addresses to join through; names are resolved again at intervals',
    ...MEMBERSHIP,
  },
  staticMembers: {
    type: list(staticMember, { min: 1, max: 10_000 }),
    help: 'Fixed list of members; put an IPv6 host in brackets',
    category: 'Membership',
    sources: ['static'],
  },
  ringKey: {
    type: choice(['address', 'name']),
    default: 'address',
    help: 'What to hash for each node: IP:SERVICE-PORT, or its name, which stays when the address changes',
    category: 'Membership',
  },
  servicePort: {
    type: port,
    default: 8000,
    help: 'Port of the application, told to others; part of the ring key',
    ...MEMBERSHIP,
  },
  weight: {
    type: integer(1, WEIGHT_LIMIT),
    default: 1,
    help: "Weight of this member's share, relative to the others'",
    ...MEMBERSHIP,
  },
  zone: {
    type: word('ZONE', 128, 200),
    help: "This member's failure domain, told to the others",
    ...MEMBERSHIP,
  },
  foldWindowMs: {
    type: duration(0, 10_000),
    default: formatDuration(DEFAULT_FOLD_WINDOW_MS),
    help: 'How long to collect changes of members before making a new ring; a millisecond for each hundred nodes (100 at most) where that is longer',
    category: 'Membership',
  },
  ...settingsWith({ category: 'Gossip', sources: GOSSIP })({
    bind: { type: bindAddress, default: '0.0.0.0', help: 'Address of the gossip sockets' },
    gossipPort: { type: listenPort, default: 7946, help: 'Port of the gossip sockets' },
    advertise: { type: reachableAddress, help: 'Address to tell others (default: detected)' },
    advertisePort: { type: port, help: 'Gossip port to tell others (default: the bound port)' },
    preset: {
      type: choice(['lan', 'wan', 'local']),
      default: 'lan',
      help: 'Timing of the gossip, for this kind of network',
    },
  }),
  ...GOSSIP_SETTINGS,
  ...SIDECAR_SETTINGS,
  ...KUBERNETES_SETTINGS,
  minMembers: {
    type: integer(1, 100_000),
    default: 1,
    help: 'How many living members, itself included, a member must see before it is ready',
    category: 'Lifecycle',
  },
  minMembersTimeoutMs: {
    type: duration(0, 24 * 3_600_000),
    default: '1m',
    help: 'How long to wait for --min-members; then the member is ready with fewer',
    category: 'Lifecycle',
  },
  gatherDeathsMs: {
    type: duration(0, 60_000),
    default: '1s',
    help: 'While other members are suspected, how long to wait for more deaths before making a ring, so that a zone that fails makes few rings; 0 for not at all',
    ...MEMBERSHIP,
  },
  unsureAfterMs: {
    type: duration(0, 3_600_000),
    default: '0s',
    help: 'After a stall of this length (a stopped process, a paused machine) look-ups say for two seconds that they are unsure; 0 for never',
    category: 'Lifecycle',
  },
  maxSilenceMs: {
    type: duration(0, 3_600_000),
    default: '0s',
    help: 'Look-ups are unsure, and claims end, while no other member was heard for this long; 0 for never',
    category: 'Lifecycle',
  },
  drainMs: {
    type: duration(0, 3_600_000),
    default: '5s',
    help: 'How long to go on answering look-ups after leaving the ring',
    category: 'Lifecycle',
  },
  traceKeys: {
    type: boolean,
    default: false,
    help: 'Put a hash of the key into the spans of look-ups, where traces are on',
    category: 'Tracing',
  },
} as const satisfies SettingTable

export type MemberConfig = ValuesOf<typeof MEMBER_SETTINGS>

/** How long a hand-over may take: what the library and `ringman serve` share. */
export const HANDOVER_OPTIONS = {
  timeoutMs: {
    type: duration(0, 3_600_000),
    default: '20s',
    help: 'How long whoever gains keys may warm up before it owns them, and how long a member that leaves stays for that',
    category: 'Hand-over',
  },
} as const satisfies SettingTable
