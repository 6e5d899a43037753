import { hostname } from 'node:os'
import { holdingClock, systemClock, systemRandom } from '../clock.ts'
import { createSource, type Surroundings } from './create-source.ts'
import { askDigest } from '../client/agreement.ts'
import { checkMember, loadOptions } from '../config/load.ts'
import { FORWARD_OPTIONS, trustsAddresses } from '../config/forward-settings.ts'
import {
  HANDOVER_OPTIONS,
  MEMBER_SETTINGS,
  type MemberConfig,
  type SourceName,
} from '../config/member-settings.ts'
import { configInvalid } from '../errors.ts'
import { ActingGuard } from '../http/acting-guard.ts'
import { ConnectionLedger } from '../http/connection-ledger.ts'
import { Forwarder, type ForwarderDeps } from '../forward/forwarder.ts'
import { DEFAULT_HTTP_LIMITS, withDefaultLimits } from '../http/limits.ts'
import { Readiness } from '../http/readiness.ts'
import { Responder } from '../http/respond.ts'
import { createRoutes } from '../http/routes.ts'
import { limitFloods } from '../telemetry/flood-limited-logger.ts'
import { silentLogger } from '../logger.ts'
import { HashRingManager } from '../manager/hash-ring-manager.ts'
import { problemOfNode } from '../node-version.ts'
import type { CreateRingOptions, ForwardOptions, MemberlistRingOptions, Ring, RingHandover } from './ring.ts'
import { RingService } from '../service/ring-service.ts'
import { RingMetrics } from '../telemetry/ring-metrics.ts'
import { tracingMiddleware } from '../telemetry/tracing-middleware.ts'
import { currentTraceId, noTracer, registeredTracer } from '../tracing.ts'
import { readVersion } from '../telemetry/version.ts'

/** The parts that every ring has, as the configuration says. */
export function createParts(config: MemberConfig, surroundings: Surroundings) {
  const { clock: systemTime, logger } = surroundings
  const guard = new ActingGuard({
    tokenFile: config.tokenFile,
    allowedHosts: [hostname(), config.name, ...config.allowedHosts].map((name) => name.toLowerCase()),
    clock: systemTime,
    logger,
  })
  const part = createSource(config, { ...surroundings, guard })
  // Whoever awaits a change of the ring must not see the process end instead, even if nothing else is going on.
  const clock = holdingClock
  const manager = new HashRingManager({ clock, foldWindowMs: config.foldWindowMs, logger })
  const service = new RingService({
    source: part.source,
    manager,
    control: part.control,
    logger,
    clock,
    ringKeyMode: config.ringKey,
    ownName: part.ownName,
    unsureAfterMs: config.unsureAfterMs,
    maxSilenceMs: config.maxSilenceMs,
    gatherDeathsMs: config.gatherDeathsMs,
    handover: surroundings.handover && { ...surroundings.handover, random: surroundings.random },
    tracer: surroundings.tracer,
  })
  const { minMembers, minMembersTimeoutMs } = config
  const readiness = new Readiness({ ring: service, clock, minMembers, minMembersTimeoutMs })
  return { ...part, manager, service, readiness, guard }
}

/**
 * Makes a ring in this process and joins it. Several may live side by side.
 *
 * @returns Resolves when the ring runs and holds this member; it does not wait for others.
 * @throws {RingmanError} `CONFIG_INVALID` with all options that are wrong, or, where none is, with all that contradict each other, and where Node.js
 *   is too old; `SOURCE_FAILED`.
 */
export async function createRing(options: CreateRingOptions): Promise<Ring> {
  const problem = problemOfNode()
  if (problem !== undefined) throw configInvalid(problem)
  if (Object(options) !== options) throw configInvalid('createRing needs its options: {} for the defaults')
  const {
    logger: given = silentLogger,
    tracing: wantsTracing = true,
    handover,
    ...settings
  }: Omit<MemberlistRingOptions, 'source'> & CreateRingOptions = options
  const logger = given === silentLogger ? given : limitFloods(given, systemClock)
  const { values } = loadOptions(
    MEMBER_SETTINGS,
    settings,
    (resolved) => checkMember(resolved.values, resolved.origins),
    ['logger', 'tracing', 'handover'],
  )
  const handing = handover === undefined ? undefined : checkHandover(handover, values.source)
  const tracer = wantsTracing ? registeredTracer(readVersion()) : undefined
  const { source, manager, service, readiness, gossipAddress, extraRoutes } = createParts(values, {
    clock: systemClock,
    random: systemRandom,
    logger,
    tracer: tracer ?? noTracer,
    handover: handing,
  })
  const metrics = new RingMetrics({
    ring: service,
    clock: systemClock,
    currentTraceId: tracer && currentTraceId,
  })
  await service.start()
  const ring: Ring = {
    manager,
    source,
    done: service.done,
    get gossipAddress() {
      return gossipAddress?.()
    },
    owns: (key) => service.owns(key),
    metrics: ({ format = 'prometheus', labels } = {}) => metrics.write(format, labels),
    routes: (own = {}) => {
      const limits = withDefaultLimits(own.limits)
      const surroundings = { clock: systemClock, logger }
      const ledger = new ConnectionLedger({ ...surroundings, limits })
      return createRoutes({
        ring: service,
        ...surroundings,
        limits,
        responder: new Responder({ ...surroundings, ledger, port: 'lookup' }),
        meter: metrics.meter,
        version: readVersion(),
        askDigest,
        extraRoutes,
        around: tracer && tracingMiddleware({ tracer, manager, traceKeys: values.traceKeys }),
      })
    },
    owned: (node) => service.ownership.owned(node),
    onMoved: (listener, { node } = {}) => service.ownership.onMoved(listener, node),
    moving: () => manager.snapshot.ring.movedTo(service.ringAfterMoves),
    claim: (key) => service.ownership.claim(key),
    forward: (own = {}) =>
      makeForwarder(own, values, { ring: service, clock: holdingClock, logger, tracer: tracer ?? noTracer }),
    check: (key, digests) => service.ownership.check(key, digests),
    get unsure() {
      return service.unsure
    },
    settled: () => readiness.settled(),
    leave: () => service.leave(values.drainMs),
    shutdown: async () => {
      await service.leave()
      await service.stop()
    },
    [Symbol.asyncDispose]: () => ring.shutdown(),
  }
  return ring
}

/** @throws {RingmanError} `CONFIG_INVALID`. */
function checkHandover(given: RingHandover, source: SourceName) {
  if (source !== 'memberlist') {
    throw configInvalid(`handover is only for the source memberlist, and the source is ${source}`)
  }
  // Programs in JavaScript may give anything.
  const { warm, ...others } = Object(given) as RingHandover
  if (typeof warm !== 'function') {
    throw configInvalid('handover needs warm, a function that fetches what a member takes over')
  }
  const { timeoutMs } = loadOptions(HANDOVER_OPTIONS, others, undefined, ['warm']).values
  return { warm, timeoutMs }
}

function makeForwarder(
  given: ForwardOptions,
  member: MemberConfig,
  deps: Omit<ForwarderDeps, 'limits'>,
): Forwarder {
  const { key, ...others } = given
  const isFunction = typeof key === 'function'
  const { values } = loadOptions(
    FORWARD_OPTIONS,
    isFunction ? others : { ...given },
    ({ values: { networks }, origins }) =>
      networks === undefined && !trustsAddresses(member)
        ? [
            {
              key: 'networks',
              origin: origins.networks,
              message:
                'a ring without keys needs networks, such as ["10.0.0.0/8"]: whoever gossips could have the requests of users sent anywhere',
            },
          ]
        : [],
  )
  return new Forwarder(
    { ...values, key: isFunction ? key : values.key },
    { ...deps, limits: DEFAULT_HTTP_LIMITS },
  )
}
