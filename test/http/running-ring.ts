import { systemClock, type Clock } from '../../src/clock.ts'
import { createApp, type AppDeps } from '../../src/http/app.ts'
import type { ConnectionLedger } from '../../src/http/connection-ledger.ts'
import { FastLookUps } from '../../src/http/fast-look-ups.ts'
import type { HttpLimits } from '../../src/http/limits.ts'
import type { PortConnections } from '../../src/http/port-connections.ts'
import { LookUpThreads } from '../../src/http/threads/look-up-threads.ts'
import { openServer, type OpenServer } from '../../src/http/server.ts'
import { silentLogger, type Logger } from '../../src/logger.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import type { Member } from '../../src/membership/member.ts'
import type { RingKeyMode } from '../../src/membership/placement.ts'
import type { SourceKind } from '../../src/membership/source.ts'
import { Operations } from '../../src/service/operations.ts'
import { RingService } from '../../src/service/ring-service.ts'
import { HTTP_METRICS } from '../../src/telemetry/table/http-table.ts'
import { freePort } from '../support/free-port.ts'
import { guardFor, httpParts } from '../support/http-parts.ts'
import { FakeSource, fakeMember } from '../support/fake-source.ts'

export interface RingOptions {
  readonly members?: readonly Member[]
  readonly kind?: SourceKind
  readonly selfName?: string
  readonly ringKeyMode?: RingKeyMode
  readonly clock?: Clock
  readonly maxSilenceMs?: number
}

/** The members of the recording: node1 to node3 at 127.0.0.1 to 127.0.0.3. */
export const THREE_MEMBERS: readonly Member[] = [1, 2, 3].map((i) => fakeMember(`node${i}`, `127.0.0.${i}`))

/** A ring on a fake source, not started. */
export function makeRing(options: RingOptions = {}): {
  readonly ring: RingService
  readonly source: FakeSource
} {
  const clock = options.clock ?? systemClock
  const source = new FakeSource(options.members ?? THREE_MEMBERS, {
    kind: options.kind ?? 'memberlist',
    ...(options.selfName === undefined ? {} : { selfName: options.selfName }),
  })
  const ring = new RingService({
    source,
    manager: new HashRingManager({ clock, foldWindowMs: 0 }),
    logger: silentLogger,
    clock,
    ringKeyMode: options.ringKeyMode ?? 'address',
    ...(options.maxSilenceMs === undefined ? {} : { maxSilenceMs: options.maxSilenceMs }),
  })
  return { ring, source }
}

/** What the admin port needs to let operators act; without a token they cannot. */
export function operationsOf(ring: RingService, token?: string) {
  const tell = () => Promise.reject(new Error('nobody else is there'))
  return {
    operations: new Operations(ring, tell, silentLogger),
    guard: guardFor(token === undefined ? {} : { token }),
    name: 'test',
    version: '1.2.3',
    settings: {},
  }
}

export interface ServedRing extends AsyncDisposable {
  readonly ring: RingService
  readonly source: FakeSource
  readonly server: OpenServer
  readonly limits: HttpLimits
  readonly ledger: ConnectionLedger
  readonly connections: PortConnections
  readonly threads: LookUpThreads | undefined
}

/** Where no test counts. */
const NO_METER = {
  forRoute: () => ({ finished: () => {}, answered: () => {}, answeredElsewhere: () => {} }),
}

/** A started ring behind the stand-alone application, on a free loopback port. */
export async function serveRing(
  options: RingOptions & {
    readonly limits?: Partial<HttpLimits>
    readonly logger?: Logger
    readonly app?: Partial<AppDeps>
    readonly start?: boolean
    /** Whether it has the fast path. @default where `app` has nothing around the routes that has to see each request */
    readonly fast?: boolean
    /** So many threads besides the main one take connections, and at 127.0.0.1 none but they. @default none */
    readonly threads?: number
  } = {},
): Promise<ServedRing> {
  const { ring, source } = makeRing(options)
  if (options.start !== false) await ring.start()
  const { clock, logger, limits: given } = options
  const { threads: threadCount = 0 } = options
  const parts = httpParts({ clock, logger, limits: given })
  const { limits, ledger, connections } = parts
  const app = createApp({ ring, ...parts, ...options.app })
  const place = threadCount > 0 ? { host: '127.0.0.2', sharesPort: true } : {}
  const server = await openServer(app, { ...parts, port: await freePort(), ...place })
  const seesAll = options.app?.extend !== undefined || options.app?.around !== undefined
  if (options.fast ?? !seesAll) {
    connections.fastLookUps = new FastLookUps({ ring, ...parts, ...options.app })
  }
  const threads =
    threadCount === 0
      ? undefined
      : new LookUpThreads({
          count: threadCount + 1,
          service: ring,
          ...parts,
          server: { ...server, address: '127.0.0.1' },
          meter: options.app?.meter ?? NO_METER,
          bounds: HTTP_METRICS.lookUpDuration.buckets,
        })
  await threads?.start()
  return {
    ring,
    source,
    server,
    limits,
    ledger,
    connections,
    threads,
    async [Symbol.asyncDispose]() {
      await Promise.all([server.close(0), threads?.close(0)])
      await ring.stop()
    },
  }
}
