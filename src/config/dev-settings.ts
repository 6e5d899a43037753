import { LOG_LEVELS } from '../telemetry/logger.ts'
import { choice, duration, integer, path } from './value-type.ts'
import { settingsWith, type ValuesOf } from './setting.ts'

/** What `ringman dev` can be told, by flags alone: a member's environment and file do not concern it. */
export const DEV_SETTINGS = settingsWith({ category: 'Local cluster', places: ['flag'] })({
  nodes: { type: integer(1, 50), default: 3, help: 'Number of members to start, each in its own process' },
  source: {
    type: choice(['memberlist', 'swim']),
    default: 'memberlist',
    help: 'How the members find each other',
  },
  killOneAfterMs: {
    type: duration(0, 24 * 3_600_000),
    help: 'Kill a member after this time, and show when the others notice',
  },
  tokenFile: { type: path, help: "File with a token, so that the members take operators' actions" },
  logLevel: {
    type: choice(LOG_LEVELS, 'LEVEL'),
    default: 'warn',
    help: `Least severe level of the members' logs to show: ${LOG_LEVELS.join(', ')}`,
  },
})

export type DevConfig = ValuesOf<typeof DEV_SETTINGS>
