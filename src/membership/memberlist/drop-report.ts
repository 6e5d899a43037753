import type { Clock } from '../../clock.ts'
import { assertNever } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import { formatAddress } from '../../seeds/seed.ts'
import type { Endpoint } from './protocol/endpoint.ts'
import { DROP_REASONS, type Drop, type DropReason } from './wire/drop.ts'

/** At most one line for each reason within this many milliseconds; what happened between is counted in the next. */
const LOG_EVERY_MS = 10_000

/** What became of a datagram or a stream that was not taken. */
export class DropReport {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #counts: Record<DropReason, number>
  readonly #lines = new Map<DropReason, { atMs: number; unreported: number }>()

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
    this.#counts = Object.fromEntries(Object.keys(DROP_REASONS).map((reason) => [reason, 0])) as Record<
      DropReason,
      number
    >
  }

  /** Drops so far, by reason. */
  get counts(): Readonly<Record<DropReason, number>> {
    return this.#counts
  }

  /** Counts the drop, and logs it in words unless that was done a moment ago for the same reason. */
  add(drop: Drop, from: Endpoint, transport: 'udp' | 'tcp'): void {
    this.#counts[drop.reason]++
    const nowMs = this.#clock.now()
    const line = this.#lines.get(drop.reason)
    if (line !== undefined && nowMs - line.atMs < LOG_EVERY_MS) {
      line.unreported++
      return
    }
    this.#lines.set(drop.reason, { atMs: nowMs, unreported: 0 })
    this.#logger.warn(
      {
        event: 'gossip.dropped',
        reason: drop.reason,
        from: formatAddress(from),
        transport,
        ...(line === undefined || line.unreported === 0 ? {} : { more: line.unreported }),
        detail: drop.detail,
      },
      `Dropped gossip: ${inWords(drop.reason)}`,
    )
  }
}

function inWords(reason: DropReason): string {
  switch (reason) {
    case 'label-differs':
      return 'label differs'
    case 'not-encrypted':
      return 'not encrypted, and this member requires it'
    case 'cannot-decrypt':
      return 'cannot decrypt, the sender has another key'
    case 'encrypted-unexpectedly':
      return 'encrypted, and this member has no keyring'
    case 'crc-mismatch':
      return 'wrong checksum'
    case 'malformed':
      return 'malformed'
    case 'nested-too-deep':
      return 'wrapped too often'
    case 'too-large':
      return 'too large'
    case 'unknown-type':
      return 'unknown message type'
    default:
      return assertNever(reason)
  }
}
