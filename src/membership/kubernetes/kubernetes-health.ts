import type { ListWatchStatus } from '../../kubernetes/list-watch.ts'
import { counted } from '../../counted.ts'
import { healthIn, type Condition, type SourceHealth } from '../condition.ts'
import type { EndpointsView } from './endpoints.ts'
import type { Member } from '../member.ts'
import {
  describeSlices,
  ENDPOINTS_LIMIT,
  STALE_AFTER_MS,
  type KubernetesSourceOptions,
} from './kubernetes-options.ts'

export interface KubernetesHealthFacts {
  readonly status: ListWatchStatus
  readonly view: EndpointsView | undefined
  readonly options: KubernetesSourceOptions
  /** Undefined before it is known. */
  readonly namespace: string | undefined
  readonly members: readonly Member[]
  /** Whether the ring stays as it is: see `Brake`. */
  readonly braked: boolean
}

/** So soon after the last confirmation a failure says nothing about the members yet. */
const GRACE_MS = 10_000
/** So many in a row are a problem even where a list works in between. */
const FAILURES_THAT_COUNT = 3

/** Says whether the members can be trusted, and if not, why. */
export function kubernetesHealth(facts: KubernetesHealthFacts): SourceHealth {
  const { status, view } = facts
  const seconds =
    status.sinceConfirmedMs === undefined ? undefined : Math.round(status.sinceConfirmedMs / 1000)
  const detail: Record<string, string | number | boolean> = {
    members: facts.members.length,
    // Those that keep their place while they do not serve.
    held: facts.members.filter(({ state }) => state === 'suspect').length,
    endpointSlices: view?.sliceCount ?? 0,
    endpoints: view?.endpoints.size ?? 0,
    endpointsWithoutPort: view?.portlessCount ?? 0,
    failuresInARow: status.failuresInARow,
    ...status.counts,
  }
  if (facts.namespace !== undefined) detail['namespace'] = facts.namespace
  if (view?.family !== undefined) detail['family'] = view.family
  if (seconds !== undefined) detail['secondsSinceConfirmed'] = seconds
  const [condition, message] = judge(facts, seconds)
  return healthIn(condition, message, detail)
}

function judge(facts: KubernetesHealthFacts, seconds: number | undefined): [Condition, string] {
  const { status, view, options, namespace } = facts
  const slices = describeSlices(options)
  const reason = status.problem === undefined ? '' : `: ${status.problem}`
  if (status.sinceConfirmedMs === undefined || seconds === undefined) {
    return ['waiting', `The EndpointSlices have not been listed yet${reason}`]
  }
  const failing = !status.current && status.sinceConfirmedMs > GRACE_MS
  if (failing || status.sinceConfirmedMs > STALE_AFTER_MS) {
    return [
      'stale',
      `Kubernetes has said nothing for ${seconds} s, and the members may be out of date${reason}`,
    ]
  }
  if (status.failuresInARow >= FAILURES_THAT_COUNT) {
    return ['stale', `Kubernetes cannot be followed, only asked now and then${reason}`]
  }
  if (facts.braked) {
    return [
      'braked',
      `Too many of the nodes of ${slices} stopped serving at once, and ${facts.members.length} stay on the ring as it was`,
    ]
  }
  if (view?.sliceCount === 0) {
    return [
      'misconfigured',
      `${slices} has no EndpointSlice in the namespace "${namespace ?? ''}": does it exist, is the name right, and does it have a selector?`,
    ]
  }
  if (view !== undefined && view.endpoints.size > ENDPOINTS_LIMIT) {
    return [
      'misconfigured',
      `${slices} has ${view.endpoints.size} endpoints, and ${ENDPOINTS_LIMIT} at most make a ring: the last one stays`,
    ]
  }
  if (view !== undefined && view.portlessCount > 0)
    return ['misconfigured', portProblem(view, options.portSetting)]
  return ['well', `Kubernetes said what it knows ${seconds} s ago`]
}

/** Why endpoints have no place: in words that say what to set. */
export function portProblem(
  { portlessCount, otherPorts }: EndpointsView,
  portSetting = '--kubernetes-port',
): string {
  const ports = otherPorts.length === 0 ? 'none' : otherPorts.join(', ')
  return `The port that was chosen is missing at ${counted(portlessCount, 'endpoint')}, or there are several and none was chosen (ports: ${ports}); ${portSetting} takes a name or a number`
}
