import { hostname, userInfo } from 'node:os'
import { RING_NAME } from '../kubernetes-names.ts'
import { MAX_EVICTION_MS } from '../membership/member.ts'
import { settingsWith, type SettingTable, type ValuesOf } from './setting.ts'
import {
  adminUrl,
  boolean,
  choice,
  DEFAULT_ADMIN_PORT,
  duration,
  integer,
  list,
  matching,
  memberUrl,
  path,
  sentence,
  word,
} from './value-type.ts'

const CONNECTION = { category: 'Connection', places: ['flag', 'variable'] } as const
const CONNECTION_FLAG = { category: 'Connection', places: ['flag'] } as const

/** What every command that asks a running member can be told. */
export const CLIENT_SETTINGS = settingsWith(CONNECTION)({
  url: {
    type: list(memberUrl, { min: 1, max: 100 }),
    default: 'http://127.0.0.1:8080',
    help: 'Member to ask; of several, the first that answers',
  },
  ring: {
    type: matching('NAMESPACE/NAME', 'the NAMESPACE/NAME of a HashRing, such as shop/cache', RING_NAME),
    help: 'HashRing whose ring is asked for (default: the ring of the members themselves)',
  },
  timeoutMs: { type: duration(1, 3_600_000), default: '5s', help: 'How long to wait for an answer' },
})

const { ring, ...ofAnyRing } = CLIENT_SETTINGS

/** What `ringman rings` can be told. */
export const RINGS_SETTINGS = ofAnyRing

export type ClientConfig = ValuesOf<typeof CLIENT_SETTINGS>

/** What `ringman get` can be told. */
export const GET_SETTINGS = {
  count: {
    type: integer(1, 1000),
    default: 1,
    help: 'Number of distinct owners to print',
    category: 'Look-up',
    short: '-n',
    places: ['flag'],
  },
  ...CLIENT_SETTINGS,
} as const satisfies SettingTable

export type GetConfig = ValuesOf<typeof GET_SETTINGS>

/** What `ringman watch` can be told. */
export const WATCH_SETTINGS = {
  node: {
    type: word('NODE', 300),
    help: 'Print what this node, by ring key or name, owns, gains and loses',
    category: 'Look-up',
    places: ['flag'],
  },
  ...CLIENT_SETTINGS,
} as const satisfies SettingTable

export type WatchConfig = ValuesOf<typeof WATCH_SETTINGS>

const nodeList = list(word('NODE', 300), { max: 1000 })

/** What `ringman plan` can be told. */
export const PLAN_SETTINGS = {
  ...settingsWith({ category: 'Change', places: ['flag'] })({
    leave: { type: nodeList, default: '', help: 'Nodes that would leave, by ring key or name' },
    join: {
      type: nodeList,
      default: '',
      help: 'Ring keys of nodes that would join; add =WEIGHT where it is not 1',
    },
    weight: {
      type: nodeList,
      default: '',
      help: 'New weights, as NODE=WEIGHT, where NODE is a ring key or name',
    },
  }),
  ...CLIENT_SETTINGS,
} as const satisfies SettingTable

export type PlanConfig = ValuesOf<typeof PLAN_SETTINGS>

/** What `ringman agree` can be told. */
export const AGREE_SETTINGS = {
  ...settingsWith({ category: 'Comparison', places: ['flag'] })({
    expect: { type: integer(1, 100_000), default: 1, help: 'Fewest members that must be found' },
    keys: { type: integer(1, 10_000), default: 1000, help: 'Number of keys to compare' },
    waitMs: { type: duration(0, 3_600_000), default: '0s', help: 'Retry for this long until they agree' },
  }),
  ring,
  timeoutMs: CLIENT_SETTINGS.timeoutMs,
} as const satisfies SettingTable

export type AgreeConfig = ValuesOf<typeof AGREE_SETTINGS>

/** What the commands can be told that have members act. */
export const OPERATE_SETTINGS = {
  ...settingsWith({ category: 'Action', places: ['flag'] })({
    forMs: {
      type: duration(1000, MAX_EVICTION_MS),
      default: '10m',
      help: 'How long an evicted member is not taken back, from 1s to 168h',
    },
    reason: { type: sentence, help: "Why, for the member's log" },
    by: {
      type: sentence,
      computedDefault: { compute: () => `${userInfo().username}@${hostname()}`, words: 'user@host' },
      help: "Who, for the member's log",
    },
  }),
  url: {
    type: list(adminUrl, { min: 1, max: 1000 }),
    default: `http://127.0.0.1:${DEFAULT_ADMIN_PORT}`,
    help: 'Admin port of the member that is to act; of several, each acts',
    ...CONNECTION_FLAG,
  },
  tokenFile: { type: path, help: "File with the members' token", ...CONNECTION },
  timeoutMs: { ...CLIENT_SETTINGS.timeoutMs, default: '15s' },
} as const satisfies SettingTable

type OperateValues = ValuesOf<typeof OPERATE_SETTINGS>
/** `forMs` is of `ringman evict` alone. */
export type OperateConfig = Omit<OperateValues, 'forMs'> & Partial<OperateValues>

/** What `ringman doctor` can be told. */
export const DOCTOR_SETTINGS = {
  bundle: {
    type: path,
    help: 'File to write all that was found out to, for a bug report; no secrets are in it',
    category: 'Output',
    places: ['flag'],
  },
  url: {
    ...OPERATE_SETTINGS.url,
    help: 'Admin ports of some members; all others that they know are asked, too',
  },
  only: {
    type: boolean,
    default: false,
    help: 'Ask only those at --url, where the addresses that members have cannot be reached from here',
    ...CONNECTION_FLAG,
  },
  kube: {
    type: matching(
      'NAMESPACE/RELEASE',
      'the NAMESPACE/RELEASE of a release of the chart, such as rings/ringman',
      /^[a-z0-9][-a-z0-9]{0,62}\/[a-z0-9][-.a-z0-9]{0,62}$/,
    ),
    excludes: ['url', 'only'],
    help: 'Ask the pods of this release of the chart, through kubectl, in the place of --url',
    ...CONNECTION_FLAG,
  },
  timeoutMs: { ...CLIENT_SETTINGS.timeoutMs },
} as const satisfies SettingTable

export type DoctorConfig = ValuesOf<typeof DOCTOR_SETTINGS>

/** What `ringman keygen` can be told. */
export const KEYGEN_SETTINGS = {
  bytes: {
    type: choice(['16', '24', '32']),
    default: '32',
    help: 'Length of the key: AES-128, AES-192 or AES-256',
    category: 'Key',
    places: ['flag'],
  },
} as const satisfies SettingTable
