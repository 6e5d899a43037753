/**
 * JSON strings as Go's `encoding/json` writes them (up to Go 1.21), from and to byte text: a string whose
 * characters are the bytes 0x00 to 0xff.
 *
 * - `<`, `>` and `&` become `\u003c`, `\u003e`, `\u0026`; U+2028 and U+2029 are escaped;
 * - control characters become `\n`, `\r`, `\t` or `\u00XX` (also backspace and form feed);
 * - each byte that is not part of well-formed UTF-8 becomes `\ufffd`;
 * - everything else, DEL included, is written as it is.
 */
import { unitEscape } from '../printable.ts'

// Printable ASCII and DEL without `"`, `&`, `<`, `>` and `\`.
// oxlint-disable-next-line no-control-regex
const PLAIN = /^[ !#-%'-;=?-[\]-\x7f]*$/

/**
 * What may need an escape: runs of well-formed UTF-8 beyond ASCII (The Unicode Standard, table 3-7), which stay as they are but for
 * the two separators, and each other character that is not plain.
 */
const SPECIAL =
  // oxlint-disable-next-line no-control-regex
  /(?:[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|(?!\xe2\x80[\xa8\xa9])[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})+|\xe2\x80[\xa8\xa9]|[\0-\x1f"&<>\\\x80-\xff]/g

const ESCAPES = new Map([
  ...Array.from({ length: 0x80 }, (_, code) => String.fromCharCode(code))
    .concat('\u2028', '\u2029')
    .map((unit) => [toByteText(unit), unitEscape(unit)] as const),
  ['\n', String.raw`\n`],
  ['\r', String.raw`\r`],
  ['\t', String.raw`\t`],
  ['"', String.raw`\"`],
  ['\\', '\\\\'],
])

const REPLACEMENT = unitEscape('\ufffd')

/** Encodes bytes, given as byte text, as a JSON string in byte text, quotes included. */
export function goJsonString(bytes: string): string {
  return PLAIN.test(bytes) ? `"${bytes}"` : `"${bytes.replace(SPECIAL, escape)}"`
}

function escape(found: string): string {
  return ESCAPES.get(found) ?? (found.length === 1 ? REPLACEMENT : found)
}

/** The UTF-8 bytes of a text, as byte text. */
export function toByteText(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}
