import { isUint8Array } from 'node:util/types'
import { isObject } from '../../is-object.ts'
import { decodeMetadata, encodeMetadata, METADATA_LIMIT_BYTES, type MemberMetadata } from '../member.ts'

/** Metadata as the library carries it: the JSON object of `encodeMetadata`, as a MessagePack map. */
export type SwimMeta = Readonly<Record<string, unknown>>

/** What a member's `meta` holds. */
export interface DecodedMeta {
  /** The metadata as JSON, without the mark of a leave; empty when the member sent none. */
  readonly bytes: Uint8Array
  /** Undefined when there is none, or none that decodes. */
  readonly metadata: MemberMetadata | undefined
  /** Whether a faulty member says that it left by itself. */
  readonly left: boolean
}

const NONE: DecodedMeta = { bytes: new Uint8Array(), metadata: undefined, left: false }

const utf8 = new TextDecoder()

/**
 * The map to gossip for `metadata`: `{ServicePort, Weight?, Zone?, Name?}`. Once its member leaves, `Left: true` is added.
 *
 * @throws {RingmanError} `METADATA_TOO_LARGE`
 */
export function encodeSwimMeta(metadata: MemberMetadata): SwimMeta {
  return JSON.parse(utf8.decode(encodeMetadata(metadata))) as SwimMeta
}

/**
 * Reads the `meta` of an update: a map, or the same as JSON in text or bytes.
 *
 * @returns undefined for what is no metadata at all: another type, or more than 512 bytes as JSON. A map
 *   without a usable `ServicePort` is accepted and has `metadata` undefined.
 */
export function tryDecodeSwimMeta(meta: unknown): DecodedMeta | undefined {
  if (meta === undefined || meta === null) return NONE
  if (typeof meta === 'string' || isUint8Array(meta)) {
    const bytes = typeof meta === 'string' ? new TextEncoder().encode(meta) : meta
    if (bytes.byteLength > METADATA_LIMIT_BYTES) return undefined
    return { bytes, metadata: decodeMetadata(bytes), left: false }
  }
  if (!isObject(meta)) return undefined
  const { Left: left, ...rest } = meta
  const bytes = new TextEncoder().encode(JSON.stringify(rest))
  if (bytes.byteLength > METADATA_LIMIT_BYTES) return undefined
  return { bytes, metadata: decodeMetadata(bytes), left: left === true }
}
