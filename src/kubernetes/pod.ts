import { isIP } from 'node:net'
import { isObject } from './json-object.ts'

/** What is kept of a pod. */
export interface Pod {
  readonly name: string
  /** Tells it from its successor of the same name. */
  readonly uid: string
  /** `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`. */
  readonly phase: string
  /** Whether it is being deleted: its processes may still run. */
  readonly terminating: boolean
  /** Its addresses, one of each family at most; none before it has a network. */
  readonly addresses: readonly string[]
}

/** The API allows two, one of each family. */
const ADDRESSES_LIMIT = 4

/**
 * Takes what is needed of a pod.
 *
 * @returns undefined for what is no pod.
 */
export function parsePod(value: unknown): Pod | undefined {
  if (!isObject(value) || !isObject(value['metadata'])) return undefined
  const { name, uid, deletionTimestamp } = value['metadata']
  if (typeof name !== 'string' || name === '' || typeof uid !== 'string' || uid === '') return undefined
  const status = isObject(value['status']) ? value['status'] : {}
  const { phase, podIP, podIPs } = status
  const listed = Array.isArray(podIPs)
    ? podIPs.slice(0, ADDRESSES_LIMIT).map((entry: unknown) => (isObject(entry) ? entry['ip'] : undefined))
    : []
  const addresses = [...new Set([podIP, ...listed])].filter(
    (address): address is string => typeof address === 'string' && isIP(address) !== 0,
  )
  return {
    name,
    uid,
    phase: typeof phase === 'string' ? phase : 'Unknown',
    terminating: typeof deletionTimestamp === 'string',
    addresses,
  }
}
