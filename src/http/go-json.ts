/**
 * JSON strings as Go's `encoding/json` writes them (up to Go 1.21), from and to byte text: a string whose
 * characters are the bytes 0x00 to 0xff.
 *
 * - `<`, `>` and `&` become `\u003c`, `\u003e`, `\u0026`; U+2028 and U+2029 are escaped;
 * - control characters become `\n`, `\r`, `\t` or `\u00XX` (also backspace and form feed);
 * - each byte that is not part of well-formed UTF-8 becomes `\ufffd`;
 * - everything else, DEL included, is written as it is.
 */

// Printable ASCII and DEL without `"`, `&`, `<`, `>` and `\`.
// oxlint-disable-next-line no-control-regex
const PLAIN = /^[ !#-%'-;=?-[\]-\x7f]*$/

/** Encodes bytes, given as byte text, as a JSON string in byte text, quotes included. */
export function goJsonString(bytes: string): string {
  if (PLAIN.test(bytes)) return `"${bytes}"`
  // Runs that stay as they are, and what stands for the rest: time and memory grow with the bytes, and no faster.
  const parts = ['"']
  let run = 0
  for (let i = 0; i < bytes.length;) {
    const code = bytes.charCodeAt(i)
    const length = code < 0x80 ? 1 : utf8SequenceLength(bytes, i)
    const escape = code < 0x80 ? escapeAscii(code) : escapeSequence(bytes, i, length)
    if (escape !== undefined) {
      parts.push(bytes.slice(run, i), escape)
      run = i + Math.max(1, length)
    }
    i += Math.max(1, length)
  }
  parts.push(bytes.slice(run), '"')
  return parts.join('')
}

function escapeSequence(bytes: string, start: number, length: number): string | undefined {
  if (length === 0) return String.raw`\ufffd`
  if (!bytes.startsWith('\xe2\x80', start)) return undefined
  const last = bytes.charCodeAt(start + 2)
  return last === 0xa8 || last === 0xa9 ? String.raw`\u20` + (last - 0x80).toString(16) : undefined
}

/** The UTF-8 bytes of a text, as byte text. */
export function toByteText(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}

function escapeAscii(code: number): string | undefined {
  switch (code) {
    case 0x0a:
      return String.raw`\n`
    case 0x0d:
      return String.raw`\r`
    case 0x09:
      return String.raw`\t`
    case 0x22:
      return String.raw`\"`
    case 0x5c:
      return '\\\\'
    case 0x26:
    case 0x3c:
    case 0x3e:
      return String.raw`\u00` + code.toString(16)
    default:
      return code < 0x20 ? String.raw`\u00` + code.toString(16).padStart(2, '0') : undefined
  }
}

/**
 * How many bytes the well-formed UTF-8 sequence beginning at `start` has, for a first byte of 0x80 or more:
 * 2 to 4, or 0 when there is none (overlong forms and surrogates are not well-formed).
 *
 * @see The Unicode Standard, table 3-7
 */
function utf8SequenceLength(bytes: string, start: number): number {
  const first = bytes.charCodeAt(start)
  let length: number
  let secondLow = 0x80
  let secondHigh = 0xbf
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3
    if (first === 0xe0) secondLow = 0xa0
    if (first === 0xed) secondHigh = 0x9f
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4
    if (first === 0xf0) secondLow = 0x90
    if (first === 0xf4) secondHigh = 0x8f
  } else {
    return 0
  }
  if (start + length > bytes.length) return 0
  const second = bytes.charCodeAt(start + 1)
  if (second < secondLow || second > secondHigh) return 0
  for (let i = 2; i < length; i++) {
    if ((bytes.charCodeAt(start + i) & 0xc0) !== 0x80) return 0
  }
  return length
}
