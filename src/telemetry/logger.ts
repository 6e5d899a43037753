import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isatty } from 'node:tty'
import { pino, type Logger as PinoLogger } from 'pino'
import type * as PinoPretty from 'pino-pretty'
import { LineLogger, type LogFields, type Logger, type PortLevel } from '../logger.ts'
import { printable, printableJson, printableValue } from '../printable.ts'

/** Levels that can be asked for, the least severe first; `silent` logs nothing. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

export type LogLevel = (typeof LOG_LEVELS)[number]

/** How lines look: `json` for machines, `pretty` for people, `auto` as the place they go to suggests. */
export const LOG_FORMATS = ['auto', 'json', 'pretty'] as const

export type LogFormat = (typeof LOG_FORMATS)[number]

/** The logger of a process: the port, and one more level for the line that comes before its end. */
export interface ProcessLogger extends Logger {
  /** Why the process ends. */
  fatal(fields: LogFields, message: string): void
}

/** A logger whose level can be changed while it is used. */
export interface LeveledLogger extends ProcessLogger {
  /** The least severe lines that are logged. Setting it counts at once, for every child too. */
  level: LogLevel
}

export interface ProcessLoggerOptions {
  readonly level: LogLevel
  /** @default 'auto': pretty on a terminal, else JSON */
  readonly format?: LogFormat
  /** This member's name, which every line has as `member`. */
  readonly member?: string
  /** Where lines go instead of standard output, each with its line end. */
  readonly destination?: LineWriter
  /** Gives fields that depend on where a line is logged: the ids of the trace. Asked for each line that is written. */
  readonly context?: (() => LogFields) | undefined
}

/**
 * Logs to standard output, one line each, at once and in this thread: a worker would lose the last lines of a
 * process that ends. JSON lines have `level` as a word, `time` in ISO 8601 and `msg`; an error under `err` comes with
 * type, message, code, detail, stack and causes. What a terminal would act upon is escaped. A closed or full standard output loses lines and nothing else.
 */
export function createLogger(options: ProcessLoggerOptions): LeveledLogger {
  // `process.stdout` is not asked: to touch it makes a pipe non-blocking, and then lines can be lost.
  const terminal = options.destination === undefined && isatty(1)
  const destination = options.destination ?? new DescriptorWriter(1)
  const format = options.format ?? 'auto'
  const pretty = format === 'pretty' || (format === 'auto' && terminal)
  const { context } = options
  const render = pretty
    ? prettyLine({
        colorize: terminal && process.stdout.hasColors(),
        ignore: 'member',
        translateTime: 'SYS:HH:MM:ss.l',
      })
    : printableJson
  const root = pino(
    {
      level: options.level,
      // Pino adds the line's own fields to what the mixin gives.
      ...(context === undefined ? {} : { mixin: () => ({ ...context() }) }),
      base: options.member === undefined ? {} : { member: options.member },
      timestamp: () => `,"time":"${isoTime(new Date())}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => destination.write(render(line)) },
  )
  return new SharedLogger(root, undefined)
}

/** As `toISOString`, for which V8 asks for the time zone of this machine and loads the names of all zones, 0.9 MB. */
function isoTime(date: Date): string {
  const two = (amount: number) => String(amount).padStart(2, '0')
  const day = `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`
  return `${day}T${time}.${String(date.getUTCMilliseconds()).padStart(3, '0')}Z`
}

/** Writes through one pino logger, so that its level is that of all children: a child of pino's keeps its own. */
class SharedLogger extends LineLogger implements LeveledLogger {
  readonly #root: PinoLogger
  readonly #bound: LogFields | undefined

  constructor(root: PinoLogger, bound: LogFields | undefined) {
    super()
    this.#root = root
    this.#bound = bound
  }

  get level(): LogLevel {
    return this.#root.level as LogLevel
  }

  set level(level: LogLevel) {
    this.#root.level = level
  }

  fatal(fields: LogFields, message: string): void {
    this.write('fatal', fields, message)
  }

  override isLevelEnabled(level: PortLevel): boolean {
    return this.#root.isLevelEnabled(level)
  }

  override child(fields: LogFields): Logger {
    return new SharedLogger(this.#root, { ...this.#bound, ...fields })
  }

  protected override write(level: Exclude<LogLevel, 'silent'>, fields: LogFields, message: string): void {
    if (!this.#root.isLevelEnabled(level)) return
    this.#root[level](this.#bound === undefined ? fields : { ...this.#bound, ...fields }, message)
  }
}

/** Makes a line of the log one for people. Any other text is only made printable. */
export function prettyLine(options: PinoPretty.PrettyOptions): (line: string) => string {
  // Most members write JSON and never need it.
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as typeof PinoPretty
  const prettify = prettyFactory({ colorize: false, singleLine: true, ...options })
  return (line) => {
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      // Not of the logger, such as what Node.js says of an uncaught error.
      return printable(line)
    }
    const safe = printableValue(value)
    // A stack has a line for each call.
    const stack = (value as { readonly err?: { readonly stack?: unknown } } | null)?.err?.stack
    const lines = typeof stack === 'string' ? stack.split('\n').map(printable).join('\n') : undefined
    return prettify(
      lines === undefined
        ? safe
        : { ...(safe as object), err: { ...(safe as { err: object }).err, stack: lines } },
    )
  }
}

/** Where a logger writes its lines. */
export interface LineWriter {
  /** Takes one line with its end. */
  write(line: string): void
}

/**
 * Writes lines to a file descriptor at once. What cannot be written, because the reader went away, the disk is full
 * or a non-blocking pipe is, is dropped: losing log lines must not stop look-ups, nor make memory grow. A line is
 * written whole or not at all, except for the one during which the descriptor failed for good.
 */
export class DescriptorWriter implements LineWriter {
  readonly #descriptor: number
  /** What a pipe did not take of the last line. */
  #rest = Buffer.alloc(0)

  /** @param descriptor - Open for writing, such as 1 for standard output. */
  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  write(line: string): void {
    this.#rest = this.#flush(this.#rest)
    if (this.#rest.byteLength > 0) return
    const bytes = Buffer.from(line)
    const rest = this.#flush(bytes)
    if (rest.byteLength < bytes.byteLength) this.#rest = rest
  }

  /** Writes as much as the descriptor takes and gives back what it did not. */
  #flush(bytes: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
    let rest = bytes
    try {
      while (rest.byteLength > 0) rest = rest.subarray(writeSync(this.#descriptor, rest))
    } catch {
      // A log that cannot be written has nowhere to say so.
    }
    return rest
  }
}

/** The signal that asks for more lines. Node keeps SIGUSR1 for its debugger. */
export const LOG_LEVEL_SIGNAL = 'SIGUSR2'

/** What the switch goes through, before it is back at the start. */
const STEPS: readonly LogLevel[] = ['info', 'debug', 'trace']

/**
 * The level after this one: the next that says more, of info, debug and trace, and after trace the configured one.
 */
export function nextLogLevel(current: LogLevel, configured: LogLevel): LogLevel {
  // Levels are listed with the least severe first.
  return STEPS.find((step) => LOG_LEVELS.indexOf(step) < LOG_LEVELS.indexOf(current)) ?? configured
}

/** Goes one level on, and says so in a line that both levels let through, if either lets anything. */
export function switchLogLevel(logger: LeveledLogger, configured: LogLevel): void {
  const from = logger.level
  const to = nextLogLevel(from, configured)
  const say = () => logger.info({ event: 'log-level.changed', from, to }, 'Changed the log level')
  // The line is one for whichever of the two levels shows more.
  if (LOG_LEVELS.indexOf(from) < LOG_LEVELS.indexOf(to)) say()
  logger.level = to
  if (LOG_LEVELS.indexOf(from) >= LOG_LEVELS.indexOf(to)) say()
}
