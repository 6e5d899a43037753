import type { LogFields, Logger } from '../../../src/logger.ts'

export interface Line {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: LogFields
}

/** Keeps every line, those of its children too. */
export class RecordingLogger implements Logger {
  readonly lines: Line[]
  readonly #fields: LogFields

  constructor(lines: Line[] = [], fields: LogFields = {}) {
    this.lines = lines
    this.#fields = fields
  }

  /** The `event` of each line of that level. */
  events(level: Line['level']): unknown[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.fields['event'])
  }

  trace(fields: LogFields, message: string): void {
    this.#keep('trace', fields, message)
  }
  debug(fields: LogFields, message: string): void {
    this.#keep('debug', fields, message)
  }
  info(fields: LogFields, message: string): void {
    this.#keep('info', fields, message)
  }
  warn(fields: LogFields, message: string): void {
    this.#keep('warn', fields, message)
  }
  error(fields: LogFields, message: string): void {
    this.#keep('error', fields, message)
  }
  child(fields: LogFields): Logger {
    return new RecordingLogger(this.lines, { ...this.#fields, ...fields })
  }

  #keep(level: Line['level'], fields: LogFields, message: string): void {
    this.lines.push({ level, message, fields: { ...this.#fields, ...fields } })
  }
}
