/** One value of a table: what was measured in each run; undefined is never. */
export type Samples = readonly (number | undefined)[]

/** A row: its samples by contender. */
export interface Row {
  readonly scenario: string
  readonly question: string
  readonly samples: ReadonlyMap<string, Samples>
  readonly format: (value: number | undefined) => string
  /** What the median of `ours` is held to; each bound that is there. */
  readonly goal?: Goal | undefined
}

/** The most that a median may be, by itself and as a multiple of the baseline's. */
export interface Goal {
  readonly value?: number
  readonly ratio?: number
}

/** Who is held to the goals. */
const OWN = 'ours'

/** The middle of the samples, where never is the longest; the mean of the two middle ones where there is no middle. */
export function median(samples: Samples): number | undefined {
  const sorted = samples.map((sample) => sample ?? Infinity).sort((a, b) => a - b)
  const low = sorted[Math.floor((sorted.length - 1) / 2)]
  const high = sorted[Math.ceil((sorted.length - 1) / 2)]
  if (low === undefined || high === undefined) throw new Error('there are no samples')
  const middle = (low + high) / 2
  return middle === Infinity ? undefined : middle
}

/** Milliseconds as seconds. */
export function seconds(valueMs: number | undefined): string {
  return valueMs === undefined ? 'never' : `${(valueMs / 1000).toFixed(2)} s`
}

/** A count. */
export function count(value: number | undefined): string {
  return String(value)
}

/**
 * A Markdown table: the median of each contender with the least and the most, and beside each but the baseline how
 * its median compares to the baseline's.
 */
export function table(rows: readonly Row[], contenders: readonly string[], baseline: string): string {
  const compared = contenders.includes(baseline) ? contenders.filter((name) => name !== baseline) : []
  const head = ['scenario', 'measured', ...contenders, ...compared.map((name) => `${name} / ${baseline}`)]
  const withGoals = contenders.includes(OWN) && rows.some(({ goal }) => goal !== undefined)
  if (withGoals) head.push('goal')
  const lines = rows.map((row) => [
    row.scenario,
    row.question,
    ...contenders.map((name) => cell(row, name)),
    ...compared.map((name) => ratioOf(row, name, baseline)?.toFixed(2) ?? ''),
    ...(withGoals ? [verdict(row, baseline)] : []),
  ])
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function cell(row: Row, contender: string): string {
  const samples = row.samples.get(contender)
  if (samples === undefined || samples.length === 0) return ''
  const middle = row.format(median(samples))
  if (samples.length === 1) return middle
  const sorted = samples.toSorted((a, b) => (a ?? Infinity) - (b ?? Infinity))
  return `${middle} (${row.format(sorted[0])} to ${row.format(sorted.at(-1))})`
}

/** Whether the goal of a row is met, in words; empty without a goal. */
function verdict(row: Row, baseline: string): string {
  const { goal } = row
  const samples = row.samples.get(OWN)
  if (goal === undefined || samples === undefined || samples.length === 0) return ''
  const words: string[] = []
  if (goal.value !== undefined) {
    const met = (median(samples) ?? Infinity) <= goal.value
    words.push(`at most ${row.format(goal.value)}: ${met ? 'met' : 'MISSED'}`)
  }
  if (goal.ratio !== undefined && row.samples.has(baseline)) {
    const met = meetsRatio(row, samples, baseline, goal.ratio)
    words.push(`at most ${goal.ratio.toFixed(2)} of ${baseline}: ${met ? 'met' : 'MISSED'}`)
  }
  return words.join('; ')
}

function meetsRatio(row: Row, own: Samples, baseline: string, most: number): boolean {
  const other = row.samples.get(baseline)
  if (other === undefined || other.length === 0) return false
  const ownMedian = median(own) ?? Infinity
  const otherMedian = median(other)
  return ownMedian !== Infinity && (otherMedian === undefined || ownMedian <= otherMedian * most)
}

function ratioOf(row: Row, contender: string, baseline: string): number | undefined {
  const own = row.samples.get(contender)
  const other = row.samples.get(baseline)
  if (own === undefined || other === undefined) return undefined
  const [ownMedian, otherMedian] = [median(own), median(other)]
  if (ownMedian === undefined || otherMedian === undefined || otherMedian === 0) return undefined
  return ownMedian / otherMedian
}
