import type { SettingTable, ValuesOf } from './setting.ts'
import { duration, httpUrl, list } from './value-type.ts'

/** What every command that asks a running member can be told. */
export const CLIENT_SETTINGS = {
  url: {
    type: list(httpUrl, { min: 1, max: 100 }),
    default: 'http://127.0.0.1:8080',
    help: 'Any member of the ring; of several the first that answers is asked',
    category: 'Connection',
    places: ['flag', 'variable'],
  },
  timeoutMs: {
    type: duration(1, 3_600_000),
    default: '5s',
    help: 'How long to wait for an answer',
    category: 'Connection',
    places: ['flag', 'variable'],
  },
} as const satisfies SettingTable

/** The values of {@link CLIENT_SETTINGS}. */
export type ClientConfig = ValuesOf<typeof CLIENT_SETTINGS>
