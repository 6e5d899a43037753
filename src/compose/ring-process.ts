import type { Tracer } from '@opentelemetry/api'
import type Koa from 'koa'
import { holdingClock, type Clock } from '../clock.ts'
import { askDigest } from '../client/agreement.ts'
import { Members } from '../client/members.ts'
import { SERVE_SETTINGS, type ServeConfig } from '../config/serve-settings.ts'
import { encodeValues, flagOf } from '../config/setting.ts'
import { RingmanError } from '../errors.ts'
import { Forwarder } from '../forward/forwarder.ts'
import { tokenOf } from '../http/acting-guard.ts'
import { createAdminApp } from '../http/admin-app.ts'
import { createApp } from '../http/app.ts'
import { ConnectionLedger, type PortName } from '../http/connection-ledger.ts'
import { watchDescriptors, type ClientPort } from '../http/descriptor-watch.ts'
import type { LookUpThreads } from '../http/threads/look-up-threads.ts'
import type { PortConnections } from '../http/port-connections.ts'
import { FastLookUps } from '../http/fast-look-ups.ts'
import {
  ADMIN_HTTP_LIMITS,
  connectionsWithin,
  DEFAULT_HTTP_LIMITS,
  limitsWithin,
  type HttpLimits,
} from '../http/limits.ts'
import type { Readiness } from '../http/readiness.ts'
import { Responder } from '../http/respond.ts'
import { createRoutes } from '../http/routes.ts'
import { openServer, serve, type OpenServer, type ServerOptions } from '../http/server.ts'
import { createPage } from '../page/page.ts'
import { memoryLimitBytes } from '../memory-limit.ts'
import { formatHostPort } from '../addresses.ts'
import { EventLoopDelay } from '../telemetry/event-loop-delay.ts'
import { limitFloods } from '../telemetry/flood-limited-logger.ts'
import { countOpenFds, processCollector, readMaxFds } from '../telemetry/process-collector.ts'
import { RingMetrics } from '../telemetry/ring-metrics.ts'
import { HTTP_METRICS } from '../telemetry/table/http-table.ts'
import { tracingMiddleware } from '../telemetry/tracing-middleware.ts'
import { currentTraceId, noTracer, traceFields, traceHeaders } from '../tracing.ts'
import { readVersion } from '../telemetry/version.ts'
import { createParts } from './create-ring.ts'
import { createHashRings } from './hash-rings.ts'
import type { ListenAddress, Surroundings } from './create-source.ts'
import { Operations, type TellMember } from '../service/operations.ts'
import { FAREWELL_TIMEOUT_MS, type RingService } from '../service/ring-service.ts'

/** Where the parts of a process listen. */
export interface ProcessAddresses {
  readonly http: ListenAddress & { readonly url: string }
  readonly admin: ListenAddress & { readonly url: string }
  /** Where a proxy stands in front of a program; else absent. */
  readonly proxy?: ListenAddress & { readonly url: string }
  /** Absent for sources without gossip. */
  readonly gossip?: ListenAddress | undefined
}

/** The setting of each port. */
const PORT_SETTINGS = {
  lookup: 'httpPort',
  admin: 'adminPort',
  proxy: 'servicePort',
} as const satisfies Record<PortName, keyof ServeConfig>

/** One member as a process of its own: its ring, its two servers, its readiness. */
export interface RingProcess {
  readonly service: RingService
  readonly readiness: Readiness
  /**
   * Opens both servers, then starts the source. The servers come first, so that a port in use is found before keys
   * move to this member, and probes get an answer meanwhile. Look-ups wait until the ring holds the source's first set,
   * empty or not, for five seconds at most.
   *
   * @throws {RingmanError} `LISTEN_FAILED`, `SOURCE_FAILED`, `CONFIG_INVALID` (an address that this machine does not
   *   have); all is closed again then.
   */
  start(): Promise<ProcessAddresses>
  /** Closes the servers, then the ring. Requests under way get `graceMs` to end. Idempotent. */
  close(graceMs: number): Promise<void>
}

/**
 * Wires the parts of `ringman serve`; nothing is opened yet.
 *
 * @param surroundings - `tracer` makes spans of requests and of what the parts do.
 */
export function composeProcess(
  config: ServeConfig,
  surroundings: Omit<Surroundings, 'tracer'> & { readonly tracer?: Tracer | undefined },
): RingProcess {
  const { clock, tracer } = surroundings
  let httpPort: number | undefined
  let adminPort: number | undefined
  const logger = limitFloods(surroundings.logger, clock, traceFields)
  const around = {
    ...surroundings,
    logger,
    tracer: tracer ?? noTracer,
    httpPort: () => httpPort,
    adminPort: () => adminPort,
  }
  const { service, readiness, gossipAddress, extraRoutes, guard } = createParts(config, around)
  const hashRings = createHashRings(config, service, around)
  if (hashRings !== undefined) readiness.follow(hashRings.controller)
  const eventLoopDelay = new EventLoopDelay()
  const metrics = new RingMetrics({
    ring: service,
    clock,
    currentTraceId: tracer && currentTraceId,
    processCollectors: [
      async () => ({ ready: [{ value: (await readiness.evaluate()).ready ? 1 : 0 }] }),
      () => eventLoopDelay.collect(),
      processCollector(
        () => threads?.addTo(ledger.counts()) ?? ledger.counts(),
        () => threads,
      ),
    ],
    gatherRequests: () => threads?.count(),
    hashRings: hashRings && {
      rings: hashRings.controller,
      settled: (name) => hashRings.writer.settled(name),
      statusWrites: () => hashRings.writer.writes,
    },
  })
  const configured: HttpLimits = {
    ...DEFAULT_HTTP_LIMITS,
    maxKeyBytes: config.maxKeyBytes,
    // Each byte of a key may come as %XX.
    maxHeaderBytes: Math.max(DEFAULT_HTTP_LIMITS.maxHeaderBytes, 3 * config.maxKeyBytes + 16 * 1024),
    maxWatchers: config.maxWatchers,
    maxConnections: config.maxConnections,
    keepAliveTimeoutMs: config.httpKeepAliveMs,
  }
  const limits = limitsWithin(configured, memoryLimitBytes())
  const ledger = new ConnectionLedger({ clock, logger, limits })
  const lookUps = holdLookUps(clock)
  const shown = {
    ring: service,
    clock,
    logger,
    limits,
    askDigest,
    routeSettings: config,
    version: readVersion(),
    rings: hashRings?.controller,
  }
  const app = createApp({
    ...shown,
    responder: new Responder({ ledger, port: 'lookup', clock, logger }),
    meter: metrics.meter,
    extraRoutes,
    page: config.page ? createPage : undefined,
    extend: [
      // A source with routes of its own needs the port to be told of its members at all.
      ...(extraRoutes === undefined ? [lookUps.middleware] : []),
      ...(tracer === undefined
        ? []
        : [tracingMiddleware({ tracer, manager: service.manager, traceKeys: config.traceKeys })]),
    ],
  })
  const adminResponder = new Responder({ ledger, port: 'admin', clock, logger })
  const adminApp = createAdminApp({
    ring: service,
    readiness,
    metrics,
    operations: new Operations(service, tellMember(config.tokenFile, clock), logger),
    guard,
    clock,
    name: config.name,
    version: readVersion(),
    settings: encodeValues(SERVE_SETTINGS, config),
    responder: adminResponder,
    logger,
    limits,
    hasNamedRings: hashRings !== undefined,
    // The page acts on what it shows, so that both come from one port.
    others:
      guard.hasToken && config.page
        ? createRoutes({
            ...shown,
            limits: { ...limits, maxWatchers: Math.min(limits.maxWatchers, ADMIN_WATCHERS) },
            responder: adminResponder,
            page: (parts) => createPage(parts, { actions: true }),
          })
        : undefined,
  })
  // Spans are made by middleware, which the fast path passes by.
  const takesFastPath = config.httpFastPath && tracer === undefined
  const threadCount = takesFastPath ? config.httpThreads : 1
  if (threadCount < config.httpThreads) {
    logger.warn(
      { event: 'threads.ignored', configured: config.httpThreads },
      'Answers look-ups in one thread, because traces are on, which only that one makes',
    )
  }
  const servers: OpenServer[] = []
  let starting: Promise<ProcessAddresses> | undefined
  let closing: Promise<void> | undefined

  const clientPorts: ClientPort[] = []
  let endDescriptorWatch = () => {}
  let threads: LookUpThreads | undefined
  /** The look-up port, once it is open. */
  let lookUpPort:
    | { readonly server: OpenServer; readonly connections: PortConnections; readonly limits: HttpLimits }
    | undefined

  const listen = async (
    open: (options: ServerOptions) => Promise<OpenServer>,
    name: PortName,
    port: number,
    portLimits: HttpLimits,
  ) => {
    const connections = ledger.openPort(name, portLimits)
    if (name !== 'admin') clientPorts.push(connections)
    const server = await open({
      host: config.httpHost,
      port,
      portSetting: flagOf(PORT_SETTINGS[name]),
      limits: portLimits,
      sharesPort: name === 'lookup' && threadCount > 1,
      connections,
      logger,
    })
    servers.push(server)
    if (name === 'lookup') lookUpPort = { server, connections, limits: portLimits }
    if (closing !== undefined) {
      await server.close(0)
      throw new RingmanError('LISTEN_FAILED', 'the process was closed while it started')
    }
    return { host: server.address, port: server.port, url: server.url }
  }
  const openProxyOf = async ({ upstream, servicePort, keyHeader }: ServeConfig, maxConnections: number) => {
    if (upstream === undefined) return undefined
    const forwarder = new Forwarder(
      {
        key: keyHeader === undefined ? config.routeKey : [{ kind: 'header', name: keyHeader.toLowerCase() }],
        networks: config.forwardNetworks,
        timeoutMs: config.forwardTimeoutMs,
        whenBehind: config.forwardWhenBehind,
        waitMs: config.forwardWaitMs,
      },
      { ring: service, clock, logger, tracer: tracer ?? noTracer, limits },
    )
    // The program behind the proxy decides how long its bodies are, and how long they take.
    const unlimited = { maxBodyBytes: Infinity, requestTimeoutMs: 0, socketTimeoutMs: 0 }
    const proxyLimits = { ...limits, ...unlimited, maxConnections }
    return listen((options) => serve(forwarder.before(upstream), options), 'proxy', servicePort, proxyLimits)
  }
  const openFastPath = async () => {
    // The process may be closing already.
    if (lookUpPort === undefined || closing !== undefined) return
    const parts = { clock, meter: metrics.meter, limits: lookUpPort.limits }
    lookUpPort.connections.fastLookUps = new FastLookUps({ ring: service, ...parts })
    if (threadCount === 1) return
    const { LookUpThreads: Threads } = await import('../http/threads/look-up-threads.ts')
    const { buckets: bounds } = HTTP_METRICS.lookUpDuration
    // Waiting for a thread has to keep the process alive.
    threads = new Threads({
      count: threadCount,
      service,
      logger,
      bounds,
      ...lookUpPort,
      ...parts,
      clock: holdingClock,
    })
    clientPorts.push(threads)
    await threads.start()
  }
  const start = async () => {
    eventLoopDelay.start()
    if (closing === undefined) endDescriptorWatch = watchDescriptors(clock, logger, clientPorts)
    const admin = await listen(
      (options) => openServer(adminApp, options),
      'admin',
      config.adminPort,
      ADMIN_HTTP_LIMITS,
    )
    const [openFds, maxFds] = await Promise.all([countOpenFds(), readMaxFds()])
    // One that a thread relays takes two more.
    const descriptorsEach = threadCount > 1 ? 3 : 1
    const maxConnections = connectionsWithin(
      limits.maxConnections,
      { open: openFds, max: maxFds },
      descriptorsEach,
    )
    if (maxConnections < limits.maxConnections) {
      logger.warn(
        { event: 'connections.reduced', configured: limits.maxConnections, limit: maxConnections, maxFds },
        'Allowed fewer connections than configured, because there are too few file descriptors',
      )
    }
    const http = await listen((options) => openServer(app, options), 'lookup', config.httpPort, {
      ...limits,
      maxConnections,
    })
    const proxy = await openProxyOf(config, maxConnections)
    httpPort = http.port
    adminPort = admin.port
    await service.start()
    lookUps.release()
    if (takesFastPath) await openFastPath()
    hashRings?.start()
    const gossip = gossipAddress?.()
    return { http, admin, gossip, ...(proxy === undefined ? {} : { proxy }) }
  }
  const close = (graceMs: number) => {
    closing ??= (async () => {
      lookUps.release()
      const listening = [...servers, ...(threads === undefined ? [] : [threads])]
      await Promise.all(listening.map((one) => one.close(graceMs)))
      eventLoopDelay.stop()
      await hashRings?.stop()
      endDescriptorWatch()
      await service.stop()
      // A server that was about to open is closed by the start.
      await Promise.allSettled([starting])
    })()
    return closing
  }
  // One that cannot go on takes the process with it, as the own ring does.
  hashRings?.controller.done.catch(service.fail)
  return {
    service,
    readiness,
    close,
    async start() {
      starting ??= start()
      try {
        return await starting
      } catch (error) {
        await close(0)
        throw error
      }
    },
  }
}

/** How long another member may take to do what it is told, in milliseconds: one that is evicted says farewell first. */
const TELL_TIMEOUT_MS = FAREWELL_TIMEOUT_MS + 2000

/** Asks by HTTP, with the token that all members share. */
function tellMember(tokenFile: string | undefined, clock: Clock): TellMember {
  return async ({ address, metadata }, { action, name, forMs, reason, by, dryRun, relayed }) => {
    const url = `http://${formatHostPort({ address, port: metadata?.adminPort ?? 0 })}`
    const token = tokenFile === undefined ? '' : tokenOf(tokenFile)
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const members = new Members({ url, timeoutMs: TELL_TIMEOUT_MS, headers, clock }, { traceHeaders })
    await members.json(`${url}/v1/admin/${action}`, {
      body: JSON.stringify({ name, forMs, reason, by, dryRun, relayed }),
    })
  }
}

/** Pages of operators that are open at the admin port at once. */
const ADMIN_WATCHERS = 32

/** How long look-ups wait for the source's first set, in milliseconds. */
const HOLD_MS = 5000

/**
 * Lets look-ups wait until the ring holds the source's first set, for {@link HOLD_MS} at most: the port has to be found
 * free before keys move here, and nobody is to be told of an empty ring that is about to be filled.
 */
function holdLookUps(clock: Clock): { readonly middleware: Koa.Middleware; readonly release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  let held = true
  let cancel: (() => void) | undefined
  const release = () => {
    held = false
    cancel?.()
    resolve()
  }
  const middleware: Koa.Middleware = (_, next) => {
    if (!held) return next()
    cancel ??= clock.after(HOLD_MS, release)
    return promise.then(next)
  }
  return { middleware, release }
}
