import { quoteWords } from '../kubernetes/api-error.ts'
import { isObject } from '../is-object.ts'
import { isWithin } from '../is-within.ts'
import { LABEL_NAME, SUBDOMAIN_NAME } from '../kubernetes-names.ts'
import type { ApiKind } from '../kubernetes/api-resource.ts'
import type { RingKeyMode } from '../membership/placement.ts'
import type { SeenInstallation, Watchers } from './installations.ts'

/** The API group of HashRings. Nothing else spells it out. */
export const HASH_RING_GROUP = 'ringman.dev'

export const HASH_RINGS: ApiKind = { group: HASH_RING_GROUP, version: 'v1alpha1', plural: 'hashrings' }
export const HASH_RING_TYPE = { apiVersion: `${HASH_RING_GROUP}/${HASH_RINGS.version}`, kind: 'HashRing' }

/** Its value is the digest of a ring that the brake keeps: the loss of the nodes that are gone is accepted. */
export const ACCEPT_LOSS = `${HASH_RING_GROUP}/accept-loss`

/** Whose endpoints make a ring, and how. */
export interface HashRingSpec {
  readonly service: string
  /** The port's name in the slices. @default the only one there is */
  readonly port: string | undefined
  readonly ringKey: RingKeyMode
  /** How long a pod that only restarts keeps its place, in milliseconds. */
  readonly holdMs: number
  /** Share of the nodes, from 0 to 1: see `Brake`. */
  readonly brake: number
  /** Where the ring is written to; undefined for nowhere. */
  readonly publish: RingPublication | undefined
}

/** A ConfigMap of the HashRing's namespace that the ring is written to. */
export interface RingPublication {
  readonly configMap: string
  readonly key: string
  readonly format: 'JSON' | 'Thanos'
}

/** What is kept of a HashRing. */
export interface HashRingResource {
  /** `NAMESPACE/NAME`. */
  readonly name: string
  readonly namespace: string
  /** `metadata.name`. */
  readonly localName: string
  readonly uid: string
  readonly generation: number
  /** `metadata.resourceVersion`. */
  readonly version: string
  /** The digest in the annotation {@link ACCEPT_LOSS}. */
  readonly acceptLoss: string | undefined
  /** Undefined for one that the API server should not have taken: {@link problem} says why. */
  readonly spec: HashRingSpec | undefined
  readonly problem: string | undefined
  /** As it stands there, whoever wrote it. */
  readonly status: HashRingStatus
}

/** What is read of a status. */
export interface HashRingStatus {
  /** Of the ring that was published last; 0 for none. */
  readonly version: number
  /** Of the same ring: see `RingView.fingerprint`. */
  readonly fingerprint: string
  readonly watchers: Watchers
  /** The whole status, to compare with. */
  readonly whole: Readonly<Record<string, unknown>>
}

/** Keys of what a ConfigMap holds. */
const KEY = /^[-._a-zA-Z0-9]{1,253}$/

const DEFAULT_HOLD_MS = 30_000
const HOLD_LIMIT_MS = 3_600_000
const DEFAULT_BRAKE = 0.5
const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const

/**
 * Takes what is needed of a HashRing. The API server has held it to the schema; a spec that does not fit all the same (an
 * older schema, or none) is told of, and makes no ring.
 *
 * @returns undefined for what is no object of this kind.
 */
export function parseHashRing(value: unknown): HashRingResource | undefined {
  if (!isObject(value) || !isObject(value['metadata'])) return undefined
  const { name, namespace, uid, generation, resourceVersion, annotations } = value['metadata']
  if (!isText(name) || !isText(namespace) || !isText(uid) || !isText(resourceVersion)) return undefined
  const acceptLoss = isObject(annotations) ? annotations[ACCEPT_LOSS] : undefined
  const { spec, problem } = parseSpec(value['spec'], name)
  return {
    name: `${namespace}/${name}`,
    namespace,
    localName: name,
    uid,
    generation: typeof generation === 'number' ? generation : 0,
    version: resourceVersion,
    acceptLoss: isText(acceptLoss) ? acceptLoss : undefined,
    spec,
    problem,
    status: parseStatus(value['status']),
  }
}

function parseStatus(value: unknown): HashRingStatus {
  const whole = isObject(value) ? value : {}
  const { version, fingerprint, installation, otherInstallations } = whole
  const others: readonly unknown[] = Array.isArray(otherInstallations) ? otherInstallations : []
  return {
    version: isWithin(version, 1, Number.MAX_SAFE_INTEGER) ? version : 0,
    fingerprint: isText(fingerprint) ? fingerprint : '',
    watchers: {
      writer: parseInstallation(installation),
      others: others.flatMap((other) => parseInstallation(other) ?? []),
    },
    whole,
  }
}

function parseInstallation(value: unknown): SeenInstallation | undefined {
  if (!isObject(value)) return undefined
  const { name, time } = value
  const timeMs = typeof time === 'string' ? Date.parse(time) : NaN
  return isText(name) && !Number.isNaN(timeMs) ? { name, timeMs } : undefined
}

type Parsed =
  | { readonly spec: HashRingSpec; readonly problem?: undefined }
  | { readonly spec?: undefined; readonly problem: string }

function parseSpec(value: unknown, name: string): Parsed {
  if (!isObject(value)) return { problem: 'spec is missing' }
  const { service, ringKey = 'PodName', hold, brake, publish } = value
  if (!isObject(service)) return { problem: 'spec.service is missing' }
  const { name: serviceName, port } = service
  if (!isText(serviceName)) return { problem: 'spec.service.name is missing' }
  if (!LABEL_NAME.test(serviceName)) return { problem: 'spec.service.name is not the name of a Service' }
  if (port !== undefined && !(isText(port) && LABEL_NAME.test(port)))
    return { problem: 'spec.service.port is not the name of a port' }
  if (ringKey !== 'PodName' && ringKey !== 'Address') {
    return { problem: `spec.ringKey is ${quote(ringKey)}; PodName and Address are allowed` }
  }
  const holdMs = hold === undefined ? DEFAULT_HOLD_MS : parseDuration(hold)
  if (holdMs === undefined) {
    return { problem: `spec.hold is ${quote(hold)}; a duration such as 30s is allowed, up to 1h` }
  }
  const share = brake === undefined ? DEFAULT_BRAKE : parsePercentage(brake)
  if (share === undefined) return { problem: `spec.brake is ${quote(brake)}; 0% to 100% are allowed` }
  const publication = publish === undefined ? undefined : parsePublication(publish, name)
  if (publication === 'invalid') return { problem: 'spec.publish names no ConfigMap, or an unknown format' }
  return {
    spec: {
      service: serviceName,
      port,
      ringKey: ringKey === 'PodName' ? 'name' : 'address',
      holdMs,
      brake: share,
      publish: publication,
    },
  }
}

function parseDuration(value: unknown): number | undefined {
  if (typeof value !== 'string' || !/^(\d{1,7}(ms|s|m|h)){1,4}$/.test(value)) return undefined
  let sumMs = 0
  for (const [, count, unit] of value.matchAll(/(\d+)(ms|s|m|h)/g)) {
    sumMs += Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS]
  }
  return sumMs <= HOLD_LIMIT_MS ? sumMs : undefined
}

function parsePercentage(value: unknown): number | undefined {
  return typeof value === 'string' && /^(100|[1-9]?\d)%$/.test(value)
    ? Number(value.slice(0, -1)) / 100
    : undefined
}

function parsePublication(value: unknown, name: string): RingPublication | 'invalid' {
  if (!isObject(value)) return 'invalid'
  const { configMap = name, format = 'JSON' } = value
  if (format !== 'JSON' && format !== 'Thanos') return 'invalid'
  const { key = format === 'Thanos' ? 'hashrings.json' : 'ring.json' } = value
  const isValid = isText(configMap) && SUBDOMAIN_NAME.test(configMap) && isText(key) && KEY.test(key)
  return isValid ? { configMap, key, format } : 'invalid'
}

function quote(value: unknown): string {
  return quoteWords(JSON.stringify(value))
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
