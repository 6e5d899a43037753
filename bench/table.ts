import { appendFileSync } from 'node:fs'

/** Prints rows as a table, columns as wide as they need to be; the first row is the heading. */
export function printTable(title: string, rows: readonly (readonly (string | number)[])[]): void {
  const text = rows.map((row) => row.map(String))
  const widths = (text[0] ?? []).map((_, column) =>
    Math.max(...text.map((row) => (row[column] ?? '').length)),
  )
  console.log(`\n${title}\n`)
  for (const [i, row] of text.entries()) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    )
    console.log(`| ${cells.join(' | ')} |`)
    if (i === 0)
      console.log(
        `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`,
      )
  }
}

/** The value below which this part of the values lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

/** `median (min-max)` in seconds. */
export function spread(valuesMs: readonly number[]): string {
  if (valuesMs.length === 0) return '-'
  const seconds = (part: number) => (quantile(valuesMs, part) / 1000).toFixed(2)
  return `${seconds(0.5)} (${seconds(0)}-${seconds(1)})`
}

/** One measured figure, as `npm run bench` and docs/performance.md show it. */
export interface Figure {
  readonly figure: string
  /** What was measured of ringman, with its unit. */
  readonly ours: string
  /** What it is compared with, measured in the same run. */
  readonly peer?: string
  /** Ours to the peer's. */
  readonly ratio?: number
  readonly goal?: string
  /** Whether the goal was met; left out where there is none. */
  readonly met?: boolean
}

/** The exit code of a benchmark that missed a goal: one that broke ends with 1. */
export const GOAL_MISSED = 3

/**
 * Prints what a benchmark has found, and hands it to `npm run bench` where that has started it. A goal that was missed makes the
 * exit code {@link GOAL_MISSED}.
 */
export function report(title: string, figures: readonly Figure[]): void {
  printFigures(title, figures)
  const file = process.env['BENCH_FIGURES']
  for (const figure of figures) {
    if (file !== undefined) appendFileSync(file, `${JSON.stringify(figure)}\n`)
    if (figure.met === false) process.exitCode ??= GOAL_MISSED
  }
}

/** Prints figures, those of several benchmarks too. */
export function printFigures(title: string, figures: readonly Figure[]): void {
  printTable(title, [
    ['figure', 'ours', 'peer', 'ratio', 'goal', ''],
    ...figures.map(({ figure, ours, peer = '', ratio, goal = '', met }) => [
      figure,
      ours,
      peer,
      ratio?.toFixed(2) ?? '',
      goal,
      met === undefined ? '' : met ? 'met' : 'MISSED',
    ]),
  ])
}
