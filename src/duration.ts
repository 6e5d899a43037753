/** Units of durations, in milliseconds. */
export const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/** Milliseconds as the shortest duration text that says exactly the same, such as `500ms`, `20s` or `2m`. */
export function formatDuration(ms: number): string {
  return ms === 0 ? '0s' : inLargestUnit(ms, UNITS_MS, 'ms')
}

/** The amount in the largest of the units, given in ascending order, that it is a multiple of. */
export function inLargestUnit(
  amount: number,
  units: Readonly<Record<string, number>>,
  smallest: string,
): string {
  const found = Object.entries(units).findLast(([, each]) => amount >= each && amount % each === 0)
  const [unit, each] = found ?? [smallest, 1]
  return `${amount / each}${unit}`
}
