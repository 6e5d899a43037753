import { assertNever } from '../../../errors.ts'
import { MAX_FIELDS, MAX_NAME_BYTES } from './limits.ts'
import { malformed } from './drop.ts'
import type { MsgpackReader } from './msgpack-reader.ts'
import { MsgpackWriter } from './msgpack-writer.ts'
import { encodeText } from './text.ts'

type FieldType = 'u8' | 'u16' | 'u32' | 'boolean' | 'text' | 'bytes'

type Fields = Readonly<Record<string, FieldType>>

type ValueOf<T extends FieldType> = T extends 'boolean'
  ? boolean
  : T extends 'text'
    ? string
    : T extends 'bytes'
      ? Uint8Array
      : number

/** The fields of a message, by their names on the wire. */
export interface Schema<F extends Fields = Fields> {
  readonly fields: F
  /** Sorted, as Go writes them. */
  readonly names: readonly string[]
  readonly nameBytes: readonly Uint8Array[]
}

/** The fields that were there. Go reads an absent field and a nil as the type's zero, so both are undefined. */
export type DecodedRecord<S extends Schema> = { readonly [K in keyof S['fields']]?: ValueOf<S['fields'][K]> }

/** The fields to write: null writes a nil, undefined leaves the field out. */
export type RecordToEncode<S extends Schema> = {
  readonly [K in keyof S['fields']]: ValueOf<S['fields'][K]> | null | undefined
}

const MAX_OF = { u8: 0xff, u16: 0xffff, u32: 0xffff_ffff } as const

/** Makes a schema of fields in any order. */
export function defineSchema<const F extends Fields>(fields: F): Schema<F> {
  const names = Object.keys(fields).toSorted()
  return { fields, names, nameBytes: names.map(encodeText) }
}

/**
 * Reads one message body: a msgpack map from field names to values. Unknown fields are passed over; of a
 * repeated field the last one counts, as in Go. Bytes are views into what is read.
 */
export function decodeRecord<S extends Schema>(reader: MsgpackReader, schema: S): DecodedRecord<S> {
  const count = reader.readMapHeader()
  if (count > MAX_FIELDS) throw malformed('a message has too many fields', { count, max: MAX_FIELDS })
  const record: Record<string, unknown> = {}
  let guess = 0
  for (let i = 0; i < count; i++) {
    const index = reader.readKey(schema.nameBytes, guess)
    const name = schema.names[index]
    if (name === undefined) reader.skip()
    else {
      record[name] = reader.tryReadNil() ? undefined : readValue(reader, schema.fields[name]!)
      guess = index + 1
    }
  }
  return record as DecodedRecord<S>
}

/** Writes one message body, the fields in the order of their names. */
export function encodeRecord<S extends Schema>(
  writer: MsgpackWriter,
  schema: S,
  record: RecordToEncode<S>,
): void {
  const { names, nameBytes } = schema
  writer.writeMapHeader(names.filter((name) => record[name] !== undefined).length)
  for (const [index, name] of names.entries()) {
    const value: boolean | number | string | Uint8Array | null | undefined = record[name]
    if (value === undefined) continue
    writer.writeBytes(nameBytes[index]!)
    if (value === null) writer.writeNil()
    else if (typeof value === 'boolean') writer.writeBoolean(value)
    else if (typeof value === 'number') writer.writeUint(value)
    else if (typeof value === 'string') writer.writeText(value)
    else writer.writeBytes(value)
  }
}

/**
 * Encodes a message that is one record: its type byte, then the record.
 *
 * @param capacity - Bytes to make room for at first.
 */
export function encodeTyped<S extends Schema>(
  type: number,
  schema: S,
  record: RecordToEncode<S>,
  capacity?: number,
): Uint8Array {
  const writer = new MsgpackWriter(capacity)
  writer.writeByte(type)
  encodeRecord(writer, schema, record)
  return writer.finish()
}

function readValue(reader: MsgpackReader, type: FieldType): boolean | number | string | Uint8Array {
  switch (type) {
    case 'boolean':
      return reader.readBoolean()
    case 'text':
      return reader.readText(MAX_NAME_BYTES)
    case 'bytes':
      return reader.readBytes()
    case 'u8':
    case 'u16':
    case 'u32':
      return reader.readUint(MAX_OF[type])
    default:
      return assertNever(type)
  }
}
