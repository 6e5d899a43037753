import type { Clock } from '../../clock.ts'
import type { Logger } from '../../logger.ts'
import { formatHostPort } from '../../addresses.ts'
import { LimitedWarnings } from '../../limited-warnings.ts'
import { zeros } from '../../zeros.ts'
import type { GossipReport } from '../control.ts'
import type { Endpoint } from './protocol/endpoint.ts'
import { DROP_REASONS, type Drop, type DropReason } from './wire/drop.ts'

/** What became of a datagram or a stream that was not taken. */
export class DropReport {
  readonly #clock: Clock
  readonly #counts = zeros(DROP_REASONS)
  readonly #last = new Map<DropReason, { readonly from: Endpoint; readonly atMs: number }>()
  readonly #warnings: LimitedWarnings

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#warnings = new LimitedWarnings(clock, logger)
  }

  get counts(): Readonly<Record<DropReason, number>> {
    return this.#counts
  }

  get last(): GossipReport['lastDrops'] {
    const nowMs = this.#clock.now()
    return [...this.#last].map(([reason, { from, atMs }]) => ({
      reason,
      from: formatHostPort(from),
      agoMs: Math.round(nowMs - atMs),
    }))
  }

  /** Counts the drop, and logs it in words unless that was done a moment ago for the same reason. */
  add(drop: Drop, from: Endpoint, transport: 'udp' | 'tcp'): void {
    this.#counts[drop.reason]++
    this.#last.set(drop.reason, { from, atMs: this.#clock.now() })
    this.#warnings.warn(
      {
        event: 'gossip.dropped',
        reason: drop.reason,
        from: formatHostPort(from),
        transport,
        detail: drop.detail,
      },
      `Dropped gossip: ${DROP_REASONS[drop.reason]}`,
      drop.reason,
    )
  }
}
