import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type Koa from 'koa'
import type { GossipTiming } from '../config/gossip-settings.ts'
import type { HttpLimits } from '../http/limits.ts'
import type { Logger } from '../logger.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import type { RingKeyMode } from '../membership/placement.ts'
import type { MembershipSource } from '../membership/source.ts'
import type { MovedStretches } from '../ring/moved.ts'
import type { RingNode } from '../ring/node.ts'
import type { Claim } from '../service/claims.ts'
import type { MovedEvent, OwnershipCheck } from '../service/ownership.ts'
import type { ExpositionFormat, MetricsText } from '../http/metrics-answer.ts'

/** A ring that runs in this process. */
export interface Ring extends AsyncDisposable {
  /** Look-ups, the current ring, its changes. */
  readonly manager: HashRingManager
  /** The members that the ring is made of, and how well they are known. */
  readonly source: MembershipSource
  /** Where other members reach this one; undefined for sources without gossip. */
  readonly gossipAddress: { readonly host: string; readonly port: number } | undefined
  /** Resolves after `shutdown`; rejects when the source or the manager died, and look-ups are not to be trusted. */
  readonly done: Promise<void>
  /**
   * Whether this member owns the key. Of the sources that do not make this process a member only `kubernetes` can say
   * so: when the owner's name is the option `name`, as it is in a pod of the Service.
   *
   * @throws {RingmanError} `KEY_EMPTY`, `KEY_INVALID`, `RING_EMPTY`, `MANAGER_NOT_RUNNING`.
   */
  owns(key: string | Uint8Array): boolean
  /**
   * All stretches of the circle that a node owns now.
   *
   * @param node - Ring key, or the name of a member. @default this member
   */
  owned(node?: string): MovedStretches
  /**
   * Calls `listener` after each change of the ring by which this member, or `node`, gains or loses something, with the
   * stretches of the circle and who had them before or has them now; also when it was off the others' rings. What it throws
   * is logged and stops nothing.
   *
   * @returns A function that ends the subscription.
   */
  onMoved(listener: (event: MovedEvent) => void, options?: { readonly node?: string }): () => void
  /**
   * What is about to move because of members that come, go or get another weight with a hand-over: for each stretch its
   * owner (`from`) and the next one (`to`). Empty where nothing is under way.
   */
  moving(): MovedStretches
  /**
   * Claims a key that this member owns: the claim is lost, and its signal aborts, as soon as this member knows that it is
   * the owner no more, or cannot know.
   *
   * @throws {RingmanError} `NOT_OWNER`, with the owner's `owner` (ring key), `name`, `address` and `port` in `detail`;
   *   `UNSURE` while this member cannot know; `KEY_EMPTY`, `KEY_INVALID`, `RING_EMPTY`, `MANAGER_NOT_RUNNING`.
   */
  claim(key: string | Uint8Array): Claim
  /**
   * What to do with a request for a key that came here by another ring: whether this member owns the key, and whose ring
   * is the older one. Counted in `ringman_checks_total`.
   *
   * @param digests - Of the sender's ring; better its last ones, the newest first.
   * @throws {RingmanError} `KEY_EMPTY`, `KEY_INVALID`, `RING_EMPTY`, `MANAGER_NOT_RUNNING`.
   */
  check(key: string | Uint8Array, digests: string | readonly string[]): OwnershipCheck
  /**
   * Sends requests to the owners of their keys, and leaves those to this program that this member owns:
   * `docs/ownership.md`. What it gives is for `node:http` (`handler`, `upgrade`) or Koa (`middleware`).
   *
   * @throws {RingmanError} `CONFIG_INVALID`, also where the ring has no keys and `networks` is not set.
   */
  forward(options?: ForwardOptions): Forwarding
  /** Koa middleware with the look-ups under `/v1` and `/hashring`; it passes on what is not its own. */
  routes(options?: { readonly limits?: Partial<HttpLimits> }): Koa.Middleware
  /**
   * This ring's metrics as text, for a scraper or to be put behind another registry's text; what the process has
   * (CPU, memory, the event loop) is not among them. `docs/metrics.md` of the package lists them.
   */
  metrics(options?: RingMetricsFormat): Promise<MetricsText>
  /** Whether look-ups may be old just now: see the options `unsureAfterMs` and `maxSilenceMs`. */
  readonly unsure: boolean
  /**
   * Resolves once look-ups can be acted on: this member is on the ring, and `minMembers` living members were seen or
   * `minMembersTimeoutMs` are over. These are the conditions of `/readyz` of `ringman serve`.
   *
   * @returns True when `minMembers` were seen; false when time was up, so that this member may know too few others to
   *   act on look-ups.
   * @throws {RingmanError} `MANAGER_NOT_RUNNING` when the ring is left before; what `done` rejects with.
   */
  settled(): Promise<boolean>
  /**
   * Leaves the ring, with a hand-over once those that take over are warm, and tells the others; resolves `drainMs` later, when
   * they have heard of it. Meanwhile look-ups go on and name other members. Stop listening after it, then call `shutdown`.
   */
  leave(): Promise<void>
  /** Leaves the ring, if that was not done, and releases everything; look-ups throw after it. Idempotent. */
  shutdown(): Promise<void>
}

/** How requests are forwarded. */
export interface ForwardOptions {
  /**
   * Where the key of a request is: `header:NAME`, `query:NAME`, `cookie:NAME` or `path:/PATTERN` with `{key}` as one of its
   * segments; of several the first that has one. Or a function. A request without a key is served here.
   *
   * @default ['header:x-ringman-key']
   */
  readonly key?: readonly string[] | ((request: IncomingMessage) => string | undefined)
  /**
   * Networks that owners may be in, as `10.0.0.0/8`; others get no requests.
   *
   * @default every address of the ring, where it has keys or comes from Kubernetes or a list; else it must be set
   */
  readonly networks?: readonly string[]
  /** Milliseconds until the owner must have begun its answer, up to a day. @default 30_000 */
  readonly timeoutMs?: number
  /**
   * What to do with a request that another member sent here by a newer ring, or one that cannot be compared: wait for
   * this member's ring to change, or serve it at once. @default 'wait'
   */
  readonly whenBehind?: 'wait' | 'serve'
  /** Milliseconds to wait so, up to 60,000; then the request is refused with 421. @default 2000 */
  readonly waitMs?: number
}

/** What forwards requests. */
export interface Forwarding {
  /** A listener for `request` events; `serve` gets those that this member is to answer. */
  handler(
    serve: (request: IncomingMessage, response: ServerResponse) => void,
  ): (request: IncomingMessage, response: ServerResponse) => void
  /** A listener for `upgrade` events (WebSockets); `serve` gets those that this member is to answer. */
  upgrade(
    serve: (request: IncomingMessage, socket: Duplex, head: Buffer) => void,
  ): (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** What this member is to answer goes on to `next`. It has to come before whatever reads bodies. */
  readonly middleware: Koa.Middleware
  /** Closes the connections to other members, once their requests are done; WebSockets that were passed on end at once. */
  close(): Promise<void>
}

/** How metrics are written. */
export interface RingMetricsFormat {
  /** Prometheus's text format 0.0.4, or OpenMetrics 1.0.0. @default 'prometheus' */
  readonly format?: ExpositionFormat
  /** Labels for every series, such as `{ ring: 'sessions' }`, to tell several rings of a process apart. @default none */
  readonly labels?: Readonly<Record<string, string>>
}

/** What every ring can be told. */
export interface CommonRingOptions {
  /** This member's name, unique in the cluster. @default the host name */
  readonly name?: string
  /** What is hashed for each node: `IP:servicePort`, or the name. @default 'address' */
  readonly ringKey?: RingKeyMode
  /** Milliseconds that changes of members gather before they become one ring, 0 to 10,000. @default 10 */
  readonly foldWindowMs?: number
  /** Living members, this one included, that `settled` waits for, 1 to 100,000. @default 1 */
  readonly minMembers?: number
  /** Milliseconds since the start after which `settled` does with fewer. @default 60_000 */
  readonly minMembersTimeoutMs?: number
  /**
   * After a stall of this many milliseconds (a stopped process, a paused machine) look-ups are `unsure` for two seconds,
   * up to 3,600,000; 0 for never. @default 0
   */
  readonly unsureAfterMs?: number
  /**
   * Look-ups are `unsure`, and claims are lost, while no other member was heard for this many milliseconds, up to
   * 3,600,000; 0 for never. A member that is the only one there is hears nobody and is sure. @default 0
   */
  readonly maxSilenceMs?: number
  /** Milliseconds that `leave` waits once the others were told, 0 to 3,600,000. @default 5000 */
  readonly drainMs?: number
  /** @default silent */
  readonly logger?: Logger
  /** Spans through this program's OpenTelemetry, if it has registered a provider by now. @default true */
  readonly tracing?: boolean
  /** Spans of look-ups carry a hash of the key. @default false */
  readonly traceKeys?: boolean
}

/** A fixed list of members; this process is not one of them. */
export interface StaticRingOptions extends CommonRingOptions {
  readonly source: 'static'
  /** At least one `HOST:PORT` or `HOST:PORT=WEIGHT`, IPv6 as `[::1]:8000=2`. */
  readonly staticMembers: readonly string[]
}

/** What sources have in common whose members gossip. */
export interface GossipRingOptions extends CommonRingOptions {
  /**
   * While other members are suspected, how many milliseconds a death waits for theirs, so that many at once make few rings,
   * 0 to 60,000. @default 1000
   */
  readonly gatherDeathsMs?: number
  /** Addresses to join through: `HOST[:PORT]`, `dns:NAME[:PORT]`, `srv:NAME`, `pods:[PORT]`. @default none */
  readonly seeds?: readonly string[]
  /** The application's port that others are told, 1 to 65535. @default 8000 */
  readonly servicePort?: number
  /** Relative share of the ring, 1 to 1000. @default 1 */
  readonly weight?: number
  /** Failure domain. */
  readonly zone?: string
  /** IP address of the gossip sockets. @default '0.0.0.0' */
  readonly bind?: string
  /** 0 takes a free one. @default 7946 */
  readonly gossipPort?: number
  /** IP address that others are told. @default found by itself */
  readonly advertise?: string
  /** Gossip port that others are told. @default the bound one */
  readonly advertisePort?: number
  /** Timing, for a network like this. @default 'lan' */
  readonly preset?: 'lan' | 'wan' | 'local'
  /** Labels of the pods that gossip, for the seed `pods:` and for `kubernetesCheck`. */
  readonly kubernetesPodSelector?: string
  /** Their namespace. @default this pod's own */
  readonly kubernetesNamespace?: string
  /** File by which the API server is reached. @default this pod's service account */
  readonly kubernetesKubeconfig?: string
}

/** Members gossip by the protocol of npm `swim`. */
export interface SwimRingOptions extends GossipRingOptions {
  readonly source: 'swim'
}

/**
 * Members gossip by HashiCorp memberlist's protocol; they may be Go programs. What is not set of its timing is the preset's;
 * `docs/configuration.md` explains each.
 */
export interface MemberlistRingOptions extends GossipRingOptions, GossipTiming {
  readonly source?: 'memberlist'
  /** Hands keys over with nobody cold and no two owners; all members of the ring must have it. @default they just move */
  readonly handover?: RingHandover
  /** Only members with this label are heard. @default none */
  readonly label?: string
  /** File with a JSON array of labels, in place of a label: the first is sent, all are accepted; changes are taken up. @default none */
  readonly labelFile?: string
  /** Cluster name of Go ringman; not set for stock memberlist. */
  readonly clusterName?: string
  /** File of base64 keys: the first encrypts, all decrypt; changes are taken up. @default no encryption */
  readonly keyringFile?: string
  /** With keys: drop plain gossip. @default true */
  readonly requireEncryption?: boolean
  /** With keys: encrypt what is sent. @default true */
  readonly encryptOutgoing?: boolean
  /** Delegate versions as `MIN-MAX:CURRENT`; serf wants `2-5:5`. @default '0-0:0' */
  readonly delegateVersions?: string
  /** Never use UDP. @default false */
  readonly tcpOnly?: boolean
  /** Compress what becomes smaller by it. @default true */
  readonly compression?: boolean
  /** Largest datagram, 512 to 65,000 bytes. @default 1400 */
  readonly maxPacketBytes?: number
  /** Declare a member dead at once when its pod is gone; needs `kubernetesPodSelector`. @default false */
  readonly kubernetesCheck?: boolean
}

/** How a member takes over keys, and hands its own over: `docs/ownership.md`. */
export interface RingHandover {
  /**
   * Fetches what this member is about to own from the node that has it. It is called once for each such node, and again for
   * what is added when the ring changes meanwhile: when this member joins, and when another one leaves. The keys are this
   * member's once it has resolved, or `timeoutMs` are over. What it throws is logged, and the keys come cold.
   *
   * @param ranges - `ranges.contains(key)`; `JSON.stringify(ranges)` sends them to `from`, which reads them with
   *   `MovedStretches.of`.
   * @param from - The node that owns them now.
   * @param signal - Aborts when time is up, when `from` is gone, and when the move is over.
   */
  readonly warm: (ranges: MovedStretches, from: RingNode, signal: AbortSignal) => Promise<void> | void
  /** Milliseconds that it may take, 0 to 3,600,000; the switch after it takes one second more at most. @default 20_000 */
  readonly timeoutMs?: number
}

/** Members from Nitro Sidecar; `routes()` then serves `/hashring/update` too. This process is not one of them. */
export interface SidecarRingOptions extends CommonRingOptions {
  readonly source: 'sidecar'
  /** Where Sidecar's state is; without it the ring is empty until the first update. */
  readonly sidecarUrl?: string
  readonly sidecarService: string
  /** The `ServicePort` by which an instance's port is found, 1 to 65535. */
  readonly sidecarServicePort: number
  /** Follow Sidecar's stream of states; needs the URL. @default false */
  readonly sidecarWatch?: boolean
  /** Milliseconds between two fetches, 0 for none after the first. @default 30_000 */
  readonly sidecarRefetchMs?: number
  /** Least milliseconds between two changes in a burst. @default 5000 */
  readonly sidecarHoldDownMs?: number
  /** File with a token that whoever posts updates must show. @default none needed */
  readonly tokenFile?: string
  /** Host names, besides IP addresses and `localhost`, that updates may be posted to. @default none */
  readonly allowedHosts?: readonly string[]
}

/** Members are the serving endpoints of a Kubernetes Service. This process is not one of them. */
export interface KubernetesRingOptions extends CommonRingOptions {
  readonly source: 'kubernetes'
  /** The Service; either it or `kubernetesSelector`. */
  readonly kubernetesService?: string
  /** Labels of the EndpointSlices, such as `app=cache`. */
  readonly kubernetesSelector?: string
  /** A port's name in the Service, or its number on the pods. @default the only one there is */
  readonly kubernetesPort?: string | number
  /** Which addresses of a dual-stack Service count. @default 'auto', IPv4 where there is any */
  readonly kubernetesIpFamily?: 'auto' | 'ipv4' | 'ipv6'
  /** Milliseconds that a pod which is there but does not serve keeps its place. @default 30_000 */
  readonly holdRestartingMs?: number
  /** @default this pod's own */
  readonly kubernetesNamespace?: string
  /** File by which the API server is reached. @default this pod's service account */
  readonly kubernetesKubeconfig?: string
}

/** What `createRing` takes; the names are those of the configuration file, with the unit where there is one. */
export type CreateRingOptions =
  MemberlistRingOptions | SwimRingOptions | SidecarRingOptions | KubernetesRingOptions | StaticRingOptions
