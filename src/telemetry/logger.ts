import { isatty } from 'node:tty'
import { pino, stdTimeFunctions } from 'pino'
import { prettyFactory } from 'pino-pretty'
import type { LogFields, Logger } from '../logger.ts'
import { DescriptorWriter, type LineWriter } from './descriptor-writer.ts'

/** Levels that can be asked for, the least severe first; `silent` logs nothing. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number]

/** How lines look: `json` for machines, `pretty` for people, `auto` as the place they go to suggests. */
export const LOG_FORMATS = ['auto', 'json', 'pretty'] as const

/** One of {@link LOG_FORMATS}. */
export type LogFormat = (typeof LOG_FORMATS)[number]

/** The logger of a process: the port, and one more level for the line that comes before its end. */
export interface ProcessLogger extends Logger {
  /** Why the process ends. */
  fatal(fields: LogFields, message: string): void
}

export interface ProcessLoggerOptions {
  readonly level: LogLevel
  /** @default 'auto': pretty on a terminal, else JSON */
  readonly format?: LogFormat
  /** Fields of every line. */
  readonly base?: LogFields
  /** Where lines go instead of standard output, each with its line end. */
  readonly destination?: LineWriter
}

/**
 * Logs to standard output, one line each, at once and in this thread: a worker would lose the last lines of a
 * process that ends. JSON lines have `level` as a word, `time` in ISO 8601 and `msg`; an error under `err` comes with
 * type, message, code, detail, stack and causes. A closed or full standard output loses lines and nothing else.
 */
export function createLogger(options: ProcessLoggerOptions): ProcessLogger {
  // `process.stdout` is not asked: to touch it makes a pipe non-blocking, and then lines can be lost.
  const terminal = options.destination === undefined && isatty(1)
  const destination = options.destination ?? new DescriptorWriter(1)
  const format = options.format ?? 'auto'
  const pretty = format === 'pretty' || (format === 'auto' && terminal)
  return pino(
    {
      level: options.level,
      base: options.base ?? {},
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pretty ? prettyWriter(destination, terminal && process.stdout.hasColors()) : destination,
  )
}

function prettyWriter(destination: LineWriter, colorize: boolean): LineWriter {
  const prettify = prettyFactory({
    colorize,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'member',
    singleLine: true,
  })
  return {
    write: (line) => {
      destination.write(prettify(line))
    },
  }
}
