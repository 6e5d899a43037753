import { getSystemErrorMessage, styleText } from 'node:util'
import { messageOf } from '../errors.ts'
import { printable, printableJson } from '../printable.ts'

/** Where a command prints. */
export interface Terminal {
  /** Prints to standard output, as it is. */
  readonly out: (text: string) => void
  /** Prints to standard error, as it is. */
  readonly err: (text: string) => void
  /** Colours or otherwise marks text for standard output; as it is where that is no terminal. */
  style(format: 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan', text: string): string
  /** Width of standard output in columns; 80 where it is no terminal. */
  readonly columns: number
}

/**
 * The terminal of this process. When whoever reads standard output goes away (`| head`), the process ends, without
 * complaint and with exit code 0. Nothing is touched before it is used: a member logs past `process.stdout`, because
 * to open that makes a pipe non-blocking.
 */
export function processTerminal(): Terminal {
  let opened: NodeJS.WriteStream | undefined
  const stdout = () => {
    opened ??= process.stdout.on('error', onOutputError)
    return opened
  }
  return {
    out: (text) => void stdout().write(text),
    err: (text) => void process.stderr.write(text),
    style: (format, text) => styleText(format, text, { stream: stdout() }),
    get columns() {
      return stdout().columns ?? 80
    },
  }
}

function onOutputError(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`ringman: cannot write to standard output: ${whyUnwritten(error)}\n`)
  process.exit(1)
}

/** Why something could not be written, without the codes of the system. */
export function whyUnwritten(error: unknown): string {
  const { errno } = error as NodeJS.ErrnoException
  return errno === undefined ? messageOf(error) : getSystemErrorMessage(errno)
}

/**
 * A value as JSON for scripts, with a line end.
 *
 * @param indent - 2 where a person is likely to read it; 0 for one line.
 */
export function renderJson(value: unknown, indent: 0 | 2 = 2): string {
  return `${printableJson(JSON.stringify(value, undefined, indent))}\n`
}

/**
 * Rows as columns, each as wide as its widest cell, two spaces apart; no space at the ends of lines. Cells are made
 * printable.
 *
 * @param rightAligned - Indices of columns of numbers.
 */
export function renderTable(
  given: readonly (readonly string[])[],
  rightAligned: readonly number[] = [],
): string {
  const rows = given.map((row) => row.map(printable))
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  return rows
    .map((row) => {
      const cells = row.map((cell, column) => {
        const width = widths[column] ?? 0
        return rightAligned.includes(column) ? cell.padStart(width) : cell.padEnd(width)
      })
      return `${cells.join('  ').trimEnd()}\n`
    })
    .join('')
}

/** A share as a bar of at most `width` characters, drawn to an eighth of a character. */
export function renderBar(fraction: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, fraction)) * width * 8)
  const part = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8] ?? ''
  return '█'.repeat(Math.floor(eighths / 8)) + part
}

/** Longest bar, in characters. */
export const BAR_WIDTH = 40

/** What moves from whom to whom, each with a bar. */
export function renderMoves(
  moves: readonly { readonly from: string | null; readonly to: string | null; readonly share: number }[],
): string {
  const rows = moves.map(({ from, to, share }) => [
    renderShare(share),
    from ?? '-',
    to ?? '-',
    renderBar(share, BAR_WIDTH),
  ])
  return renderTable([['SHARE', 'FROM', 'TO', ''], ...rows], [0])
}

/** What a command gets. */
export interface CommandInput<Config> {
  readonly config: Config
  readonly terminal: Terminal
  readonly json: boolean
}

/** A fraction as a percentage with one decimal. */
export function renderShare(fraction: number): string {
  return `${(fraction * 100).toFixed(1)}%`
}
