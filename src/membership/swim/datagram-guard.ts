import { isIPv4 } from 'node:net'
import { isObject } from '../../is-object.ts'
import { isPort, isWithin } from '../../is-within.ts'
import type { GossipDropReason } from '../statistics.ts'
import { tryDecodeMsgpack, type MsgpackMap } from './msgpack-value.ts'
import { tryDecodeSwimMeta } from './swim-metadata.ts'

/** Message types of the library's protocol that it handles; 1 (compressed) and 2 (encrypted) it only reserves. */
export const MESSAGE_TYPE = { compound: 0, ping: 10, pingReq: 11, sync: 12, ack: 13, update: 14 } as const

/** Member states of the library's protocol. */
export const LIBRARY_STATE = { alive: 0, suspect: 1, faulty: 2 } as const

export interface UpdateData {
  /** `IPV4:PORT` */
  readonly host: string
  /** One of {@link LIBRARY_STATE}. */
  readonly state: number
  /** Safe integer >= 0. */
  readonly incarnation: number
  /** As it came; `tryDecodeSwimMeta` accepts it. */
  readonly meta: unknown
}

/** A message that is safe to hand to the library. */
export type SwimMessage =
  | { readonly kind: 'ping' | 'ack'; readonly data: { readonly seq: number } }
  | { readonly kind: 'ping-req'; readonly data: { readonly seq: number; readonly destination: string } }
  | { readonly kind: 'sync' | 'update'; readonly data: UpdateData }

/** Why a datagram, or a message in it, was dropped, with the words for it that all sources share. */
export const DATAGRAM_FAULTS = {
  empty: 'malformed',
  oversized: 'too-large',
  'type-unknown': 'unknown-type',
  'compound-malformed': 'malformed',
  'compound-nested': 'nested-too-deep',
  'body-malformed': 'malformed',
  'seq-invalid': 'malformed',
  'host-invalid': 'malformed',
  'state-invalid': 'malformed',
  'incarnation-invalid': 'incarnation-out-of-range',
  'metadata-invalid': 'malformed',
  /** A request to probe a host that is no member. */
  'destination-unknown': 'destination-unknown',
  /** More requests that cost an answer than are allowed in the time. */
  'rate-limited': 'rate-limited',
  /** A member beyond `maxMembers`. */
  'member-limit': 'too-many-members',
  /** A message that claims to come from this process's own address. */
  'self-address': 'self-address',
  /** The library failed on it: a fault of ringman. */
  'library-failed': 'library-failed',
} as const satisfies Record<string, GossipDropReason>

export type DatagramFault = keyof typeof DATAGRAM_FAULTS

export interface GuardLimits {
  readonly maxBytes: number
  readonly maxIncarnation: number
}

const TYPES: ReadonlySet<unknown> = new Set(Object.values(MESSAGE_TYPE))

/** Parts of a compound message. */
const PART_LIMIT = 1024

/** The largest incarnation that is believed lies this far ahead of the clock, in milliseconds. */
export const INCARNATION_AHEAD_MS = 86_400_000

/**
 * Checks a datagram whole before the library sees any of it: one bad part, and nothing of it counts.
 *
 * @returns The messages in order, or why there are none. It never throws.
 */
export function checkDatagram(
  bytes: Uint8Array,
  limits: GuardLimits,
): { readonly messages: readonly SwimMessage[] } | { readonly reason: DatagramFault } {
  if (bytes.byteLength === 0) return { reason: 'empty' }
  if (bytes.byteLength > limits.maxBytes) return { reason: 'oversized' }
  const parts = bytes[0] === MESSAGE_TYPE.compound ? splitCompound(bytes) : [bytes]
  if (parts === undefined) return { reason: 'compound-malformed' }
  const messages: SwimMessage[] = []
  for (const part of parts) {
    const message = checkMessage(part, limits)
    if (typeof message === 'string') return { reason: message }
    messages.push(message)
  }
  return { messages }
}

/**
 * The messages of a compound: type 0, count (uint16 LE), then count times length (uint16 LE) and message.
 *
 * @returns undefined when it is not well-formed.
 */
export function splitCompound(bytes: Uint8Array): Uint8Array[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < 3) return undefined
  const count = view.getUint16(1, true)
  if (count === 0 || count > PART_LIMIT) return undefined
  const parts: Uint8Array[] = []
  let offset = 3
  for (let index = 0; index < count; index++) {
    if (offset + 2 > bytes.byteLength) return undefined
    const length = view.getUint16(offset, true)
    offset += 2
    if (length === 0 || offset + length > bytes.byteLength) return undefined
    parts.push(bytes.subarray(offset, offset + length))
    offset += length
  }
  return offset === bytes.byteLength ? parts : undefined
}

function checkMessage(bytes: Uint8Array, limits: GuardLimits): SwimMessage | DatagramFault {
  const type = bytes[0]
  if (type === MESSAGE_TYPE.compound) return 'compound-nested'
  if (!TYPES.has(type)) return 'type-unknown'
  const decoded = tryDecodeMsgpack(bytes.subarray(1))
  if (!isObject(decoded?.value) || decoded.value instanceof Uint8Array) return 'body-malformed'
  const body = decoded.value
  if (type === MESSAGE_TYPE.sync || type === MESSAGE_TYPE.update) {
    const data = checkUpdate(body, limits)
    if (typeof data === 'string') return data
    if (type === MESSAGE_TYPE.update) return { kind: 'update', data }
    // Who asks to be told of the others is alive; the library would take any state as that.
    return data.state === LIBRARY_STATE.alive ? { kind: 'sync', data } : 'state-invalid'
  }
  const { seq, destination } = body
  if (!isWithin(seq, 0, Number.MAX_SAFE_INTEGER)) return 'seq-invalid'
  if (type === MESSAGE_TYPE.ping) return { kind: 'ping', data: { seq } }
  if (type === MESSAGE_TYPE.ack) return { kind: 'ack', data: { seq } }
  return isHost(destination) ? { kind: 'ping-req', data: { seq, destination } } : 'host-invalid'
}

function checkUpdate(body: MsgpackMap, limits: GuardLimits): UpdateData | DatagramFault {
  const { host, state, incarnation, meta } = body
  if (!isHost(host)) return 'host-invalid'
  if (state !== LIBRARY_STATE.alive && state !== LIBRARY_STATE.suspect && state !== LIBRARY_STATE.faulty) {
    return 'state-invalid'
  }
  if (!isWithin(incarnation, 0, limits.maxIncarnation)) return 'incarnation-invalid'
  if (tryDecodeSwimMeta(meta) === undefined) return 'metadata-invalid'
  return { host, state, incarnation, meta: meta ?? undefined }
}

/** Whether a value is `IPV4:PORT` in its one spelling, of a single host: not `0.x`, multicast or broadcast. */
export function isHost(value: unknown): value is string {
  if (typeof value !== 'string' || value.length > 21) return false
  const colon = value.indexOf(':')
  const address = value.slice(0, colon)
  const port = value.slice(colon + 1)
  return isUnicast(address) && isPort(port)
}

/** Whether a text is an IPv4 literal of a single host. */
export function isUnicast(address: string): boolean {
  if (!isIPv4(address)) return false
  const first = Number(address.slice(0, address.indexOf('.')))
  return first > 0 && first < 224
}
