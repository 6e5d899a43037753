import { isIPv4, isIPv6 } from 'node:net'
import { isObject } from '../../is-object.ts'
import { isWithin } from '../../is-within.ts'
import { isWord } from '../member.ts'

/** The label by which an EndpointSlice belongs to its Service. */
export const SERVICE_LABEL = 'kubernetes.io/service-name'

/** A family of IP addresses, as EndpointSlices name it. */
export type Family = 'IPv4' | 'IPv6'

/** What is kept of an EndpointSlice. */
export interface EndpointSlice {
  /** Unique within its namespace. */
  readonly name: string
  /** `''` where it has none. */
  readonly namespace: string
  /** The Service that it belongs to; `''` where it belongs to none. */
  readonly service: string
  /** `metadata.resourceVersion`. */
  readonly version: string
  /** `other` for host names, which Kubernetes has deprecated. */
  readonly family: Family | 'other'
  readonly ports: readonly SlicePort[]
  readonly endpoints: readonly SliceEndpoint[]
}

/** A port that every endpoint of a slice has. */
export interface SlicePort {
  /** `''` where the Service gave it none. */
  readonly name: string
  /** 1 to 65535. */
  readonly port: number
}

/** One place where a Service is served. */
export interface SliceEndpoint {
  /** IP literal. */
  readonly address: string
  /** The pod behind it; undefined for endpoints that somebody wrote by hand. */
  readonly pod: { readonly name: string; readonly uid: string } | undefined
  readonly zone: string | undefined
  /** Whether it serves, by its own readiness: also when it is about to go. */
  readonly serving: boolean
  /** Whether it is about to go for good: its pod is being deleted. */
  readonly terminating: boolean
}

/** The API allows as many in a slice. */
const ENDPOINTS_LIMIT = 1000
const PORTS_LIMIT = 100
/** Longest name of a pod in characters, and the same for a zone. */
const NAME_LIMIT = 253
const ZONE_LIMIT = 128

/**
 * Takes what is needed of an EndpointSlice of `discovery.k8s.io/v1`.
 *
 * `ready` alone would mislead: it is always true with `publishNotReadyAddresses`, and never while terminating. So what
 * counts is `serving`; where there is none, `ready`; and where there is neither, yes, as Kubernetes wants it. An explicit
 * `ready: false` of a slice that somebody else maintains is a no.
 *
 * @returns undefined for what is no such object. Endpoints without a usable address are left out.
 * @see https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
 */
export function parseEndpointSlice(value: unknown): EndpointSlice | undefined {
  if (!isObject(value) || !isObject(value['metadata'])) return undefined
  const { name, namespace, labels, resourceVersion } = value['metadata']
  const { addressType, ports, endpoints } = value
  if (typeof name !== 'string' || name === '') return undefined
  const family = addressType === 'IPv4' || addressType === 'IPv6' ? addressType : 'other'
  return {
    name,
    namespace: textOf(namespace),
    service: isObject(labels) ? textOf(labels[SERVICE_LABEL]) : '',
    version: textOf(resourceVersion),
    family,
    ports: listOf(ports).slice(0, PORTS_LIMIT).flatMap(parsePort),
    endpoints: listOf(endpoints)
      .slice(0, ENDPOINTS_LIMIT)
      .flatMap((endpoint) => parseEndpoint(endpoint, family)),
  }
}

function parsePort(value: unknown): SlicePort[] {
  if (!isObject(value)) return []
  const { name, port } = value
  return isWithin(port, 1, 65_535) ? [{ name: textOf(name), port }] : []
}

function parseEndpoint(value: unknown, family: EndpointSlice['family']): SliceEndpoint[] {
  if (!isObject(value)) return []
  // Further addresses mean the same place; readers are to take the first.
  const [address] = listOf(value['addresses'])
  if (typeof address !== 'string') return []
  if (family === 'IPv4' ? !isIPv4(address) : family === 'other' || !isIPv6(address)) return []
  const { ready, serving, terminating } = isObject(value['conditions']) ? value['conditions'] : {}
  const { zone } = value
  return [
    {
      address,
      pod: parsePod(value['targetRef']),
      zone: isWord(zone, ZONE_LIMIT) ? zone : undefined,
      serving: booleanOr(serving, booleanOr(ready, true)) && ready !== false,
      terminating: booleanOr(terminating, false),
    },
  ]
}

function parsePod(value: unknown): SliceEndpoint['pod'] {
  if (!isObject(value) || value['kind'] !== 'Pod') return undefined
  const { name, uid } = value
  if (!isWord(name, NAME_LIMIT)) return undefined
  return { name, uid: textOf(uid) }
}

function booleanOr(value: unknown, otherwise: boolean): boolean {
  return typeof value === 'boolean' ? value : otherwise
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}
