import { isDeepStrictEqual } from 'node:util'
import { counted } from '../counted.ts'
import type { ChangeRecord } from '../manager/change-record.ts'
import { isObject } from '../is-object.ts'
import { ringKeyOf } from '../membership/placement.ts'
import { shortened } from '../printable.ts'
import { maxMean } from '../ring/plan.ts'
import type { RingService } from '../service/ring-service.ts'
import type { HashRingEntry } from './hash-ring-controller.ts'
import type { SeenInstallation, Watchers } from './installations.ts'
import { ACCEPT_LOSS, type HashRingResource } from './hash-ring-resource.ts'

/** Nodes that a status lists at most: an object of Kubernetes has 1.5 MiB. */
const NODES_LIMIT = 100

/** Whether all pods hold the same ring. */
export interface Agreement {
  /** Undefined as long as nobody has asked them. */
  readonly settled: boolean | undefined
  readonly message: string
}

/** What came of writing the ring to a ConfigMap. */
export interface Publication {
  /** The version that is there; 0 for none. */
  readonly version: number
  /** Why it could not be written; undefined if it could. */
  readonly problem: string | undefined
}

interface Condition {
  readonly type: 'Accepted' | 'Ready' | 'Settled' | 'Degraded'
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

/**
 * The status that a HashRing should have.
 *
 * @param version - Of the ring that is held.
 * @param change - Why the ring is another one than the status says; undefined where it is the same.
 * @param time - Of this moment, RFC 3339 in UTC, for conditions that change.
 */
export function statusOf(
  resource: HashRingResource,
  entry: HashRingEntry,
  facts: {
    readonly version: number
    readonly agreement: Agreement
    readonly publication: Publication | undefined
    readonly watchers: Watchers
    readonly change: ChangeRecord | undefined
    readonly time: string
  },
): Readonly<Record<string, unknown>> {
  const { version, agreement, publication, watchers, change, time } = facts
  const { ring } = entry
  const before = resource.status.whole
  const conditions = conditionsOf(entry, agreement, publication, watchers)
  return {
    observedGeneration: resource.generation,
    ...watchersFields(watchers),
    conditions: conditions.map((each) => withTime(each, before['conditions'], time)),
    ...(ring === undefined
      ? CLEARED
      : {
          ...(version === 0
            ? { version: null, fingerprint: null }
            : { version, fingerprint: ring.fingerprint }),
          ...ringFields(ring.service),
          ...(change === undefined ? {} : { lastChange: changeFields(change) }),
          publishedVersion: publication?.version === 0 ? null : (publication?.version ?? null),
        }),
  }
}

export function watchersFields({ writer, others }: Watchers) {
  const fieldsOf = ({ name, timeMs }: SeenInstallation) => ({ name, time: timeOf(timeMs) })
  return {
    ...(writer === undefined ? {} : { installation: fieldsOf(writer) }),
    otherInstallations: others.length === 0 ? null : others.map(fieldsOf),
  }
}

/** What a ring fills in that a HashRing without one does not have. Its version stays: it must never fall. */
const CLEARED = {
  digest: null,
  nodeCount: null,
  onRingCount: null,
  maxMean: null,
  nodes: null,
  omittedNodes: null,
}

function ringFields({ manager, source, ringKeyMode }: RingService) {
  const { ring } = manager.snapshot
  const shares = ring.shares()
  const nodes = source.members.map((member) => {
    const ringKey = ringKeyOf(member, ringKeyMode)
    const node = ringKey === undefined ? undefined : ring.get(ringKey)
    const share = node?.name === member.name ? shares.get(node.ringKey) : undefined
    return {
      name: member.name,
      address: member.address,
      port: Number(member.metadata?.servicePort ?? 0),
      ...(member.metadata?.zone === undefined ? {} : { zone: member.metadata.zone }),
      state: member.state,
      ...(share === undefined ? {} : { share: percent(share) }),
    }
  })
  return {
    digest: ring.digest,
    nodeCount: nodes.length,
    onRingCount: ring.size,
    maxMean: ring.size === 0 ? null : maxMean(ring).toFixed(2),
    nodes: nodes.slice(0, NODES_LIMIT),
    omittedNodes: nodes.length > NODES_LIMIT ? nodes.length - NODES_LIMIT : null,
  }
}

function changeFields({ timeMs, cause, node, count, movedShare }: ChangeRecord) {
  return { time: timeOf(timeMs), cause, node, count, movedShare: percent(movedShare) }
}

/** A time as Kubernetes writes it, to the second. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** A fraction as a percentage with two digits: the API's conventions advise against numbers with a point. */
export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(2)}%`
}

function conditionsOf(
  entry: HashRingEntry,
  agreement: Agreement,
  publication: Publication | undefined,
  watchers: Watchers,
): Condition[] {
  const { ring, refusal } = entry
  const accepted = acceptedOf(entry)
  const size = ring?.service.manager.snapshot.ring.size ?? 0
  return [
    accepted,
    size > 0
      ? condition('Ready', true, 'RingReady', `The ring has ${counted(size, 'node')}`)
      : refusal !== undefined
        ? condition('Ready', false, 'NotAccepted', 'The spec makes no ring')
        : condition('Ready', false, 'RingEmpty', 'No endpoint of the Service serves'),
    ring === undefined || agreement.settled === undefined
      ? { type: 'Settled', status: 'Unknown', reason: 'NotAsked', message: agreement.message }
      : agreement.settled
        ? condition('Settled', true, 'SameRing', agreement.message)
        : condition('Settled', false, 'RingsDiffer', agreement.message),
    degradedOf(entry, publication, watchers),
  ]
}

function acceptedOf({ ring, refusal }: HashRingEntry): Condition {
  if (refusal !== undefined) return condition('Accepted', false, 'Invalid', sentence(refusal))
  const health = ring?.service.source.health()
  if (health?.condition !== 'misconfigured') {
    return condition('Accepted', true, 'Accepted', 'The spec makes a ring')
  }
  const { endpointSlices, endpointsWithoutPort } = health.detail
  const reason =
    endpointSlices === 0
      ? 'NoEndpointSlices'
      : Number(endpointsWithoutPort) > 0
        ? 'PortAmbiguous'
        : 'TooManyEndpoints'
  return condition('Accepted', false, reason, sentence(health.message))
}

function degradedOf(
  { ring, resource }: HashRingEntry,
  publication: Publication | undefined,
  { others }: Watchers,
): Condition {
  const health = ring?.service.source.health()
  if (ring?.braked === true && resource !== undefined) {
    const { digest } = ring.service.manager.snapshot.ring
    const { namespace, localName } = resource
    const command = `kubectl -n ${namespace} annotate hashring ${localName} --overwrite ${ACCEPT_LOSS}=${digest}`
    const why = health?.condition === 'braked' ? health.message : 'Too many nodes stopped serving at once'
    return condition('Degraded', true, 'BrakeOn', `${why}. To accept the loss: ${command}`)
  }
  if (health?.condition === 'stale') {
    return condition('Degraded', true, 'ApiUnreachable', sentence(health.message))
  }
  if (publication?.problem !== undefined) {
    return condition('Degraded', true, 'PublishFailed', sentence(publication.problem))
  }
  if (others.length > 0) {
    const names = others.map(({ name }) => name).join(', ')
    const message = `${names} makes this ring as well, and leaves its status alone. Let rings.namespaces of each installation name other namespaces, or uninstall one`
    return condition('Degraded', true, 'SeveralInstallations', message)
  }
  return condition('Degraded', false, 'AsExpected', 'Nothing speaks against the ring')
}

function condition(type: Condition['type'], holds: boolean, reason: string, message: string): Condition {
  return { type, status: holds ? 'True' : 'False', reason, message }
}

/** The API allows 32,768 characters; nobody reads more than a few lines. */
function sentence(text: string): string {
  const cut = shortened(text, 1000)
  return `${cut.slice(0, 1).toUpperCase()}${cut.slice(1)}`
}

/** With the time since which it has this status. */
function withTime(now: Condition, before: unknown, time: string) {
  const all: readonly unknown[] = Array.isArray(before) ? before : []
  const same = all.find((one) => isObject(one) && one['type'] === now.type && one['status'] === now.status)
  const since: unknown = isObject(same) ? same['lastTransitionTime'] : undefined
  return { ...now, lastTransitionTime: typeof since === 'string' ? since : time }
}

/** Whether a status says already what it should. Fields that should not be there are null. */
export function saysAlready(
  before: Readonly<Record<string, unknown>>,
  wanted: Readonly<Record<string, unknown>>,
): boolean {
  return Object.entries(wanted).every(([field, value]) => isDeepStrictEqual(before[field] ?? null, value))
}
