import { readFileSync } from 'node:fs'
import type { Message, StreamMessage } from '../../../../src/membership/memberlist/wire/messages.ts'

/** A value of a recorded decoded form: bytes stand as `{ hex }`, text as text, an absent byte string as null. */
type Field = string | number | boolean | null | { readonly hex: string } | undefined

/** Fields of a message by their names on the wire. */
export type RecordedFields = Readonly<Record<string, Field>>

/** A recorded message, by its kind; wrappers hold what is in them. */
export interface RecordedMessage {
  readonly ping?: RecordedFields
  readonly indirectPing?: RecordedFields
  readonly ackResp?: RecordedFields
  readonly nackResp?: RecordedFields
  readonly suspect?: RecordedFields
  readonly alive?: RecordedFields
  readonly dead?: RecordedFields
  readonly user?: RecordedFields
  readonly error?: RecordedFields
  readonly compound?: readonly RecordedMessage[]
  readonly compress?: { readonly inner: RecordedMessage; readonly plainLen: number }
  readonly hasCrc?: string
  readonly label?: string
  readonly encrypt?: { readonly version: 0 | 1; readonly nonce: string }
  /** What is in a checksum, an encryption or a label. */
  readonly inner?: RecordedMessage
  readonly pushPull?: {
    readonly header: RecordedFields
    readonly nodes: readonly RecordedFields[]
    readonly userState: string | { readonly hex: string }
  }
}

/** How the Go members of one run were configured. */
export interface Setup {
  readonly name: string
  readonly label: string
  readonly keys: readonly string[] | null
  readonly compress: boolean
}

/** A recording of a run. */
export interface Vector {
  readonly setup: string
  readonly proto: 'udp' | 'tcp'
  readonly role?: 'request' | 'response'
  readonly hex: string
  readonly msg: RecordedMessage
}

/** What Go's LZW makes of an input, which stands there or is made by `recipeBytes`. */
export type LzwVector =
  | { readonly input: string; readonly output: string }
  | {
      readonly seed: number
      readonly alphabet: number
      readonly length: number
      readonly outputLength: number
      readonly outputSha256: string
    }

/** What hashicorp/memberlist wrote; see the file's note. */
export const vectorFile = JSON.parse(
  readFileSync(new URL('../../../golden/memberlist-vectors.json', import.meta.url), 'utf8'),
) as {
  readonly setups: readonly Setup[]
  readonly vectors: readonly Vector[]
  readonly integers: readonly { readonly value: number; readonly 'v0.5.5': string; readonly v2: string }[]
  readonly lzw: readonly LzwVector[]
}

/** The layers of a recording, outermost first. */
export function layersOf(recorded: RecordedMessage): readonly RecordedMessage[] {
  const inner = recorded.inner ?? recorded.compress?.inner
  return [recorded, ...(inner === undefined ? [] : layersOf(inner))]
}

/** A datagram, or all the bytes of one side of a connection. */
export interface Recording {
  readonly proto: 'udp' | 'tcp'
  readonly hex: string
  readonly msg: RecordedMessage
}

/** The traffic of three Go ringman peers; see the file's note. */
export const recordings = JSON.parse(
  readFileSync(new URL('../../../golden/wire.json', import.meta.url), 'utf8'),
) as { readonly note: string; readonly plain: readonly Recording[]; readonly lz: readonly Recording[] }

/** Bytes as the codecs make them: a plain `Uint8Array`, not a `Buffer`. */
export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'))
}

/** Lower-case hex, as in the recordings. */
export function toHex(encoded: Uint8Array): string {
  return Buffer.from(encoded).toString('hex')
}

/** The messages of a recorded datagram, without their wrappers. */
export function expectedMessages(recorded: RecordedMessage): Message[] {
  if (recorded.inner !== undefined) return expectedMessages(recorded.inner)
  if (recorded.compress !== undefined) return expectedMessages(recorded.compress.inner)
  if (recorded.compound !== undefined) return recorded.compound.flatMap(expectedMessages)
  return [expectedMessage(recorded)]
}

/** The message of a recorded stream, without its wrappers. */
export function expectedStreamMessage(recorded: RecordedMessage): StreamMessage {
  if (recorded.inner !== undefined) return expectedStreamMessage(recorded.inner)
  if (recorded.compress !== undefined) return expectedStreamMessage(recorded.compress.inner)
  if (recorded.error !== undefined) return { kind: 'error', text: text(recorded.error['Error']) }
  if (recorded.pushPull === undefined) return expectedMessage(recorded) as StreamMessage
  const { header, nodes, userState } = recorded.pushPull
  return {
    kind: 'push-pull',
    pushPull: {
      join: header['Join'] === true,
      nodes: nodes.map((node) => ({
        name: text(node['Name']),
        address: bytes(node['Addr']),
        port: number(node['Port']),
        meta: bytes(node['Meta']),
        incarnation: number(node['Incarnation']),
        state: number(node['State']),
        vsn: bytes(node['Vsn']),
      })),
      userState: bytes(userState),
      ...clusterName(header),
    },
  }
}

function expectedMessage(recorded: RecordedMessage): Message {
  if (recorded.ping !== undefined) {
    const fields = recorded.ping
    return { kind: 'ping', seqNo: number(fields['SeqNo']), node: text(fields['Node']), ...source(fields) }
  }
  if (recorded.indirectPing !== undefined) {
    const fields = recorded.indirectPing
    return {
      kind: 'indirect-ping',
      seqNo: number(fields['SeqNo']),
      target: bytes(fields['Target']),
      port: number(fields['Port']),
      node: text(fields['Node']),
      nack: fields['Nack'] === true,
      ...source(fields),
    }
  }
  if (recorded.ackResp !== undefined) {
    return {
      kind: 'ack',
      seqNo: number(recorded.ackResp['SeqNo']),
      payload: bytes(recorded.ackResp['Payload']),
    }
  }
  if (recorded.nackResp !== undefined) return { kind: 'nack', seqNo: number(recorded.nackResp['SeqNo']) }
  if (recorded.user !== undefined) return { kind: 'user', payload: bytes(recorded.user['Payload']) }
  if (recorded.alive !== undefined) {
    const fields = recorded.alive
    return {
      kind: 'alive',
      incarnation: number(fields['Incarnation']),
      node: text(fields['Node']),
      address: bytes(fields['Addr']),
      port: number(fields['Port']),
      meta: bytes(fields['Meta']),
      vsn: bytes(fields['Vsn']),
      ...clusterName(fields),
    }
  }
  const fields = recorded.suspect ?? recorded.dead
  if (fields === undefined) throw new Error(`unknown recorded message: ${JSON.stringify(recorded)}`)
  return {
    kind: recorded.suspect === undefined ? 'dead' : 'suspect',
    incarnation: number(fields['Incarnation']),
    node: text(fields['Node']),
    from: text(fields['From']),
    ...clusterName(fields),
  }
}

function source(fields: RecordedFields) {
  if (fields['SourceAddr'] === undefined) return {}
  return {
    source: {
      address: bytes(fields['SourceAddr']),
      port: number(fields['SourcePort']),
      node: text(fields['SourceNode']),
    },
  }
}

function clusterName(fields: RecordedFields) {
  const name = fields['ClusterName']
  return name === undefined ? {} : { clusterName: text(name) }
}

function bytes(field: Field): Uint8Array {
  if (field === null) return new Uint8Array(0)
  if (typeof field === 'string') return new TextEncoder().encode(field)
  if (typeof field === 'object') return fromHex(field.hex)
  throw new Error(`not recorded bytes: ${String(field)}`)
}

function number(field: Field): number {
  if (typeof field !== 'number') throw new Error(`not a recorded number: ${JSON.stringify(field)}`)
  return field
}

function text(field: Field): string {
  if (typeof field !== 'string') throw new Error(`not recorded text: ${JSON.stringify(field)}`)
  return field
}
