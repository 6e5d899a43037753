import { isRingmanError } from '../errors.ts'
import type { ProcessLogger } from '../telemetry/logger.ts'
import type { ExitCode } from './exit-code.ts'

/** How long requests under way may take after the drain, in milliseconds; then their connections are cut. */
const CLOSE_GRACE_MS = 1000

/** What a life needs of a member; `RingProcess` is one. */
export interface LivingMember {
  readonly service: { readonly done: Promise<void>; leave(drainMs: number): Promise<void> }
  readonly readiness: { settled(signal: AbortSignal): Promise<unknown> }
  /** Resolves with what the `ready` line is to say. */
  start(): Promise<object>
  close(graceMs: number): Promise<void>
}

export interface MemberLifeOptions {
  /** Resolves with the name of what asked the process to stop. */
  readonly stopRequest: Promise<string>
  /** How long look-ups are still answered after that. */
  readonly drainMs: number
  readonly logger: ProcessLogger
  /** Further fields of the `ready` line. */
  readonly readyFields: Readonly<Record<string, unknown>>
}

/**
 * A member's life, from its start to its end: it starts, says when it is ready, and waits until it is asked to stop. Then
 * it becomes not ready, leaves the ring and tells the others, goes on answering for the drain time, and closes.
 *
 * @returns 0 when it stopped as asked; 1, with the reason in a `fatal` line, when it could not start or something in it
 *   died; 2 when a setting turned out to be wrong. It never rejects.
 */
export async function liveUntilStopped(member: LivingMember, options: MemberLifeOptions): Promise<ExitCode> {
  const { logger, stopRequest, drainMs } = options
  const over = new AbortController()
  try {
    const started = member.start()
    const first = await Promise.race([started, stopRequest])
    if (typeof first === 'string') {
      started.catch((error: unknown) => {
        logger.debug({ event: 'start.aborted', err: error }, 'Aborted the start')
      })
      const fields = { event: 'shutdown.started', reason: first }
      logger.info(fields, 'Started to shut down before the start was done')
      // It may be on the ring already.
      await member.service.leave(0)
      await member.close(0)
      return 0
    }
    const settled = member.readiness.settled(over.signal).then(
      () => {
        if (!over.signal.aborted)
          logger.info({ event: 'ready', ...first, ...options.readyFields }, 'Became ready')
        return stopRequest
      },
      (error: unknown) => {
        // An operator evicted it before it was ready: it answers until it is stopped, as any member that is evicted.
        if (isRingmanError(error) && error.code === 'MANAGER_NOT_RUNNING') return stopRequest
        throw error
      },
    )
    const died = member.service.done.then(() => 'the end of the ring')
    const reason = await Promise.race([stopRequest, died, settled])
    over.abort()
    logger.info({ event: 'shutdown.started', reason, drainMs }, 'Started to shut down')
    await member.service.leave(drainMs)
    await member.close(CLOSE_GRACE_MS)
    await member.service.done
    logger.info({ event: 'shutdown.finished' }, 'Shut down')
    return 0
  } catch (error) {
    over.abort()
    logFailure(error, logger)
    await member.close(0).catch((closeError: unknown) => {
      logger.error({ event: 'shutdown.failed', err: closeError }, 'Failed to close')
    })
    // Some settings are only found wrong where they are used, such as an address that this machine does not have.
    return isRingmanError(error) && error.code === 'CONFIG_INVALID' ? 2 : 1
  }
}

/** What is expected to go wrong needs no stack. */
function logFailure(error: unknown, logger: ProcessLogger): void {
  if (isRingmanError(error) && error.code !== 'INTERNAL') {
    const { code, message, detail } = error
    logger.fatal({ event: 'process.failed', code, reason: message, detail }, 'Ended because of a failure')
  } else {
    logger.fatal({ event: 'process.failed', err: error }, 'Ended because of a failure')
  }
}
