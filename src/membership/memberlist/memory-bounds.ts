import { PRESETS } from './protocol/settings.ts'
import { DEFAULT_STREAM_SERVER_LIMITS } from './stream-server.ts'

const MIB = 1024 * 1024
/** The bounds are kept in full from here on: the limit of the chart, with which they were measured. */
const FULL_BYTES = 320 * MIB
/** What a process takes that knows nobody. */
const BASE_BYTES = 96 * MIB
const MIN_MEMBERS = 1000
const MIN_HELD_BYTES = 8 * MIB

/**
 * The bounds on what peers can make a member hold, smaller in proportion where its memory is limited to less than
 * {@link FULL_BYTES}.
 */
export function memoryBounds(limitBytes: number): {
  readonly maxMembers: number
  readonly maxHeldBytes: number
} {
  const share = Math.min(1, Math.max(0, (limitBytes - BASE_BYTES) / (FULL_BYTES - BASE_BYTES)))
  const part = (full: number, min: number) => Math.max(min, Math.floor(full * share))
  return {
    maxMembers: part(PRESETS.lan.maxMembers, MIN_MEMBERS),
    maxHeldBytes: part(DEFAULT_STREAM_SERVER_LIMITS.maxHeldBytes, MIN_HELD_BYTES),
  }
}
