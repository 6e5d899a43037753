import { sleep, type Clock } from '../clock.ts'
import { isRingmanError } from '../errors.ts'
import type { ProcessLogger } from '../telemetry/logger.ts'
import type { ExitCode } from './exit-code.ts'

/** How long requests under way may take after the drain, in milliseconds; then their connections are cut. */
const CLOSE_GRACE_MS = 1000

/** How long the farewell to the other members may take, in milliseconds. */
const LEAVE_TIMEOUT_MS = 5000

/** How often a member that is not ready looks whether it is, in milliseconds. */
const READY_CHECK_MS = 50

/** What a life needs of a member; `RingProcess` in `compose.ts` is one. */
export interface LivingMember {
  readonly service: { readonly done: Promise<void>; leave(): Promise<void> }
  readonly readiness: { evaluate(): Promise<{ readonly ready: boolean }>; setDraining(): void }
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
  readonly clock: Clock
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
  const { logger, clock, stopRequest, drainMs } = options
  const over = new AbortController()
  try {
    const started = member.start()
    const first = await Promise.race([started, stopRequest])
    if (typeof first === 'string') {
      started.catch((error: unknown) => {
        logger.debug({ event: 'start.aborted', err: error }, 'Aborted the start')
      })
      logger.info(
        { event: 'shutdown.started', reason: first },
        'Started to shut down before the start was done',
      )
      await member.close(0)
      return 0
    }
    const announcing = announceWhenReady(member, clock, over.signal, () => {
      logger.info({ event: 'ready', ...first, ...options.readyFields }, 'Became ready')
    })
    const died = member.service.done.then(() => 'the end of the ring')
    const reason = await Promise.race([stopRequest, died, announcing.then(() => stopRequest)])
    over.abort()
    logger.info({ event: 'shutdown.started', reason, drainMs }, 'Started to shut down')
    await shutDown(member, options)
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

async function shutDown(member: LivingMember, options: MemberLifeOptions): Promise<void> {
  const { logger, clock, drainMs } = options
  const startedMs = clock.now()
  member.readiness.setDraining()
  const left = new AbortController()
  const leaving = member.service
    .leave()
    .then(() => {
      logger.info({ event: 'ring.left', tookMs: Math.round(clock.now() - startedMs) }, 'Left the ring')
    })
    .catch((error: unknown) => {
      logger.error({ event: 'leave.failed', err: error }, 'Failed to tell the others that this member leaves')
    })
    .finally(() => {
      left.abort()
    })
  const patience = sleep(clock, LEAVE_TIMEOUT_MS, left.signal).then(() => {
    if (!left.signal.aborted) logger.error({ event: 'leave.timed-out' }, 'Gave up telling the others')
  })
  await Promise.race([leaving, patience])
  // A ring that dies meanwhile has no more answers to wait for.
  await Promise.race([sleep(clock, drainMs), member.service.done])
  await member.close(CLOSE_GRACE_MS)
  await member.service.done
}

async function announceWhenReady(
  member: LivingMember,
  clock: Clock,
  signal: AbortSignal,
  announce: () => void,
): Promise<void> {
  while (!signal.aborted) {
    const { ready } = await member.readiness.evaluate()
    if (signal.aborted) return
    if (ready) {
      announce()
      return
    }
    await sleep(clock, READY_CHECK_MS, signal)
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
