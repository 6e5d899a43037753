import { LOG_LEVELS } from '../telemetry/logger.ts'
import { choice, duration, integer, path } from './value-type.ts'
import type { SettingTable, ValuesOf } from './setting.ts'

const IN_CLUSTER = { category: 'Local cluster', places: ['flag'] } as const

/** What `ringman dev` can be told, by flags alone: a member's environment and file do not concern it. */
export const DEV_SETTINGS = {
  nodes: {
    type: integer(1, 50),
    default: 3,
    help: 'Number of members to start, each in its own process',
    ...IN_CLUSTER,
  },
  source: {
    type: choice(['memberlist', 'swim']),
    default: 'memberlist',
    help: 'How the members find each other',
    ...IN_CLUSTER,
  },
  killOneAfterMs: {
    type: duration(0, 24 * 3_600_000),
    help: 'Kill a member after this time, and show when the others notice',
    ...IN_CLUSTER,
  },
  tokenFile: {
    type: path,
    help: "File with a token, so that the members take operators' actions",
    ...IN_CLUSTER,
  },
  logLevel: {
    type: choice(LOG_LEVELS, 'LEVEL'),
    default: 'warn',
    help: `Least severe level of the members' logs to show: ${LOG_LEVELS.join(', ')}`,
    ...IN_CLUSTER,
  },
} as const satisfies SettingTable

export type DevConfig = ValuesOf<typeof DEV_SETTINGS>
