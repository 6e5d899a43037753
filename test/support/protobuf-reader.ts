/** One field of a protobuf message. */
export interface ProtobufField {
  readonly number: number
  /** A varint (wire type 0) or a fixed64 (1) as a number without sign; bytes for a length-delimited field (2). */
  readonly value: bigint | Uint8Array
}

/**
 * The fields of a protobuf message, in order.
 *
 * @throws {Error} for bytes that are none.
 * @see https://protobuf.dev/programming-guides/encoding/
 */
export function readProtobuf(bytes: Uint8Array): ProtobufField[] {
  const fields: ProtobufField[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Error('a varint is cut off')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new Error('a varint is too long')
  }
  const take = (length: number): number => {
    const start = at
    at += length
    if (at > bytes.length) throw new Error('a field is cut off')
    return start
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const number = tag >>> 3
    switch (tag & 7) {
      case 0:
        fields.push({ number, value: varint() })
        break
      case 1:
        fields.push({ number, value: view.getBigUint64(take(8), true) })
        break
      case 2: {
        const length = Number(varint())
        const start = take(length)
        fields.push({ number, value: bytes.subarray(start, start + length) })
        break
      }
      case 5:
        fields.push({ number, value: BigInt(view.getUint32(take(4), true)) })
        break
      default:
        throw new Error(`wire type ${tag & 7} is not known`)
    }
  }
  return fields
}
