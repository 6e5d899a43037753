import type { SettingTable } from './setting.ts'
import { duration } from './value-type.ts'

/** How long a hand-over may take: what the library and `ringman serve` share. */
export const HANDOVER_OPTIONS = {
  timeoutMs: {
    type: duration(0, 3_600_000),
    default: '20s',
    help: 'How long whoever gains keys may warm up before it owns them, and how long a member that leaves stays for that',
    category: 'Hand-over',
  },
} as const satisfies SettingTable
