import { getOrMake } from '../../get-or-make.ts'
import { Pace, type Steps } from '../../ring/steps.ts'
import type { EndpointSlice, Family, SliceEndpoint } from './endpoint-slice.ts'

/** Which of an endpoint's ports is the service port: by name, by number, or the only one there is. */
export type PortChoice = string | number | undefined

/** Which addresses count where endpoints have both: the named ones, or IPv4 before IPv6. */
export type FamilyChoice = Family | 'auto'

/** Where a member is, as the slices say. */
export interface Endpoint {
  /** The pod's name, or `IP:port` where no pod is named; unique in a view. */
  readonly name: string
  /** Tells a pod from its successor of the same name; `''` where no pod is named. */
  readonly uid: string
  readonly address: string
  /** 1 to 65535. */
  readonly port: number
  readonly zone: string | undefined
  readonly serving: boolean
  readonly terminating: boolean
}

/** What a set of slices comes to. */
export interface EndpointsView {
  /** By name. */
  readonly endpoints: ReadonlyMap<string, Endpoint>
  /** Slices, whatever is in them. A Service with a selector has one even when it has no endpoints. */
  readonly sliceCount: number
  /** The family that counts; undefined when no slice has one. */
  readonly family: Family | undefined
  /** Ports of slices in which the chosen one was not found, as `name=number` or `number`; a few of them. */
  readonly otherPorts: readonly string[]
  /** Endpoints that were left out because of that. */
  readonly portlessCount: number
  /** Endpoints with a host name instead of an address, which have no place. */
  readonly hostNameSlices: number
}

const OTHER_PORTS_LIMIT = 10

/** The endpoints of slices, found once for each: a slice that changes is another object. */
export type KnownEndpoints = WeakMap<EndpointSlice, readonly Endpoint[]>

/**
 * Makes one set of endpoints of any number of slices, in steps. The same slices give the same set everywhere, in whatever order
 * they come:
 *
 * - One family counts for all: with `auto` IPv4 if there is a slice of IPv4, empty or not, else IPv6. Which one a single
 *   endpoint has must not matter, since a dual-stack Service's slices change one after the other.
 * - Of several endpoints of one name (while they move from slice to slice, or when a pod has a successor) the one
 *   that serves stands for all; then one that is not terminating; then the lower address, port and UID.
 *
 * @param known - Those of slices that were there the last time, with the same choice of a port; the others are added.
 */
export function* viewEndpoints(
  slices: Iterable<EndpointSlice>,
  portChoice: PortChoice,
  familyChoice: FamilyChoice,
  known: KnownEndpoints = new WeakMap(),
): Steps<EndpointsView> {
  const all = [...slices]
  const family = chooseFamily(all, familyChoice)
  const endpoints = new Map<string, Endpoint>()
  const otherPorts = new Set<string>()
  let portlessCount = 0
  const pace = new Pace()
  for (const slice of all) {
    if (slice.family !== family || slice.endpoints.length === 0) continue
    const port = choosePort(slice, portChoice)
    if (port === undefined) {
      portlessCount += slice.endpoints.length
      for (const { name, port: number } of slice.ports)
        otherPorts.add(name === '' ? `${number}` : `${name}=${number}`)
      continue
    }
    const its = getOrMake(known, slice, () => slice.endpoints.map((found) => endpointOf(found, port)))
    its.forEach((endpoint) => {
      const rival = endpoints.get(endpoint.name)
      if (rival === undefined || prevails(endpoint, rival)) endpoints.set(endpoint.name, endpoint)
    })
    if (pace.endsStep(its.length)) yield
  }
  return {
    endpoints,
    sliceCount: all.length,
    family,
    otherPorts: [...otherPorts].sort().slice(0, OTHER_PORTS_LIMIT),
    portlessCount,
    hostNameSlices: all.filter((slice) => slice.family === 'other').length,
  }
}

function chooseFamily(slices: readonly EndpointSlice[], choice: FamilyChoice): Family | undefined {
  if (choice !== 'auto') return choice
  if (slices.some(({ family }) => family === 'IPv4')) return 'IPv4'
  return slices.some(({ family }) => family === 'IPv6') ? 'IPv6' : undefined
}

function choosePort({ ports }: EndpointSlice, choice: PortChoice): number | undefined {
  if (typeof choice === 'string') return ports.find(({ name }) => name === choice)?.port
  const numbers = new Set(ports.map(({ port }) => port))
  // A slice without ports stands for every port.
  if (choice !== undefined) return ports.length === 0 || numbers.has(choice) ? choice : undefined
  return numbers.size === 1 ? ports[0]?.port : undefined
}

function endpointOf(found: SliceEndpoint, port: number): Endpoint {
  const { pod, address, zone, serving, terminating } = found
  return {
    name: pod?.name ?? `${address}:${port}`,
    uid: pod?.uid ?? '',
    address,
    port,
    zone,
    serving,
    terminating,
  }
}

/** Whether `a` stands for the name that both have. */
function prevails(a: Endpoint, b: Endpoint): boolean {
  const [rankA, rankB] = [rankOf(a), rankOf(b)]
  if (rankA !== rankB) return rankA < rankB
  if (a.address !== b.address) return a.address < b.address
  if (a.port !== b.port) return a.port < b.port
  return a.uid === b.uid ? (a.zone ?? '') < (b.zone ?? '') : a.uid < b.uid
}

function rankOf({ serving, terminating }: Endpoint): number {
  if (terminating) return 2
  return serving ? 0 : 1
}
