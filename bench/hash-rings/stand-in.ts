import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { systemClock, systemRandom } from '../../src/clock.ts'
import { ApiClient } from '../../src/kubernetes/api-client.ts'
import { HttpsTransport } from '../../src/kubernetes/https-transport.ts'
import { InClusterAccess } from '../../src/kubernetes/in-cluster-access.ts'
import { silentLogger } from '../../src/logger.ts'
import { HashRingController } from '../../src/rings/hash-ring-controller.ts'
import { NO_RINGS } from '../../src/rings/ring-peers.ts'

/** How many rings there are, and Services without one. */
export interface Scale {
  readonly small: number
  readonly large: number
  readonly foreign: number
}

export const SURROUNDINGS = { clock: systemClock, random: systemRandom, logger: silentLogger }

/** No other pods of ringman. */
export const NO_PEERS = {
  ask: () => Promise.resolve(NO_RINGS),
  withNodes: () => Promise.resolve(NO_RINGS),
  fingerprints: () => Promise.resolve(new Map<string, ReadonlyMap<string, string>>()),
}

/** Outside of the memory limit of this process, where there is one. */
const LEAVE_LIMIT =
  'for f in /sys/fs/cgroup/memory/cgroup.procs /sys/fs/cgroup/cgroup.procs; do echo $$ > $f; done 2>/dev/null; exec "$@"'

/** Starts the stand-in API server in a process of its own, filled to scale. */
export async function startStandIn(scale: Scale) {
  const script = fileURLToPath(new URL('api-server.ts', import.meta.url))
  const server = spawn('sh', ['-c', LEAVE_LIMIT, 'sh', process.execPath, script], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let statuses = 0
  server.on('message', (message: { readonly statuses?: number }) => {
    statuses = message.statuses ?? statuses
  })
  server.send(scale)
  for (;;) {
    const [{ env, folder }] = (await once(server, 'message')) as [
      { readonly env?: Record<string, string>; readonly folder?: string },
    ]
    if (env === undefined || folder === undefined) continue
    const access = new InClusterAccess({ env, folder, now: () => systemClock.now() })
    return {
      client: new ApiClient(new HttpsTransport(access, 'bench'), systemClock),
      /** Has one endpoint of a Service get another address. */
      change(service: string, generation: number) {
        server.send({ change: service, generation })
      },
      /** How often a status was written. */
      statuses: () => statuses,
      stop() {
        server.kill()
      },
    }
  }
}

/** The rings of all HashRings of the stand-in, not started. */
export function ringsOf(client: ApiClient): HashRingController {
  return new HashRingController({
    ...SURROUNDINGS,
    client,
    peers: NO_PEERS,
    namespaces: [],
    mayPublish: false,
  })
}

/** Resolves when a ring has changed, with the moment. */
export function nextChange(controller: HashRingController, ring: string): Promise<number> {
  const { manager } = controller.get(`bench/${ring}`).service
  return new Promise((resolve) => {
    const end = manager.subscribe(() => {
      end()
      resolve(performance.now())
    })
  })
}
