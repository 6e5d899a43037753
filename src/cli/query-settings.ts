import { CLIENT_SETTINGS } from '../config/client-settings.ts'
import type { SettingTable, ValuesOf } from '../config/setting.ts'
import { duration, integer, list, word } from '../config/value-type.ts'

/** What `ringman get` can be told. */
export const GET_SETTINGS = {
  count: {
    type: integer(1, 1000),
    default: 1,
    help: 'How many distinct owners to print',
    category: 'Look-up',
    short: '-n',
    places: ['flag'],
  },
  ...CLIENT_SETTINGS,
} as const satisfies SettingTable

/** The values of {@link GET_SETTINGS}. */
export type GetConfig = ValuesOf<typeof GET_SETTINGS>

const nodeList = list(word('NODE', 300), { max: 1000 })

/** What `ringman plan` can be told. */
export const PLAN_SETTINGS = {
  leave: {
    type: nodeList,
    default: '',
    help: 'Ring keys of nodes that would leave',
    category: 'Change',
    places: ['flag'],
  },
  join: {
    type: nodeList,
    default: '',
    help: 'Ring keys of nodes that would join, each with =WEIGHT if it is not 1',
    category: 'Change',
    places: ['flag'],
  },
  weight: {
    type: nodeList,
    default: '',
    help: 'Ring keys of nodes with the weights that they would have, RINGKEY=WEIGHT',
    category: 'Change',
    places: ['flag'],
  },
  ...CLIENT_SETTINGS,
} as const satisfies SettingTable

/** The values of {@link PLAN_SETTINGS}. */
export type PlanConfig = ValuesOf<typeof PLAN_SETTINGS>

/** What `ringman agree` can be told. */
export const AGREE_SETTINGS = {
  expect: {
    type: integer(1, 100_000),
    default: 1,
    help: 'How many members there must be at least',
    category: 'Comparison',
    places: ['flag'],
  },
  keys: {
    type: integer(1, 10_000),
    default: 1000,
    help: 'How many keys each member is asked for',
    category: 'Comparison',
    places: ['flag'],
  },
  waitMs: {
    type: duration(0, 3_600_000),
    default: '0s',
    help: 'How long to try again until they agree',
    category: 'Comparison',
    places: ['flag'],
  },
  timeoutMs: CLIENT_SETTINGS.timeoutMs,
} as const satisfies SettingTable

/** The values of {@link AGREE_SETTINGS}. */
export type AgreeConfig = ValuesOf<typeof AGREE_SETTINGS>
