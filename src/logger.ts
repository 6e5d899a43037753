/** Fields that the log of a process writes in each line by itself: `member` is this member's own name. */
const OWN_FIELDS = ['level', 'time', 'member', 'msg'] as const

/**
 * Structured fields of a log line. `err` takes an error; `event` names the kind of line for machines; `peer` is another
 * member's name. None is one of {@link OWN_FIELDS}, or the line would hold the key twice.
 */
export type LogFields = Readonly<Record<string, unknown>> & {
  readonly [name in (typeof OWN_FIELDS)[number]]?: never
}

/** Levels of the port, the least severe first. */
export type PortLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/**
 * What every part of ringman logs through. Messages begin with a capital letter, are in the past tense and
 * end without a full stop; whatever varies goes into the fields.
 */
export interface Logger {
  trace(fields: LogFields, message: string): void
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** A logger that adds `fields` to each line. */
  child(fields: LogFields): Logger
  /** Whether a line of this level would be written. @default always */
  isLevelEnabled?(level: PortLevel): boolean
}

/** A logger by what it does with a line of any level. */
export abstract class LineLogger implements Logger {
  trace(fields: LogFields, message: string): void {
    this.write('trace', fields, message)
  }

  debug(fields: LogFields, message: string): void {
    this.write('debug', fields, message)
  }

  info(fields: LogFields, message: string): void {
    this.write('info', fields, message)
  }

  warn(fields: LogFields, message: string): void {
    this.write('warn', fields, message)
  }

  error(fields: LogFields, message: string): void {
    this.write('error', fields, message)
  }

  abstract isLevelEnabled(level: PortLevel): boolean

  abstract child(fields: LogFields): Logger

  protected abstract write(level: PortLevel, fields: LogFields, message: string): void
}

const ignore = () => {}

/** Drops every line: the library's default. */
export const silentLogger: Logger = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: ignore,
  child: () => silentLogger,
}
