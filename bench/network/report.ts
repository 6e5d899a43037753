/** One value of a table: what was measured in each run; undefined is never. */
export type Samples = readonly (number | undefined)[]

/** A row: its samples by contender. */
export interface Row {
  readonly scenario: string
  readonly question: string
  readonly samples: ReadonlyMap<string, Samples>
  readonly format: (value: number | undefined) => string
}

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

/** A count; its median over runs may be a half. */
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
  const lines = rows.map((row) => [
    row.scenario,
    row.question,
    ...contenders.map((name) => cell(row, name)),
    ...compared.map((name) => ratio(row, name, baseline)),
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

function ratio(row: Row, contender: string, baseline: string): string {
  const own = row.samples.get(contender)
  const other = row.samples.get(baseline)
  if (own === undefined || other === undefined) return ''
  const [ownMedian, otherMedian] = [median(own), median(other)]
  if (ownMedian === undefined || otherMedian === undefined || otherMedian === 0) return ''
  return (ownMedian / otherMedian).toFixed(2)
}
