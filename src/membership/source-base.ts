import { isRingmanError, messageOf, RingmanError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import { MemberSet } from './member-set.ts'
import type { Member } from './member.ts'

/** Where a source is in its life; it goes through the stages in this order, and may skip to the last. */
export type SourceStage = 'new' | 'starting' | 'running' | 'stopped'

/**
 * What all sources have in common: their set, the stages of their life and when it is over, as
 * {@link import('./source.ts').MembershipSource} promises it. A source says what it opens, begins and closes.
 */
export abstract class SourceBase {
  readonly #over = Promise.withResolvers<void>()
  readonly done = this.#over.promise
  protected readonly set: MemberSet
  readonly #abort = new AbortController()
  #stage: SourceStage = 'new'
  #stopping: Promise<void> | undefined

  /** @param logger - Told of what a listener throws. */
  constructor(logger: Logger) {
    // Whoever awaits `done` still sees the rejection; without a waiter it must not end the process.
    this.done.catch(() => {})
    this.set = new MemberSet(logger)
  }

  get members(): readonly Member[] {
    return this.set.current
  }

  get stage(): SourceStage {
    return this.#stage
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#stage !== 'new') {
      throw new RingmanError(
        'SOURCE_FAILED',
        `a source can be started only once, and this one is ${this.#stage}`,
      )
    }
    this.#stage = 'starting'
    const ending = AbortSignal.any([signal, this.#abort.signal])
    let failure: unknown
    try {
      // A turn later, so that `stop` and the signal can come before the first set of any source.
      await Promise.resolve()
      if (!ending.aborted) await this.open(ending)
    } catch (error) {
      failure = error
    }
    if (ending.aborted) {
      failure = new RingmanError('SOURCE_FAILED', 'the source was stopped before it had started', {
        cause: failure,
      })
    }
    if (failure !== undefined) {
      await this.stop()
      if (isRingmanError(failure)) throw failure
      const message = `the source could not start: ${messageOf(failure)}`
      throw new RingmanError('SOURCE_FAILED', message, { cause: failure })
    }
    this.#stage = 'running'
    this.begin()
  }

  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      this.#stage = 'stopped'
      this.set.close()
      this.#abort.abort()
      await this.close()
      this.#over.resolve()
    })()
    return this.#stopping
  }

  subscribe(listener: (members: readonly Member[]) => void): () => void {
    return this.set.subscribe(listener)
  }

  /** Says goodbye to the others: a source in which this process is no member has nothing to say. */
  leave(): Promise<void> {
    return Promise.resolve()
  }

  /** Aborts when the source is stopped: for loops. */
  protected get stopped(): AbortSignal {
    return this.#abort.signal
  }

  /** The source can go no further: `done` rejects. */
  protected readonly fail = (error: unknown): void => this.#over.reject(error)

  /**
   * Acquires all that the source needs; what it throws makes `start` fail.
   *
   * @param ending - Aborts when nobody wants the source any more; what was acquired then is still closed by `close`.
   */
  protected abstract open(ending: AbortSignal): Promise<void>

  /** Publishes the first set and begins what goes on; a listener may stop the source meanwhile. */
  protected abstract begin(): void

  /** Releases all that was acquired, however far the start came. Called once. */
  protected abstract close(): Promise<void>
}
