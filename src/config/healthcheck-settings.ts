import { SERVE_SETTINGS } from './serve-settings.ts'
import type { SettingTable, ValuesOf } from './setting.ts'
import { duration, port } from './value-type.ts'

/**
 * What `ringman healthcheck` can be told. Where the member listens has the names that it has for `serve`, so that the
 * variables and the file of a container do for both.
 */
export const HEALTHCHECK_SETTINGS = {
  httpHost: {
    ...SERVE_SETTINGS.httpHost,
    help: "The member's --http-host; 0.0.0.0 and :: are asked on loopback",
    category: 'Member',
  },
  adminPort: {
    ...SERVE_SETTINGS.adminPort,
    type: port,
    help: "The member's --admin-port",
    category: 'Member',
  },
  config: { ...SERVE_SETTINGS.config, help: "The member's configuration file", category: 'Member' },
  timeoutMs: {
    type: duration(1, 60_000),
    default: '3s',
    help: 'How long to wait for an answer',
    category: 'Member',
    places: ['flag'],
  },
} as const satisfies SettingTable

/** The values of {@link HEALTHCHECK_SETTINGS}. */
export type HealthcheckConfig = ValuesOf<typeof HEALTHCHECK_SETTINGS>
