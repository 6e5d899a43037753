/** What is measured: the same nodes, keys and tasks for every contender. `go/ring_test.go` has the same. */

export const SIZES: readonly number[] = [3, 10, 100, 1000]

/** Look-ups: of the owner, of three owners, and of the owner through the manager. */
export type LookUp = 'owner' | 'owners3' | 'manager'

/** One node comes, or goes. */
export type Change = 'add' | 'remove'

export type Task = LookUp | Change | 'memory'

/** Enough for no cache to hold them all. */
export const KEY_COUNT = 2 ** 17

/** How many keys the checksum of owners is taken over. */
export const CHECKED_KEYS = 10_000

/** Distinct keys of 22 bytes, flat in memory as a parser of requests makes them. */
export function makeKeys(): string[] {
  return Array.from({ length: KEY_COUNT }, (_, i) =>
    Buffer.from(`user:${String(i * 7919).padStart(17, '0')}`).toString('latin1'),
  )
}

export function makeRingKey(i: number): string {
  return `10.0.${Math.floor(i / 250)}.${(i % 250) + 1}:8000`
}

export function makeRingKeys(size: number): string[] {
  return Array.from({ length: size }, (_, i) => makeRingKey(i))
}

/** What a contender's process prints, as one line of JSON. */
export interface Measurement {
  /** Nanoseconds per call. */
  readonly ns?: number
  /** Equal for contenders that give the checked keys to the same nodes; for the task `owner` only. */
  readonly checksum?: number
  /** All that stays in memory with a ring, nodes and all; for the task `memory` only. */
  readonly bytesPerPoint?: number
  /** What is kept for each point, where the contender tells. */
  readonly arrayBytesPerPoint?: number
}

export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
