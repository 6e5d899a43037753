import type { Clock } from '../clock.ts'
import { getOrMake } from '../get-or-make.ts'
import { LineLogger, type LogFields, type Logger, type PortLevel } from '../logger.ts'
import { TokenBucket, type TokenRate } from '../token-bucket.ts'

/** Budgets of each kind of line: those that are on by default, and those that somebody looks for. */
export const FLOOD_BUDGETS: { readonly regular: TokenRate; readonly detailed: TokenRate } = {
  regular: { burst: 100, perSecond: 1 },
  detailed: { burst: 1000, perSecond: 100 },
}

/** Kinds that are told apart; the names of events are few, and the rest goes together. */
const KINDS_LIMIT = 500

interface Held {
  readonly logger: Logger
  readonly level: PortLevel
  readonly fields: LogFields
  readonly message: string
}

interface Kind {
  readonly bucket: TokenBucket
  suppressed: number
  /** The last line that was held back: it is written when there is room, so that the end of a flood is not missed. */
  held: Held | undefined
}

/** Writes a line, or holds it back: what the children of one logger share. */
type FloodGate = (line: Held) => void

function floodGate(clock: Clock, context: () => LogFields): FloodGate {
  const kinds = new Map<string, Kind>()

  const kindOf = ({ level, fields }: Held): Kind => {
    const event = fields['event']
    // A line that somebody looks for must not take the room of one that everybody is to see.
    const budget = level === 'trace' || level === 'debug' ? 'detailed' : 'regular'
    const named = `${budget} ${typeof event === 'string' ? event : ''}`
    const name = kinds.has(named) || kinds.size < KINDS_LIMIT ? named : budget
    return getOrMake(kinds, name, () => {
      return { bucket: new TokenBucket(FLOOD_BUDGETS[budget]), suppressed: 0, held: undefined }
    })
  }
  const writeLater = (kind: Kind) => {
    clock.after(kind.bucket.waitMs(clock.now()), () => {
      const { held } = kind
      if (held === undefined) return
      // Clocks and rounding: a token that is not there yet is there soon.
      if (!kind.bucket.tryTake(clock.now())) {
        writeLater(kind)
        return
      }
      kind.held = undefined
      write(held, kind)
    })
  }
  return (line) => {
    const kind = kindOf(line)
    if (kind.held === undefined && kind.bucket.tryTake(clock.now())) {
      write(line, kind)
      return
    }
    if (kind.held === undefined) writeLater(kind)
    else kind.suppressed++
    kind.held = { ...line, fields: { ...context(), ...line.fields } }
  }
}

function write({ logger, level, fields, message }: Held, kind: Kind): void {
  const { suppressed } = kind
  kind.suppressed = 0
  logger[level](suppressed === 0 ? fields : { ...fields, suppressed }, message)
}

/**
 * A logger that no flood gets through, whoever causes it: of the lines of one `event` so many are written at once, and
 * then few in a second. What was held back is counted in the next line (`suppressed`), and the last of it is written as
 * soon as there is room, so that the end of a flood is not missed. It stands behind the limits that single parts have
 * for what peers can cause, and catches what they have not.
 *
 * @param context - Fields that depend on where a line is logged; a line that is held back keeps those of its moment.
 */
export function limitFloods(logger: Logger, clock: Clock, context: () => LogFields = () => ({})): Logger {
  return new FloodLimitedLogger(logger, floodGate(clock, context))
}

class FloodLimitedLogger extends LineLogger {
  readonly #inner: Logger
  readonly #gate: FloodGate

  constructor(inner: Logger, gate: FloodGate) {
    super()
    this.#inner = inner
    this.#gate = gate
  }

  override isLevelEnabled(level: PortLevel): boolean {
    return this.#inner.isLevelEnabled?.(level) ?? true
  }

  override child(fields: LogFields): Logger {
    return new FloodLimitedLogger(this.#inner.child(fields), this.#gate)
  }

  protected override write(level: PortLevel, fields: LogFields, message: string): void {
    if (this.isLevelEnabled(level)) this.#gate({ logger: this.#inner, level, fields, message })
  }
}
