import type { SettingTable } from '../config/setting.ts'
import { choice } from '../config/value-type.ts'

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
