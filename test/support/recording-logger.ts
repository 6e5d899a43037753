import { LineLogger, type LogFields, type Logger, type PortLevel } from '../../src/logger.ts'
import { createLogger } from '../../src/telemetry/logger.ts'
import { repeatedKeys } from './repeated-keys.ts'

export interface LogLine {
  readonly level: PortLevel
  readonly fields: LogFields
  readonly message: string
}

/** A member's real logger, which refuses a line that strict readers of JSON would refuse. */
const real = createLogger({
  level: 'trace',
  format: 'json',
  member: 'the member under test',
  destination: {
    write: (line) => {
      const repeated = repeatedKeys(line)
      if (repeated.length > 0) throw new Error(`the line has ${repeated.join(', ')} twice: ${line}`)
    },
  },
})

/**
 * A logger that keeps its lines, those of its children too, with the children's fields merged in. Each line also goes
 * through the logger of a process.
 *
 * @throws {Error} where a line would have a key twice.
 */
export class RecordingLogger extends LineLogger {
  readonly lines: LogLine[]
  readonly #bound: LogFields

  constructor(lines: LogLine[] = [], bound: LogFields = {}) {
    super()
    this.lines = lines
    this.#bound = bound
  }

  /** The lines whose `event` is this one. */
  of(event: string): LogLine[] {
    return this.lines.filter((line) => line.fields['event'] === event)
  }

  /** The `event` of each line of that level. */
  events(level: PortLevel): unknown[] {
    return this.lines.filter((line) => line.level === level).map(({ fields }) => fields['event'])
  }

  /** Fields of the lines that tell of faults. */
  get errors(): LogFields[] {
    return this.lines.filter(({ level }) => level === 'error').map(({ fields }) => fields)
  }

  override isLevelEnabled(): boolean {
    return true
  }

  override child(fields: LogFields): Logger {
    return new RecordingLogger(this.lines, { ...this.#bound, ...fields })
  }

  protected override write(level: PortLevel, own: LogFields, message: string): void {
    const fields = { ...this.#bound, ...own }
    this.lines.push({ level, fields, message })
    real[level](fields, message)
  }
}
