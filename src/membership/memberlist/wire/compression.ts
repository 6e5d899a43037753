import { compressLzw, decompressLzw, LzwExpansion } from './lzw.ts'
import { malformed } from './drop.ts'
import { MESSAGE_TYPE } from './messages.ts'
import { MsgpackReader } from './msgpack-reader.ts'
import { decodeRecord, defineSchema, encodeTyped } from './record.ts'

const COMPRESS = defineSchema({ Algo: 'u8', Buf: 'bytes' })

/** The one algorithm there is. */
const LZW = 0

/** Wraps an encoded message into a compress message. It may come out longer. */
export function encodeCompressed(message: Uint8Array): Uint8Array {
  const compressed = compressLzw(message)
  return encodeTyped(MESSAGE_TYPE.compress, COMPRESS, { Algo: LZW, Buf: compressed }, compressed.length + 32)
}

/**
 * Unwraps a compress message, its type byte first.
 *
 * @param maxBytes - The most that may come out.
 * @throws RingmanError `WIRE_MALFORMED`; with `detail.limit` when more than `maxBytes` would come out.
 */
export function decodeCompressed(bytes: Uint8Array, maxBytes: number): Uint8Array {
  return decompressLzw(compressedBytes(bytes), maxBytes)
}

/** Begins to unwrap a compress message in steps; it throws as {@link decodeCompressed} does. */
export function beginExpansion(bytes: Uint8Array, maxBytes: number): LzwExpansion {
  return new LzwExpansion(compressedBytes(bytes), maxBytes)
}

function compressedBytes(bytes: Uint8Array): Uint8Array {
  const record = decodeRecord(new MsgpackReader(bytes, 1), COMPRESS)
  const algorithm = record.Algo ?? LZW
  if (algorithm !== LZW) throw malformed('an unknown compression algorithm', { algorithm })
  if (record.Buf === undefined) throw malformed('a field is missing', { field: 'compress.Buf' })
  return record.Buf
}
