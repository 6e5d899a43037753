import { assertNever, RingmanError } from '../../../errors.ts'
import { MAX_META_BYTES, MAX_NAME_BYTES } from './limits.ts'
import { malformed, unsendable } from './drop.ts'
import { type Message, type PingSource, MESSAGE_TYPE } from './messages.ts'
import { MsgpackReader } from './msgpack-reader.ts'
import { type DecodedRecord, decodeRecord, defineSchema, encodeTyped } from './record.ts'

const SOURCE_FIELDS = { SourceAddr: 'bytes', SourceNode: 'text', SourcePort: 'u16' } as const

const SOURCE = defineSchema(SOURCE_FIELDS)

const PING = defineSchema({ Node: 'text', SeqNo: 'u32', ...SOURCE_FIELDS })

const INDIRECT_PING = defineSchema({
  Nack: 'boolean',
  Node: 'text',
  Port: 'u16',
  SeqNo: 'u32',
  ...SOURCE_FIELDS,
  Target: 'bytes',
})

const ACK = defineSchema({ Payload: 'bytes', SeqNo: 'u32' })

const NACK = defineSchema({ SeqNo: 'u32' })

const SUSPECT_OR_DEAD = defineSchema({ ClusterName: 'text', From: 'text', Incarnation: 'u32', Node: 'text' })

const ALIVE = defineSchema({
  Addr: 'bytes',
  ClusterName: 'text',
  Incarnation: 'u32',
  Meta: 'bytes',
  Node: 'text',
  Port: 'u16',
  Vsn: 'bytes',
})

/**
 * Encodes one message as it stands alone in a datagram: its type byte, then its body.
 *
 * @throws RingmanError `METADATA_TOO_LARGE` for more than 512 bytes of metadata, `INTERNAL` for a message that
 * the protocol cannot carry: a number out of range, an address that is not 4 or 16 bytes, an empty name.
 */
export function encodeMessage(message: Message): Uint8Array {
  switch (message.kind) {
    case 'ping':
      return encodeTyped(MESSAGE_TYPE.ping, PING, {
        Node: checkedName(message.node, 0),
        SeqNo: message.seqNo,
        ...sourceFields(message.source),
      })
    case 'indirect-ping':
      return encodeTyped(MESSAGE_TYPE.indirectPing, INDIRECT_PING, {
        Nack: message.nack,
        Node: checkedName(message.node, 0),
        Port: checkedPort(message.port),
        SeqNo: message.seqNo,
        ...sourceFields(message.source),
        Target: checkedAddress(message.target),
      })
    case 'ack':
      return encodeTyped(MESSAGE_TYPE.ack, ACK, {
        Payload: nilIfEmpty(message.payload),
        SeqNo: message.seqNo,
      })
    case 'nack':
      return encodeTyped(MESSAGE_TYPE.nack, NACK, { SeqNo: message.seqNo })
    case 'suspect':
    case 'dead':
      return encodeTyped(MESSAGE_TYPE[message.kind], SUSPECT_OR_DEAD, {
        ClusterName: checkedClusterName(message.clusterName),
        From: checkedName(message.from, 0),
        Incarnation: message.incarnation,
        Node: checkedName(message.node, 1),
      })
    case 'alive':
      return encodeTyped(MESSAGE_TYPE.alive, ALIVE, {
        Addr: checkedAddress(message.address),
        ClusterName: checkedClusterName(message.clusterName),
        Incarnation: message.incarnation,
        Meta: nilIfEmpty(checkedMeta(message.meta)),
        Node: checkedName(message.node, 1),
        Port: checkedPort(message.port),
        Vsn: checkedVsn(message.vsn),
      })
    case 'user': {
      const bytes = new Uint8Array(1 + message.payload.length)
      bytes[0] = MESSAGE_TYPE.user
      bytes.set(message.payload, 1)
      return bytes
    }
    default:
      return assertNever(message)
  }
}

/**
 * Decodes one message from `bytes`, its type byte first. The result holds copies, so that `bytes` may be
 * reused. Bytes behind the message are ignored, as in Go.
 *
 * @returns The message, or undefined when the type is not one of a message (compound, compress and the other
 * wrappers, and what only streams carry, among them).
 * @throws RingmanError `WIRE_MALFORMED`.
 */
export function tryDecodeMessage(bytes: Uint8Array): Message | undefined {
  if (bytes.length === 0) throw malformed('a message has no type byte')
  switch (bytes[0]!) {
    case MESSAGE_TYPE.ping: {
      const record = decodeRecord(new MsgpackReader(bytes, 1), PING)
      return withSource(
        { kind: 'ping', seqNo: required(record.SeqNo, 'ping.SeqNo'), node: record.Node ?? '' },
        record,
      )
    }
    case MESSAGE_TYPE.indirectPing: {
      const record = decodeRecord(new MsgpackReader(bytes, 1), INDIRECT_PING)
      return withSource(
        {
          kind: 'indirect-ping',
          seqNo: required(record.SeqNo, 'indirect ping.SeqNo'),
          target: readAddress(record.Target, 'indirect ping.Target'),
          port: record.Port ?? 0,
          node: record.Node ?? '',
          nack: record.Nack ?? false,
        },
        record,
      )
    }
    case MESSAGE_TYPE.ack: {
      const record = decodeRecord(new MsgpackReader(bytes, 1), ACK)
      return { kind: 'ack', seqNo: required(record.SeqNo, 'ack.SeqNo'), payload: copied(record.Payload) }
    }
    case MESSAGE_TYPE.nack: {
      const record = decodeRecord(new MsgpackReader(bytes, 1), NACK)
      return { kind: 'nack', seqNo: required(record.SeqNo, 'nack.SeqNo') }
    }
    case MESSAGE_TYPE.suspect:
      return decodeSuspectOrDead('suspect', bytes)
    case MESSAGE_TYPE.dead:
      return decodeSuspectOrDead('dead', bytes)
    case MESSAGE_TYPE.alive:
      return decodeAlive(bytes)
    case MESSAGE_TYPE.user:
      return { kind: 'user', payload: bytes.slice(1) }
    default:
      return undefined
  }
}

function decodeSuspectOrDead(kind: 'suspect' | 'dead', bytes: Uint8Array): Message {
  const record = decodeRecord(new MsgpackReader(bytes, 1), SUSPECT_OR_DEAD)
  return {
    kind,
    incarnation: required(record.Incarnation, `${kind}.Incarnation`),
    node: requiredName(record.Node, `${kind}.Node`),
    from: record.From ?? '',
    ...(record.ClusterName === undefined ? {} : { clusterName: record.ClusterName }),
  }
}

function decodeAlive(bytes: Uint8Array): Message {
  const record = decodeRecord(new MsgpackReader(bytes, 1), ALIVE)
  return {
    kind: 'alive',
    incarnation: required(record.Incarnation, 'alive.Incarnation'),
    node: requiredName(record.Node, 'alive.Node'),
    address: readAddress(record.Addr, 'alive.Addr'),
    port: record.Port ?? 0,
    meta: readMeta(record.Meta, 'alive.Meta'),
    vsn: readVsn(record.Vsn, 'alive.Vsn'),
    ...(record.ClusterName === undefined ? {} : { clusterName: record.ClusterName }),
  }
}

/** Adds the source of a ping when the peer wrote one that can be answered: an address and a port. */
function withSource<T extends Message>(message: T, record: DecodedRecord<typeof SOURCE>): T {
  const address = record.SourceAddr
  if (address === undefined || !isAddress(address) || record.SourcePort === undefined) return message
  const source: PingSource = {
    address: address.slice(),
    port: record.SourcePort,
    node: record.SourceNode ?? '',
  }
  return source.port === 0 ? message : { ...message, source }
}

/** Go leaves out each of the three that is empty. */
function sourceFields(source: PingSource | undefined) {
  if (source === undefined) return { SourceAddr: undefined, SourceNode: undefined, SourcePort: undefined }
  if (checkedPort(source.port) === 0) throw unsendable('a ping source needs a port')
  return {
    SourceAddr: checkedAddress(source.address),
    SourceNode: source.node === '' ? undefined : checkedName(source.node, 1),
    SourcePort: source.port,
  }
}

/** A field that has to be there. */
export function required<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw malformed('a field is missing', { field })
  return value
}

/** A name that must be there and not empty. */
function requiredName(name: string | undefined, field: string): string {
  if (name === undefined || name === '') throw malformed('a name is missing', { field })
  return name
}

/** Whether `bytes` can be an IPv4 or IPv6 address. */
export function isAddress(bytes: Uint8Array): boolean {
  return bytes.length === 4 || bytes.length === 16
}

function readAddress(bytes: Uint8Array | undefined, field: string): Uint8Array {
  if (bytes === undefined || !isAddress(bytes)) {
    throw malformed('an address must have 4 or 16 bytes', { field, length: bytes?.length ?? 0 })
  }
  return bytes.slice()
}

function readMeta(bytes: Uint8Array | undefined, field: string): Uint8Array {
  if (bytes !== undefined && bytes.length > MAX_META_BYTES) {
    throw malformed('metadata is too long', { field, length: bytes.length, max: MAX_META_BYTES })
  }
  return copied(bytes)
}

/** Six version bytes; a peer of the future may send more, which are left out. */
function readVsn(bytes: Uint8Array | undefined, field: string): Uint8Array {
  if (bytes === undefined || bytes.length < 6) {
    throw malformed('versions must have 6 bytes', { field, length: bytes?.length ?? 0 })
  }
  return bytes.slice(0, 6)
}

/** A copy of `bytes`; empty when there are none. */
function copied(bytes: Uint8Array | undefined): Uint8Array {
  return bytes === undefined ? new Uint8Array(0) : bytes.slice()
}

/** Go's empty byte slices are nil unless someone made them otherwise, and are written so. */
export function nilIfEmpty(bytes: Uint8Array): Uint8Array | null {
  return bytes.length === 0 ? null : bytes
}

/** `name`, if it can be sent. The limit is in bytes of UTF-8, of which a text has at least its length. */
export function checkedName(name: string, minLength: number): string {
  if (name.length < minLength) throw unsendable('an empty name cannot be sent')
  if (name.length * 3 > MAX_NAME_BYTES && new TextEncoder().encode(name).length > MAX_NAME_BYTES) {
    throw unsendable(`a name of more than ${MAX_NAME_BYTES} bytes cannot be sent`)
  }
  return name
}

/** `name`, if it is absent or can be sent. */
export function checkedClusterName(name: string | undefined): string | undefined {
  return name === undefined ? undefined : checkedName(name, 0)
}

export function checkedPort(port: number): number {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) throw unsendable(`${port} is not a port`)
  return port
}

export function checkedAddress(address: Uint8Array): Uint8Array {
  if (!isAddress(address)) throw unsendable(`an address of ${address.length} bytes cannot be sent`)
  return address
}

export function checkedVsn(vsn: Uint8Array): Uint8Array {
  if (vsn.length !== 6) throw unsendable(`versions of ${vsn.length} bytes cannot be sent`)
  return vsn
}

export function checkedMeta(meta: Uint8Array): Uint8Array {
  if (meta.length > MAX_META_BYTES) {
    throw new RingmanError(
      'METADATA_TOO_LARGE',
      `metadata has ${meta.length} bytes, ${MAX_META_BYTES} are allowed`,
      { detail: { length: meta.length, max: MAX_META_BYTES } },
    )
  }
  return meta
}
