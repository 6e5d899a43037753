import type { Tracer } from '@opentelemetry/api'
import type { Basics } from '../basics.ts'
import { protocolSettingsOf } from '../config/gossip-settings.ts'
import type { MemberConfig, SourceName } from '../config/member-settings.ts'
import type { ActingGuard } from '../http/acting-guard.ts'
import type { ExtraRoutes } from '../http/routes.ts'
import { sidecarUpdate } from '../http/sidecar-update.ts'
import type { Logger } from '../logger.ts'
import type { ApiTransport } from '../kubernetes/api-transport.ts'
import { HttpsTransport } from '../kubernetes/https-transport.ts'
import { InClusterAccess } from '../kubernetes/in-cluster-access.ts'
import { KubeconfigAccess } from '../kubernetes/kubeconfig-access.ts'
import { PodWatch } from '../kubernetes/pod-watch.ts'
import type { MemberControl } from '../membership/control.ts'
import type { CheckedGossip } from '../membership/kubernetes/gossip-check.ts'
import { KubernetesSource } from '../membership/kubernetes/kubernetes-source.ts'
import { PodAwareSource } from '../membership/kubernetes/pod-aware-source.ts'
import { MemberlistSource } from '../membership/memberlist/memberlist-source.ts'
import { SidecarSource } from '../membership/sidecar/sidecar-source.ts'
import type { MembershipSource } from '../membership/source.ts'
import { StaticSource } from '../membership/static/static-source.ts'
import { SwimSource } from '../membership/swim/swim-source.ts'
import type { DnsResolver } from '../seeds/dns-resolver.ts'
import { nextHandoverNumber } from '../service/handover.ts'
import type { HandoverOptions } from '../service/ring-service.ts'
import { readVersion } from '../telemetry/version.ts'

/** What the parts of a ring are made with. */
export interface Surroundings extends Basics {
  readonly tracer: Tracer
  /** Resolves the names of seeds. @default by the DNS servers of this machine */
  readonly dns?: DnsResolver
  /** The port at which this process answers look-ups, once it does. @default it does not */
  readonly httpPort?: () => number | undefined
  /** Its admin port, once it has one. @default none */
  readonly adminPort?: () => number | undefined
  /** How keys are handed over to this process and by it. @default they are not */
  readonly handover?: Omit<HandoverOptions, 'random'> | undefined
}

/** What sources are made with. */
export interface SourceSurroundings extends Surroundings {
  readonly guard: ActingGuard
}

/** A source, and where it listens for other members once it has started. */
export interface SourcePart {
  readonly source: MembershipSource
  readonly gossipAddress?: () => ListenAddress | undefined
  /** Paths of the look-up port that belong to the source. */
  readonly extraRoutes?: ExtraRoutes
  /** What operators can have the source do; absent where that is nothing. */
  readonly control?: MemberControl
  /** The member that this process belongs to, where the source only watches others. */
  readonly ownName?: string
}

/** An address that this process listens on. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** Every source that can be chosen. A new one is one more entry here and its name in `SOURCE_NAMES`. */
const SOURCES: Readonly<
  Record<SourceName, (config: MemberConfig, surroundings: SourceSurroundings) => SourcePart>
> = {
  static: (config, { clock, logger }) => ({
    source: new StaticSource(config.staticMembers ?? [], clock, logger),
  }),
  memberlist: (config, surroundings) => {
    if (config.keyringFile === undefined) warnOfOpenGossip(config, surroundings.logger)
    const pods = podWatchOf(config, surroundings)
    const options = gossipOptionsOf(config, surroundings)
    const handover =
      surroundings.handover === undefined
        ? undefined
        : ({ phase: 'pending', number: nextHandoverNumber(surroundings.random) } as const)
    const source = new MemberlistSource({
      ...options,
      metadata: { ...options.metadata, handover },
      pods,
      settings: protocolSettingsOf(config),
    })
    return {
      source: besidePods(source, pods, config.kubernetesCheck ? source : undefined, surroundings),
      control: source,
      gossipAddress: () => source.gossipAddress,
    }
  },
  swim: (config, surroundings) => {
    warnOfOpenGossip(config, surroundings.logger)
    const pods = podWatchOf(config, surroundings)
    const source = new SwimSource({ ...gossipOptionsOf(config, surroundings), pods })
    return {
      source: besidePods(source, pods, undefined, surroundings),
      gossipAddress: () => source.gossipAddress,
    }
  },
  sidecar: (config, surroundings) => {
    const source = new SidecarSource(
      {
        serviceName: config.sidecarService ?? '',
        servicePort: config.sidecarServicePort ?? 0,
        watch: config.sidecarWatch,
        refetchIntervalMs: config.sidecarRefetchMs,
        holdDownMs: config.sidecarHoldDownMs,
        url: config.sidecarUrl,
      },
      surroundings,
    )
    const update = sidecarUpdate({ updates: source, guard: surroundings.guard })
    return { source, extraRoutes: (responder) => [update(responder)] }
  },
  kubernetes: (config, surroundings) => ({
    source: KubernetesSource.watching(
      {
        slices:
          config.kubernetesSelector === undefined
            ? { serviceName: config.kubernetesService ?? '' }
            : { labelSelector: config.kubernetesSelector },
        family: IP_FAMILIES[config.kubernetesIpFamily],
        holdRestartingMs: config.holdRestartingMs,
        namespace: config.kubernetesNamespace,
        port: config.kubernetesPort,
      },
      { ...surroundings, transport: kubernetesTransport(config, surroundings) },
    ),
    ownName: config.name,
  }),
}

const IP_FAMILIES = { auto: 'auto', ipv4: 'IPv4', ipv6: 'IPv6' } as const

/**
 * The way to the API server: with a kubeconfig file's access, or with the pod's own. Nothing is read before the first request.
 */
export function kubernetesTransport(
  { kubernetesKubeconfig: file }: Pick<MemberConfig, 'kubernetesKubeconfig'>,
  { clock, tracer }: Surroundings,
): ApiTransport {
  const now = () => clock.now()
  const access =
    file === undefined ? new InClusterAccess({ env: process.env, now }) : new KubeconfigAccess(file, now)
  return new HttpsTransport(access, `ringman/${readVersion()}`, tracer)
}

/** The pods of the selector, where seeds or the check need them. */
function podWatchOf(config: MemberConfig, surroundings: Surroundings): PodWatch | undefined {
  const { kubernetesPodSelector: selector, kubernetesNamespace: namespace } = config
  const needed = config.kubernetesCheck || config.seeds.some(({ kind }) => kind === 'pods')
  if (!needed || selector === undefined) return undefined
  return new PodWatch({
    ...surroundings,
    transport: kubernetesTransport(config, surroundings),
    selector,
    namespace,
  })
}

function besidePods(
  inner: MembershipSource,
  pods: PodWatch | undefined,
  checked: CheckedGossip | undefined,
  { clock, random, logger }: Surroundings,
): MembershipSource {
  return pods === undefined ? inner : new PodAwareSource({ inner, pods, checked, clock, random, logger })
}

/** For gossip without keys: says what that means, unless only this machine can reach the port. */
function warnOfOpenGossip({ source, bind, gossipPort, label }: MemberConfig, logger: Logger): void {
  if (bind === '::1' || bind.startsWith('127.')) return
  logger.warn(
    { event: 'gossip.open', host: bind, port: gossipPort, label: label ?? '' },
    'Gossip is not encrypted: whoever reaches its port can join the ring and change it. ' +
      (source === 'swim'
        ? 'Let only members reach the port'
        : 'Set --keyring-file, or let only members reach the port'),
  )
}

/** What a source takes whose members gossip: the settings under their own names, and what is made of them. */
function gossipOptionsOf(config: MemberConfig, surroundings: Surroundings) {
  const { bind, servicePort, weight, zone } = config
  return {
    ...config,
    ...surroundings,
    bindHost: bind,
    metadata: {
      servicePort: String(servicePort),
      weight: weight === 1 ? undefined : weight,
      zone,
      version: readVersion(),
    },
  }
}

/** Makes the source that `config` chooses; nothing is opened or read yet. */
export function createSource(config: MemberConfig, surroundings: SourceSurroundings): SourcePart {
  return SOURCES[config.source](config, surroundings)
}
