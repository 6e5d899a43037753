import type { Clock } from '../clock.ts'
import type { RingmanError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { ApiErrorKind } from './api-error.ts'

/** An outage that goes on is told again this often. */
const REMIND_EVERY_MS = 300_000
/** What happens now and then in a healthy cluster, and mends itself with the next try. */
const ROUTINE: readonly (ApiErrorKind | undefined)[] = ['cut', 'expired', 'throttled', 'stalled']

/** Tells of failures at a readable rate: once an outage, again when its reason changes, and every few minutes. */
export class OutageLog {
  readonly #clock: Clock
  readonly #logger: Logger
  #toldKind: ApiErrorKind | undefined
  #toldAtMs = -Infinity

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** @param failures - Failures in a row, this one included. */
  add(error: RingmanError, kind: ApiErrorKind | undefined, failures: number): void {
    const fields = { event: 'kubernetes.failed', reason: kind, err: error, failures }
    const isNews = this.#toldKind !== kind || this.#clock.now() - this.#toldAtMs >= REMIND_EVERY_MS
    if ((failures === 1 && ROUTINE.includes(kind)) || !isNews) {
      this.#logger.debug(fields, 'Failed to follow the Kubernetes API')
      return
    }
    this.#toldKind = kind
    this.#toldAtMs = this.#clock.now()
    this.#logger.warn(fields, 'Failed to follow the Kubernetes API; it is tried again')
  }

  /** @param failures - Failures in a row before this success. */
  end(failures: number): void {
    if (this.#toldKind === undefined) return
    this.#toldKind = undefined
    this.#toldAtMs = -Infinity
    this.#logger.info({ event: 'kubernetes.reached', failures }, 'Followed the Kubernetes API again')
  }
}
