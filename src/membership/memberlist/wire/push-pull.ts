import { DEFAULT_LIMITS, MAX_EVICTED, MAX_META_BYTES, MAX_NAME_BYTES, type WireLimits } from './limits.ts'
import { malformed, overLimit, unsendable } from './drop.ts'
import {
  checkedAddress,
  checkedClusterName,
  checkedMeta,
  checkedName,
  checkedPort,
  checkedVsn,
  isAddress,
  nilIfEmpty,
  required,
} from './message-codec.ts'
import { type EvictedMember, type PushPull, type PushPullNode, MESSAGE_TYPE } from './messages.ts'
import { MsgpackReader } from './msgpack-reader.ts'
import { MsgpackScanner } from './msgpack-scanner.ts'
import { MsgpackWriter } from './msgpack-writer.ts'
import { decodeRecord, encodeRecord, defineSchema } from './record.ts'
import { tryDecodeText } from './text.ts'

const HEADER = defineSchema({
  ClusterName: 'text',
  Evicted: 'bytes',
  Join: 'boolean',
  Nodes: 'u32',
  UserStateLen: 'u32',
})

/** In `Evicted` one stands behind the other. */
const EVICTED = defineSchema({ ForMs: 'u32', Name: 'text' })

/** `Name` is read as bytes, so that one member with a strange name does not spoil the whole exchange. */
const NODE = defineSchema({
  Addr: 'bytes',
  Incarnation: 'u32',
  Meta: 'bytes',
  Name: 'bytes',
  Port: 'u16',
  State: 'u8',
  Vsn: 'bytes',
})

const NODE_TO_ENCODE = defineSchema({ ...NODE.fields, Name: 'text' })

type LimitsUsed = Pick<WireLimits, 'maxNodes' | 'maxUserStateBytes'>

/** Encodes a push/pull: type byte, header, one map for each member, the application's bytes. */
export function encodePushPull(pushPull: PushPull): Uint8Array {
  const writer = new MsgpackWriter(256 + pushPull.nodes.length * 160 + pushPull.userState.length)
  writer.writeByte(MESSAGE_TYPE.pushPull)
  encodeRecord(writer, HEADER, {
    ClusterName: checkedClusterName(pushPull.clusterName),
    Evicted: pushPull.evicted && encodeEvicted(pushPull.evicted),
    Join: pushPull.join,
    Nodes: pushPull.nodes.length,
    UserStateLen: pushPull.userState.length,
  })
  for (const node of pushPull.nodes) {
    if (node.state > 3) throw unsendable(`${node.state} is not a state`)
    encodeRecord(writer, NODE_TO_ENCODE, {
      Addr: checkedAddress(node.address),
      Incarnation: node.incarnation,
      Meta: nilIfEmpty(checkedMeta(node.meta)),
      Name: checkedName(node.name, 1),
      Port: checkedPort(node.port),
      State: node.state,
      Vsn: checkedVsn(node.vsn),
    })
  }
  writer.append(pushPull.userState)
  return writer.finish()
}

function encodeEvicted(evicted: readonly EvictedMember[]): Uint8Array {
  const writer = new MsgpackWriter()
  for (const { name, forMs } of evicted) encodeRecord(writer, EVICTED, { ForMs: forMs, Name: name })
  return writer.finish()
}

/**
 * Decodes a push/pull while its bytes arrive. Nothing in the bytes tells where it ends but its own counts, so
 * that these are followed, member by member; no room is made for what has not arrived.
 */
export class PushPullDecoder {
  readonly #limits: LimitsUsed
  readonly #maxEnd: number
  readonly #nodes: PushPullNode[] = []
  #scanner: MsgpackScanner
  /** Where the value that is being scanned starts. */
  #start: number
  #header: { nodes: number; userStateBytes: number; rest: Omit<PushPull, 'nodes' | 'userState'> } | undefined
  #nodesSeen = 0

  /**
   * @param start - Offset of the first byte behind the message type.
   * @param maxEnd - Offset that the message must not reach beyond.
   */
  constructor(start: number, maxEnd: number, limits: LimitsUsed = DEFAULT_LIMITS) {
    this.#start = start
    this.#maxEnd = maxEnd
    this.#limits = limits
    this.#scanner = new MsgpackScanner(start, maxEnd)
  }

  /**
   * Goes on over `bytes[0, available)`, which must begin with the bytes of earlier calls. Members are left out that have no
   * name or one that is not UTF-8, or an address, metadata, state or versions of a wrong size.
   *
   * @returns The push/pull, or undefined while bytes are missing.
   * @throws RingmanError `WIRE_MALFORMED`; with `detail.limit` when there would be too much of something.
   */
  advance(bytes: Uint8Array, available: number): PushPull | undefined {
    if (this.#header === undefined) {
      const end = this.#scanner.advance(bytes, available)
      if (end === undefined) return undefined
      this.#readHeader(bytes, end)
    }
    const header = this.#header!
    while (this.#nodesSeen < header.nodes) {
      const end = this.#scanner.advance(bytes, available)
      if (end === undefined) return undefined
      const node = tryDecodeNode(bytes, this.#start, end)
      if (node !== undefined) this.#nodes.push(node)
      this.#nodesSeen++
      this.#startValue(end)
    }
    const end = this.#start + header.userStateBytes
    if (available < end) return undefined
    return { ...header.rest, nodes: this.#nodes, userState: bytes.slice(this.#start, end) }
  }

  #readHeader(bytes: Uint8Array, end: number): void {
    const record = decodeRecord(new MsgpackReader(bytes, this.#start, end), HEADER)
    const nodes = required(record.Nodes, 'push/pull.Nodes')
    const userStateBytes = record.UserStateLen ?? 0
    if (nodes > this.#limits.maxNodes) throw overLimit('maxNodes', this.#limits.maxNodes)
    if (userStateBytes > this.#limits.maxUserStateBytes) {
      throw overLimit('maxUserStateBytes', this.#limits.maxUserStateBytes)
    }
    this.#startValue(end)
    if (this.#start + nodes + userStateBytes > this.#maxEnd) {
      throw malformed('a push/pull claims more than there can be', { nodes, userStateBytes })
    }
    const { Join: join = false, ClusterName: clusterName, Evicted } = record
    const rest = {
      join,
      ...(clusterName === undefined ? {} : { clusterName }),
      ...(Evicted === undefined ? {} : { evicted: decodeEvicted(Evicted) }),
    }
    this.#header = { nodes, userStateBytes, rest }
  }

  #startValue(start: number): void {
    this.#start = start
    this.#scanner = new MsgpackScanner(start, this.#maxEnd)
  }
}

function decodeEvicted(bytes: Uint8Array): EvictedMember[] {
  const reader = new MsgpackReader(bytes)
  const evicted: EvictedMember[] = []
  while (reader.offset < bytes.length) {
    if (evicted.length === MAX_EVICTED) throw overLimit('MAX_EVICTED', MAX_EVICTED)
    const { Name, ForMs } = decodeRecord(reader, EVICTED)
    evicted.push({ name: required(Name, 'Evicted.Name'), forMs: required(ForMs, 'Evicted.ForMs') })
  }
  return evicted
}

/** One member, or undefined for one that cannot be used. Throws only when the bytes are not such a map. */
function tryDecodeNode(bytes: Uint8Array, start: number, end: number): PushPullNode | undefined {
  const record = decodeRecord(new MsgpackReader(bytes, start, end), NODE)
  const { Addr: address, Meta: meta, Name: nameBytes, Vsn: vsn, State: state = 0 } = record
  if (nameBytes === undefined || nameBytes.length > MAX_NAME_BYTES) return undefined
  const name = tryDecodeText(nameBytes)
  if (name === undefined || name === '') return undefined
  if (address === undefined || !isAddress(address)) return undefined
  if (vsn === undefined || vsn.length < 6 || state > 3) return undefined
  if (meta !== undefined && meta.length > MAX_META_BYTES) return undefined
  return {
    name,
    address: address.slice(),
    port: record.Port ?? 0,
    meta: meta === undefined ? new Uint8Array(0) : meta.slice(),
    incarnation: record.Incarnation ?? 0,
    state,
    vsn: vsn.slice(0, 6),
  }
}
