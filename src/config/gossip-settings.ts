import { DEFAULT_VERSIONS, type ProtocolVersions } from '../membership/member.ts'
import type { ProtocolSettings } from '../membership/memberlist/protocol/settings.ts'
import { settingsWith, type Setting, type ValuesOf } from './setting.ts'
import {
  boolean,
  choice,
  duration,
  integer,
  NotAllowed,
  path,
  size,
  word,
  type ValueType,
} from './value-type.ts'

const MEMBERLIST = ['memberlist'] as const
const HOUR_MS = 3_600_000

/** Delegate protocol versions, as memberlist's applications have them, beside those of the protocol itself. */
const delegateVersions: ValueType<ProtocolVersions> = {
  read(given) {
    const [, dMin = 1, dMax = 0, dCur = 0] =
      /^(\d{1,3})-(\d{1,3}):(\d{1,3})$/.exec(String(given))?.map(Number) ?? []
    if (dMin <= dCur && dCur <= dMax && dMax <= 255) return { ...DEFAULT_VERSIONS, dMin, dMax, dCur }
    throw new NotAllowed([{ message: delegateVersions.allowed }])
  },
  placeholder: 'MIN-MAX:CURRENT',
  allowed: 'versions such as 2-5:5, each 0 to 255 and the current one within the others',
  encode: ({ dMin, dMax, dCur }) => `${dMin}-${dMax}:${dCur}`,
}

/** A path, and not a key that somebody took for the value: paths are shown in messages. */
const keyringPath: ValueType<string> = {
  ...path,
  read(given) {
    const text = path.read(given)
    if (/^[A-Za-z0-9+](?:[A-Za-z0-9+/]{21}==|[A-Za-z0-9+/]{31}|[A-Za-z0-9+/]{42}=)$/.test(text))
      throw new NotAllowed([{ message: 'a path, and this looks like a key', hidden: true }])
    return text
  },
}

/** Settings of the protocol that can be set one by one; what is not set is the preset's. */
const TIMING_SETTINGS = settingsWith({ category: 'Gossip timing', sources: MEMBERLIST })({
  probeIntervalMs: {
    type: duration(10, HOUR_MS),
    help: 'Interval between probes (default: lan 1s, wan 5s, local 1s)',
  },
  probeTimeoutMs: {
    type: duration(1, HOUR_MS),
    help: 'How long to wait for an answer before asking others to probe (default: lan 500ms, wan 3s, local 200ms)',
  },
  indirectChecks: {
    type: integer(0, 100),
    help: 'How many members to ask for an indirect probe (default: lan 3, wan 3, local 1)',
  },
  suspicionMult: {
    type: integer(1, 100),
    help: 'A suspect has this x max(1, log10(members)) x probe interval to refute (default: lan 4, wan 6, local 3)',
  },
  suspicionMaxTimeoutMult: {
    type: integer(1, 100),
    help: 'A suspicion that nobody confirms lasts this many times as long (default: 6)',
  },
  witnesses: {
    type: choice(['auto', 'always', 'off'] as const),
    help: 'Whether a silent member is dead once many have looked for it, in 2.5 probe intervals and not the whole suspicion: auto, where no Go member lives; always; off (default: auto)',
  },
  retransmitMult: {
    type: integer(1, 100),
    help: 'Each member sends an update this x ceil(log10(members + 1)) times (default: lan 4, wan 4, local 2)',
  },
  gossipNodes: {
    type: integer(1, 100),
    help: 'How many members to gossip to at each interval (default: lan 3, wan 4, local 3)',
  },
  gossipIntervalMs: {
    type: duration(5, HOUR_MS),
    help: 'Interval between rounds of gossip (default: lan 200ms, wan 500ms, local 100ms)',
  },
  gossipToTheDeadMs: {
    type: duration(0, HOUR_MS),
    help: 'How long to gossip to dead members, so that they can refute (default: lan 30s, wan 1m, local 15s)',
  },
  pushPullIntervalMs: {
    type: duration(0, 24 * HOUR_MS),
    help: 'Interval between push/pulls of the whole state, longer above 32 members; 0 for none (default: lan 30s, wan 1m, local 15s)',
  },
  streamTimeoutMs: {
    type: duration(10, HOUR_MS),
    help: 'How long a push/pull may take (default: lan 10s, wan 30s, local 1s)',
  },
  deadKeptMs: {
    type: duration(0, 24 * HOUR_MS),
    help: 'How long members stay listed after they died or left (default: lan 1m, wan 2m, local 30s)',
  },
  rejoinIntervalMs: {
    type: duration(0, HOUR_MS),
    help: 'Interval for contacting seeds that are not living members, which merges islands; 0 for none (default: lan 10s, wan 20s, local 5s)',
  },
  leaveTimeoutMs: {
    type: duration(0, HOUR_MS),
    help: 'How long to wait for others to acknowledge a leave (default: 5s)',
  },
}) satisfies { readonly [Name in keyof ProtocolSettings]?: Setting<ProtocolSettings[Name]> }

/** Who may gossip with whom, and how the bytes travel; see `docs/memberlist.md`. */
export const GOSSIP_SETTINGS = {
  ...settingsWith({ category: 'Who may gossip', sources: MEMBERLIST })({
    label: {
      type: word('LABEL', 255, 255),
      help: 'Ignore members with another label; keeps clusters apart that come to share addresses',
    },
    labelFile: {
      type: path,
      excludes: ['label'],
      help: 'File with a JSON array of labels, in place of a label: the first is sent, all are accepted; read again when it changes',
    },
    clusterName: {
      type: word('NAME', 128),
      help: 'Cluster name that Go ringman sends (its default is "default"); leave it out for stock memberlist',
    },
    keyringFile: {
      type: keyringPath,
      help: 'File of base64 keys: the first encrypts, all decrypt; read again when it changes',
    },
    requireEncryption: {
      type: boolean,
      default: true,
      needs: 'keyringFile',
      help: 'With keys: drop gossip that is not encrypted; false while you introduce encryption',
    },
    encryptOutgoing: {
      type: boolean,
      default: true,
      needs: 'keyringFile',
      help: 'With keys: encrypt what is sent; false while you introduce encryption',
    },
    delegateVersions: {
      type: delegateVersions,
      help: 'Delegate protocol versions to advertise; serf needs 2-5:5 (default: 0-0:0, as Go ringman)',
    },
  }),
  ...settingsWith({ category: 'Gossip', sources: MEMBERLIST })({
    tcpOnly: { type: boolean, default: false, help: 'Gossip over TCP only, for networks that drop UDP' },
    compression: {
      type: boolean,
      default: true,
      help: 'Compress gossip where that makes it smaller; every member reads both forms',
    },
    maxPacketBytes: {
      type: size(512, 65_000),
      default: '1400B',
      help: 'Largest datagram to send; lower it where tunnels leave less than the usual 1500 bytes',
    },
  }),
  ...TIMING_SETTINGS,
} as const

/** What programs can set of the timing. */
export type GossipTiming = Partial<Pick<ProtocolSettings, keyof typeof TIMING_SETTINGS>>

export type GossipConfig = ValuesOf<typeof GOSSIP_SETTINGS>

/** What was set of the protocol's settings. */
export function protocolSettingsOf(config: GossipConfig): Partial<ProtocolSettings> {
  const timing = Object.keys(TIMING_SETTINGS) as (keyof typeof TIMING_SETTINGS)[]
  const set: Partial<ProtocolSettings> = Object.fromEntries(
    timing.flatMap((name) => (config[name] === undefined ? [] : [[name, config[name]]])),
  )
  const { delegateVersions: versions } = config
  return versions === undefined ? set : { ...set, versions }
}
