import { assertNever } from '../../../errors.ts'
import { MAX_FIELDS, MAX_NAME_BYTES } from './limits.ts'
import { malformed } from './malformed.ts'
import type { MsgpackReader } from './msgpack-reader.ts'
import type { MsgpackWriter } from './msgpack-writer.ts'

type FieldType = 'u8' | 'u16' | 'u32' | 'boolean' | 'text' | 'bytes'

/** The fields of a message by their names on the wire, in the order in which Go writes them: sorted by name. */
export type Schema = Readonly<Record<string, FieldType>>

type ValueOf<T extends FieldType> = T extends 'boolean'
  ? boolean
  : T extends 'text'
    ? string
    : T extends 'bytes'
      ? Uint8Array
      : number

/** The fields that were there. Go reads an absent field and a nil as the type's zero, so both are undefined. */
export type DecodedRecord<S extends Schema> = { readonly [K in keyof S]?: ValueOf<S[K]> }

/** The fields to write: null writes a nil, undefined leaves the field out. */
export type RecordToEncode<S extends Schema> = {
  readonly [K in keyof S]: ValueOf<S[K]> | null | undefined
}

/** Longer than any key that is known. */
const MAX_KEY_BYTES = 16

const MAX_OF = { u8: 0xff, u16: 0xffff, u32: 0xffff_ffff } as const

/**
 * Reads one message body: a msgpack map from field names to values. Unknown fields are passed over; of a
 * repeated field the last one counts, as in Go. Bytes are views into what is read.
 */
export function decodeRecord<S extends Schema>(reader: MsgpackReader, schema: S): DecodedRecord<S> {
  const count = reader.readMapHeader()
  if (count > MAX_FIELDS) throw malformed('a message has too many fields', { count, max: MAX_FIELDS })
  const record: Record<string, unknown> = {}
  for (let i = 0; i < count; i++) {
    const key = reader.readKey(MAX_KEY_BYTES)
    const type = Object.hasOwn(schema, key) ? schema[key] : undefined
    if (type === undefined) reader.skip()
    else record[key] = reader.tryReadNil() ? undefined : readValue(reader, type)
  }
  return record as DecodedRecord<S>
}

/** Writes one message body, the fields in the schema's order. */
export function encodeRecord<S extends Schema>(
  writer: MsgpackWriter,
  schema: S,
  record: RecordToEncode<S>,
): void {
  const present = Object.keys(schema).filter((name) => record[name] !== undefined)
  writer.writeMapHeader(present.length)
  for (const name of present) {
    writer.writeText(name)
    const value: boolean | number | string | Uint8Array | null | undefined = record[name]
    if (value === null || value === undefined) writer.writeNil()
    else if (typeof value === 'boolean') writer.writeBoolean(value)
    else if (typeof value === 'number') writer.writeUint(value)
    else if (typeof value === 'string') writer.writeText(value)
    else writer.writeBytes(value)
  }
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
