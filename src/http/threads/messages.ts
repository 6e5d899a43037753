import type { LogFields, PortLevel } from '../../logger.ts'
import type { SurenessBounds } from '../../service/sureness.ts'
import type { LedgerCounts } from '../connection-ledger.ts'
import type { HttpLimits } from '../limits.ts'
import type { RelayTarget } from './relay.ts'
import type { RingCopy } from './thread-ring.ts'

/** What a thread starts with. */
export interface ThreadSetup {
  /** Its place among the threads; the main one has 0. */
  readonly place: number
  readonly host: string
  readonly port: number
  readonly limits: HttpLimits
  readonly relay: RelayTarget
  /** When the clock of the main thread was 0, by the clock that all threads share, in milliseconds. */
  readonly startedMs: number
  readonly sureness: { readonly bounds: SurenessBounds; readonly memory: SharedArrayBuffer }
  /** Memory of `CurrentCopy`, `OpenCounts` and `ThreadTally`. */
  readonly current: SharedArrayBuffer
  readonly open: SharedArrayBuffer
  readonly tally: { readonly bounds: readonly number[]; readonly memory: SharedArrayBuffer }
}

export type ToThread =
  | { readonly kind: 'copy'; readonly copy: RingCopy }
  /** To be answered by `here`. */
  | { readonly kind: 'ask' }
  /** File descriptors have run out, or are there again. */
  | { readonly kind: 'fewer' | 'more' }
  /** To take no more connections, and to end when the last one has. */
  | { readonly kind: 'close' }

export type FromThread =
  /** It waits for the ring. */
  | { readonly kind: 'loaded' }
  | { readonly kind: 'listening' }
  | { readonly kind: 'has'; readonly number: number }
  | { readonly kind: 'here'; readonly counts: Pick<LedgerCounts, 'closed' | 'heldBytes'> }
  | { readonly kind: 'log'; readonly level: PortLevel; readonly fields: LogFields; readonly message: string }

/** Milliseconds of a clock that all threads of a process share. */
export function sharedNowMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1000 + nanoseconds / 1e6
}
