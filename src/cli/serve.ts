import { sleep, systemClock, systemRandom } from '../clock.ts'
import type { RingProcess } from '../compose.ts'
import { describeConfig, renderConfig } from '../config/describe.ts'
import type { Environment } from '../config/environment.ts'
import { loadServeConfig, type GivenFlags } from '../config/load.ts'
import { SERVE_SETTINGS, type ServeConfig } from '../config/serve-settings.ts'
import { isRingmanError } from '../errors.ts'
import { createLogger, type ProcessLogger } from '../telemetry/logger.ts'
import type { ExitCode } from './exit-code.ts'
import { renderJson, type Terminal } from './terminal.ts'

/** How long requests under way may take after the drain, in milliseconds; then their connections are cut. */
const CLOSE_GRACE_MS = 1000

/** How long the farewell to the other members may take, in milliseconds. */
const LEAVE_TIMEOUT_MS = 5000

/** How often a member that is not ready looks whether it is, in milliseconds. */
const READY_CHECK_MS = 50

/** How long a process whose work is done may linger before it is ended, in milliseconds. */
const LINGER_MS = 500

export interface ServeInput {
  readonly flags: GivenFlags
  readonly env: Environment
  readonly terminal: Terminal
  readonly version: string
  readonly printConfig: boolean
  /** For `printConfig`. */
  readonly json: boolean
}

/**
 * `ringman serve`: one member, until a signal ends it or something in it dies.
 *
 * On SIGTERM or SIGINT it becomes not ready, leaves the ring and tells the others, goes on answering for the drain
 * time, and closes. A second signal ends it at once. With an IPC channel (as `ringman dev` opens one) the end of the
 * channel counts as SIGTERM, so that a member never outlives the process that keeps it.
 */
export async function runServe(input: ServeInput): Promise<ExitCode> {
  const { flags, env, terminal } = input
  const loaded = loadServeConfig(flags, env)
  if (input.printConfig) {
    terminal.out(
      input.json ? renderJson(describeConfig(SERVE_SETTINGS, loaded)) : renderConfig(SERVE_SETTINGS, loaded),
    )
    return 0
  }
  const config = loaded.values
  const logger = createLogger({
    level: config.logLevel,
    format: config.logFormat,
    base: { member: config.name },
  })
  for (const warning of loaded.warnings) logger.warn({ event: 'config.ignored' }, warning)
  endOnUncaught(logger)
  const stopRequest = listenForStop(logger)
  const { composeProcess } = await import('../compose.ts')
  const member = composeProcess(config, { clock: systemClock, random: systemRandom, logger })
  const code = await live(member, config, { logger, stopRequest, version: input.version })
  setTimeout(() => {
    logger.warn({ event: 'process.lingered' }, 'Ended the process although something was still open')
    process.exit(code)
  }, LINGER_MS).unref()
  return code
}

interface Life {
  readonly logger: ProcessLogger
  /** Resolves with the name of what asked the process to stop. */
  readonly stopRequest: Promise<string>
  readonly version: string
}

async function live(member: RingProcess, config: ServeConfig, life: Life): Promise<ExitCode> {
  const { logger, stopRequest, version } = life
  const over = new AbortController()
  try {
    const started = member.start()
    const first = await Promise.race([started, stopRequest])
    if (typeof first === 'string') {
      started.catch((error: unknown) => {
        logger.debug({ event: 'start.aborted', err: error }, 'Aborted the start')
      })
      await member.close(0)
      return 0
    }
    void announceWhenReady(member, over.signal, () => {
      logger.info({ event: 'ready', version, source: config.source, ...first }, 'Became ready')
    })
    const reason = await Promise.race([stopRequest, member.service.done.then(() => 'the end of the ring')])
    over.abort()
    logger.info({ event: 'shutdown.started', reason, drainMs: config.drainMs }, 'Started to shut down')
    await shutDown(member, config.drainMs, logger)
    logger.info({ event: 'shutdown.finished' }, 'Shut down')
    return 0
  } catch (error) {
    over.abort()
    logger.fatal({ event: 'process.failed', err: error }, 'Ended because of a failure')
    await member.close(0)
    // Some settings are only found wrong where they are used, such as an address that this machine does not have.
    return isRingmanError(error) && error.code === 'CONFIG_INVALID' ? 2 : 1
  }
}

/** Not ready, off the ring, still answering for a while, closed. */
async function shutDown(member: RingProcess, drainMs: number, logger: ProcessLogger): Promise<void> {
  const startedMs = systemClock.now()
  member.readiness.setDraining()
  const tooLong = new AbortController()
  await Promise.race([
    member.service.leave().catch((error: unknown) => {
      logger.error({ event: 'leave.failed', err: error }, 'Failed to tell the others that this member leaves')
    }),
    sleep(systemClock, LEAVE_TIMEOUT_MS, tooLong.signal).then(() => {
      if (!tooLong.signal.aborted) logger.error({ event: 'leave.timed-out' }, 'Gave up telling the others')
    }),
  ])
  tooLong.abort()
  logger.info({ event: 'ring.left', tookMs: Math.round(systemClock.now() - startedMs) }, 'Left the ring')
  // A ring that dies meanwhile has nothing more to answer.
  const dead = new AbortController()
  member.service.done.catch(() => {
    dead.abort()
  })
  await sleep(systemClock, drainMs, dead.signal)
  await member.close(CLOSE_GRACE_MS)
  await member.service.done
}

async function announceWhenReady(
  member: RingProcess,
  signal: AbortSignal,
  announce: () => void,
): Promise<void> {
  while (!signal.aborted) {
    if ((await member.readiness.evaluate()).ready) {
      announce()
      return
    }
    await sleep(systemClock, READY_CHECK_MS, signal)
  }
}

/** The first signal asks for an orderly end; the second one ends the process. */
function listenForStop(logger: ProcessLogger): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let asked = false
  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const) {
    process.on(signal, () => {
      if (asked) {
        logger.warn({ event: 'process.ended', signal }, 'Ended at once because of a second signal')
        process.exit(code)
      }
      asked = true
      resolve(signal)
    })
  }
  if (process.channel !== undefined) {
    process.channel.unref()
    process.once('disconnect', () => {
      asked = true
      resolve('the end of the parent process')
    })
  }
  return promise
}

/** A fault that nobody caught leaves the process in an unknown state: it says why and ends. */
function endOnUncaught(logger: ProcessLogger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ event: 'process.failed', err: error, origin: event }, 'Ended because of a fault')
      process.exit(1)
    })
  }
}
