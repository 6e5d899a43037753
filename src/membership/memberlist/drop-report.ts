import type { Clock } from '../../clock.ts'
import { assertNever } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import { formatHostPort } from '../../seeds/seed.ts'
import { LimitedWarnings } from '../../limited-warnings.ts'
import type { Endpoint } from './protocol/endpoint.ts'
import { DROP_REASONS, type Drop, type DropReason } from './wire/drop.ts'

/** What became of a datagram or a stream that was not taken. */
export class DropReport {
  readonly #counts: Record<DropReason, number>
  readonly #warnings: LimitedWarnings

  constructor(clock: Clock, logger: Logger) {
    this.#warnings = new LimitedWarnings(clock, logger)
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
    this.#warnings.warn(
      {
        event: 'gossip.dropped',
        reason: drop.reason,
        from: formatHostPort(from),
        transport,
        detail: drop.detail,
      },
      `Dropped gossip: ${inWords(drop.reason)}`,
      drop.reason,
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
