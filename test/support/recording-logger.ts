import type { LogFields, Logger } from '../../src/logger.ts'

export interface LogLine {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error'
  readonly fields: LogFields
  readonly message: string
}

/** A logger that keeps its lines, those of its children too, with the children's fields merged in. */
export class RecordingLogger implements Logger {
  readonly lines: LogLine[]
  readonly #bound: LogFields

  constructor(lines: LogLine[] = [], bound: LogFields = {}) {
    this.lines = lines
    this.#bound = bound
  }

  /** The lines whose `event` is this one. */
  of(event: string): LogLine[] {
    return this.lines.filter((line) => line.fields['event'] === event)
  }

  trace(fields: LogFields, message: string): void {
    this.#add('trace', fields, message)
  }

  debug(fields: LogFields, message: string): void {
    this.#add('debug', fields, message)
  }

  info(fields: LogFields, message: string): void {
    this.#add('info', fields, message)
  }

  warn(fields: LogFields, message: string): void {
    this.#add('warn', fields, message)
  }

  error(fields: LogFields, message: string): void {
    this.#add('error', fields, message)
  }

  child(fields: LogFields): Logger {
    return new RecordingLogger(this.lines, { ...this.#bound, ...fields })
  }

  #add(level: LogLine['level'], fields: LogFields, message: string): void {
    this.lines.push({ level, fields: { ...this.#bound, ...fields }, message })
  }
}
