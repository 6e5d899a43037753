import { isWithin } from '../../is-within.ts'
import { isPlainText, listedMember, type Member } from '../member.ts'
import { byName } from '../member-set.ts'
import { STATUS, type SidecarService } from './catalog.ts'

/** A place where the service runs, or ran: what becomes a member. */
export interface Instance {
  /** `address:port`, unique in a selection. */
  readonly name: string
  readonly address: string
  readonly port: number
  readonly state: 'alive' | 'left' | 'dead'
}

/** Why an instance that is alive is not in a selection, as a log line says it. */
export const SKIP_REASONS = {
  'no-matching-port': 'none of its ports has the service port',
  'port-out-of-range': 'its port is not from 1 to 65535',
  'address-unusable': 'its port has no usable IP and it has no usable host name',
} as const

type SkipReason = keyof typeof SKIP_REASONS

/** The members-to-be of one state, and the instances that had to be left out. */
export interface Selection {
  /** Sorted by name. */
  readonly instances: readonly Instance[]
  readonly skipped: readonly { readonly id: string; readonly hostname: string; readonly reason: SkipReason }[]
  /** Equal for two selections exactly when their instances are. */
  readonly signature: string
}

/** Longest address in characters: that of a host name. */
const ADDRESS_LIMIT = 253

/** What an address may not hold: spaces and halves of characters. */
const unusable = /[\s\ud800-\udfff]/u

/**
 * Turns the instances of a service into members-to-be. The first port whose `ServicePort` matches is the one;
 * its IP, or the instance's host name where it has none, is the address. A container that was replaced leaves a
 * tombstone on the same address and port: what is alive stands for both, else what was updated last.
 */
export function selectInstances(services: readonly SidecarService[], servicePort: number): Selection {
  const chosen = new Map<string, Candidate>()
  const skipped: { id: string; hostname: string; reason: SkipReason }[] = []
  for (const service of services) {
    const state = stateOf(service.status)
    const found = place(service, servicePort)
    if (typeof found === 'string') {
      if (state === 'alive') skipped.push({ id: service.id, hostname: service.hostname, reason: found })
      continue
    }
    const name = `${found.address}:${found.port}`
    const rival = chosen.get(name)
    const candidate = { instance: { ...found, name, state }, updated: service.updated, id: service.id }
    if (rival === undefined || prevails(candidate, rival)) chosen.set(name, candidate)
  }
  const instances = [...chosen.values()].map(({ instance }) => instance).sort(byName)
  return { instances, skipped, signature: JSON.stringify(instances.map(({ name, state }) => [name, state])) }
}

/**
 * The members that a selection makes. One that was there in the same state before is the same object, so that
 * it keeps the moment since which it is in that state.
 *
 * @param nowMs - Milliseconds since the Unix epoch.
 */
export function membersOf(selection: Selection, before: readonly Member[], nowMs: number): Member[] {
  const known = new Map(before.map((member) => [member.name, member]))
  return selection.instances.map((instance) => {
    const member = known.get(instance.name)
    return member?.state === instance.state ? member : listedMember(instance, nowMs)
  })
}

function place(service: SidecarService, servicePort: number): { address: string; port: number } | SkipReason {
  const match = service.ports.find((port) => port.servicePort === servicePort)
  if (match === undefined) return 'no-matching-port'
  if (!isWithin(match.port, 1, 65_535)) return 'port-out-of-range'
  const address = match.ip === '' ? service.hostname : match.ip
  if (address.length > ADDRESS_LIMIT || unusable.test(address) || !isPlainText(address)) {
    return 'address-unusable'
  }
  return { address, port: match.port }
}

/**
 * A draining instance goes on purpose, which is `left`. The unhealthy and the unknown are `dead`, not `suspect`:
 * a suspect keeps its place on the ring, and Sidecar's rule is that only the alive have one.
 */
function stateOf(status: number): Instance['state'] {
  if (status === STATUS.alive) return 'alive'
  return status === STATUS.draining ? 'left' : 'dead'
}

interface Candidate extends Pick<SidecarService, 'id' | 'updated'> {
  readonly instance: Instance
}

/** Whether `a` stands for the name that both have; the order in which they came does not matter. */
function prevails(a: Candidate, b: Candidate): boolean {
  if ((a.instance.state === 'alive') !== (b.instance.state === 'alive')) return a.instance.state === 'alive'
  if (a.updated !== b.updated) return a.updated > b.updated
  return a.id < b.id
}
