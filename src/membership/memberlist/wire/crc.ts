const POLYNOMIAL = 0xedb8_8320

/** Tables for four bytes at a time: `tables[256 * k + b]` is the remainder of byte `b` followed by `k` zero bytes. */
const TABLES = makeTables()

function makeTables(): Uint32Array {
  const tables = new Uint32Array(4 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    tables[byte] = crc
  }
  for (let i = 256; i < tables.length; i++) {
    const previous = tables[i - 256]!
    tables[i] = (previous >>> 8) ^ tables[previous & 0xff]!
  }
  return tables
}

/**
 * CRC-32 of ISO-HDLC, as in zip, PNG and Go's `crc32.ChecksumIEEE`.
 *
 * @returns An unsigned 32-bit number.
 */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff
  let at = 0
  for (const end = bytes.length - 3; at < end; at += 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    crc =
      TABLES[768 + (crc & 0xff)]! ^
      TABLES[512 + ((crc >>> 8) & 0xff)]! ^
      TABLES[256 + ((crc >>> 16) & 0xff)]! ^
      TABLES[crc >>> 24]!
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ TABLES[(crc ^ bytes[at]!) & 0xff]!
  return (crc ^ 0xffff_ffff) >>> 0
}
