import { setFlagsFromString } from 'node:v8'
import { holdingClock, systemClock, systemRandom } from '../clock.ts'
import type { Environment } from '../config/environment.ts'
import { checkFiles } from '../config/files.ts'
import { loadServeConfig, type GivenFlags } from '../config/load.ts'
import { SERVE_SETTINGS, type ServeConfig } from '../config/serve-settings.ts'
import { createLogger, type ProcessLogger, LOG_LEVEL_SIGNAL, switchLogLevel } from '../telemetry/logger.ts'
import type { Logger } from '../logger.ts'
import type { SdkTracing } from '../telemetry/tracing-sdk.ts'
import { readTracingRequest } from '../telemetry/tracing-settings.ts'
import { traceFields } from '../tracing.ts'
import type { ExitCode } from './exit-code.ts'
import { liveUntilStopped } from './member-life.ts'
import { listenForStop } from './stop-request.ts'
import { renderJson, type Terminal } from './terminal.ts'

/** How long a process whose work is done may linger before it is ended, in milliseconds. */
const LINGER_MS = 500

export interface ServeInput {
  readonly flags: GivenFlags
  readonly env: Environment
  readonly terminal: Terminal
  readonly version: string
  /** Settings without a default that this command needs. */
  readonly needs: readonly (keyof ServeConfig)[]
  readonly printConfig: boolean
  /** For `printConfig`. */
  readonly json: boolean
}

/**
 * `ringman serve`: one member, until a signal ends it or something in it dies.
 *
 * SIGUSR2 changes the log level. SIGTERM, SIGINT, SIGHUP and SIGQUIT ask for an orderly end, a second one ends it at
 * once. With an IPC channel (as `ringman dev` opens one) the end of the channel counts as SIGTERM, so that a member never
 * outlives the process that keeps it.
 */
export async function runServe(input: ServeInput): Promise<ExitCode> {
  const { flags, env, terminal } = input
  // What the settings are can be asked where the files are not.
  const loaded = loadServeConfig(flags, env, input.needs, input.printConfig ? undefined : checkFiles)
  if (input.printConfig) {
    const { describeConfig, renderConfig } = await import('../config/describe.ts')
    terminal.out(
      input.json ? renderJson(describeConfig(SERVE_SETTINGS, loaded)) : renderConfig(SERVE_SETTINGS, loaded),
    )
    return 0
  }
  const config = loaded.values
  const requested = readTracingRequest(env)
  const logger = createLogger({
    level: config.logLevel,
    format: config.logFormat,
    member: config.name,
    context: requested.url === undefined ? undefined : traceFields,
  })
  // Without a listener Node.js opens its debugger, which runs whatever code it is sent.
  process.on('SIGUSR1', () => logger.warn({ event: 'signal.ignored', signal: 'SIGUSR1' }, 'Ignored a signal'))
  const stopRequest = listenForStop((signal, code) => {
    logger.warn({ event: 'process.ended', signal }, 'Ended at once because of a second signal')
    process.exit(code)
  })
  logger.info(
    { event: 'process.started', version: input.version, node: process.version, source: config.source },
    'Started the process',
  )
  for (const warning of [...loaded.warnings, ...requested.warnings])
    logger.warn({ event: 'config.ignored' }, warning)
  endOnUncaught(logger)
  process.on(LOG_LEVEL_SIGNAL, () => switchLogLevel(logger, config.logLevel))
  const tracing = await startTracing(requested.url, logger, input.version, config.name)
  const { composeProcess } = await import('../compose/ring-process.ts')
  const basics = { clock: systemClock, random: systemRandom, logger }
  const member = composeProcess(config, { ...basics, tracer: tracing?.tracer })
  boundMemory()
  const code = await liveUntilStopped(member, {
    stopRequest,
    drainMs: config.drainMs,
    logger,
    readyFields: { version: input.version, source: config.source },
  })
  const flushed = (await tracing?.shutdown()) ?? true
  setTimeout(() => {
    // Spans that did not get away leave timers behind: that has been told, and is no fault of ours.
    if (flushed) {
      logger.warn({ event: 'process.lingered' }, 'Ended the process although something was still open')
    }
    process.exit(code)
  }, LINGER_MS).unref()
  return code
}

/** Starts to trace where there is an endpoint. Only then is OpenTelemetry's SDK loaded. */
async function startTracing(
  url: string | undefined,
  logger: Logger,
  version: string,
  instance: string,
): Promise<SdkTracing | undefined> {
  if (url === undefined) return undefined
  const sdk = await import('../telemetry/tracing-sdk.ts')
  const tracing = new sdk.SdkTracing(url, { logger, clock: holdingClock, version, instance })
  logger.info(
    { event: 'tracing.started', protocol: tracing.protocol, host: new URL(url).host },
    'Started to trace',
  )
  return tracing
}

/**
 * V8 keeps the memory in which it compiled busy functions until it next compiles some, 6 to 15 MB of a member under load. From here
 * on it is freed at once. V8 would also let a heap grow to several times its size before it collects the whole of it. A little of each
 * batch outlives new objects, 20 MB within 20 s: so the heap is collected when it has grown by 60 %.
 *
 * To be called when all is loaded: what Node.js brings along compiled is only used with the flags of the start.
 */
function boundMemory(): void {
  // Another version may not know the flags, and would say so.
  if (!process.versions.v8.startsWith('13.')) return
  setFlagsFromString('--no-maglev-destroy-on-background')
  setFlagsFromString('--heap-growing-percent=60')
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
