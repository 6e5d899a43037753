/** Structured fields of a log line. `err` takes an error; `event` names the kind of line for machines. */
export type LogFields = Readonly<Record<string, unknown>>

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
