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
