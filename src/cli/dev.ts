import { RingmanClient } from '../client/ringman-client.ts'
import { holdingClock } from '../clock.ts'
import type { DevConfig } from '../config/dev-settings.ts'
import type { Environment } from '../config/environment.ts'
import { configError } from '../config/problem.ts'
import { flagOf } from '../config/setting.ts'
import { RingmanError } from '../errors.ts'
import { tokenOf } from '../http/acting-guard.ts'
import { LOG_LEVELS } from '../telemetry/logger.ts'
import { DevCluster } from './dev-cluster.ts'
import { createView } from './dev-view.ts'
import type { ExitCode } from './exit-code.ts'
import { listenForStop } from './stop-request.ts'
import type { CommandInput } from './terminal.ts'

/** How long members may take to stop before they are killed, in milliseconds. */
const STOP_PATIENCE_MS = 5000

type DevInput = CommandInput<DevConfig> & { readonly env: Environment }

/**
 * `ringman dev`: a local cluster until Ctrl-C. Its members are children that end with it, however it ends.
 *
 * @returns 0 after a signal; 1 when no member is left.
 * @throws {RingmanError} `CONFIG_INVALID`; `SOURCE_FAILED` when the cluster does not come up.
 */
export async function runDev({ config, env, terminal, json }: DevInput): Promise<ExitCode> {
  const { nodes, source, killOneAfterMs, tokenFile, logLevel } = config
  if (killOneAfterMs !== undefined && nodes < 2) {
    const name = flagOf('killOneAfterMs')
    const message = 'it needs at least 2 members (--nodes)'
    throw configError([{ key: 'killOneAfter', origin: { kind: 'flag', name }, message }])
  }
  // Each member would end by itself for want of it.
  if (tokenFile !== undefined) tokenOf(tokenFile)
  const clock = holdingClock
  const startedMs = clock.now()
  const tell = createView(terminal, json, logLevel, () => (clock.now() - startedMs) / 1000)
  // The lines about the ring are `info`: members log those even where they are not shown.
  const memberLevel = LOG_LEVELS.indexOf(logLevel) < LOG_LEVELS.indexOf('info') ? logLevel : 'info'
  const flags = ['--source', source, '--preset', 'local', '--log-level', memberLevel]
  if (tokenFile !== undefined) flags.push('--token-file', tokenFile)
  const cluster = new DevCluster({ size: nodes, flags, env, clock, tell })
  process.once('exit', () => cluster.killAll())
  // A second signal ends this process, which takes its members along.
  const stopRequest = listenForStop((_signal, code) => process.exit(code)).then((): typeof STOP => STOP)
  const nobodyLeft = Promise.all(cluster.members.map(({ ended }) => ended))
  tell('cluster.starting', { size: nodes, source })
  try {
    const digest = await Promise.race([cluster.start(), stopRequest])
    if (digest !== STOP) {
      tell('cluster.started', { digest, members: await membersOf(cluster) })
      const cancelKill =
        killOneAfterMs === undefined
          ? undefined
          : clock.after(killOneAfterMs, () => {
              // The first member is the others' seed: it stays.
              const member = cluster.alive.at(-1)
              if (member !== undefined) cluster.kill(member)
            })
      const reason = await Promise.race([stopRequest, nobodyLeft])
      cancelKill?.()
      if (reason !== STOP) {
        terminal.err('ringman: no member is left\n')
        return 1
      }
    }
  } catch (error) {
    await cluster.stop(STOP_PATIENCE_MS)
    if (!(error instanceof Error)) throw error
    const message = `the local cluster did not come up: ${error.message}`
    throw new RingmanError('SOURCE_FAILED', message, { cause: error })
  }
  tell('cluster.stopping', {})
  await cluster.stop(STOP_PATIENCE_MS)
  tell('cluster.stopped', {})
  return 0
}

async function membersOf({ members }: DevCluster) {
  const client = new RingmanClient({ urls: members.flatMap(({ addresses }) => addresses?.url ?? []) })
  const { nodes } = await client.ring()
  return members.map(({ name, ringKey, pid, addresses }) => {
    const { share = 0 } = nodes.find((node) => node.ringKey === ringKey) ?? {}
    return { name, ringKey, share, pid, ...addresses }
  })
}

const STOP = Symbol('stop')
