import { unsendable } from './drop.ts'

/**
 * Whether `bytes[start, end)` is well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF
 * (Unicode, table 3-7).
 */
function isUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start
  while (at < end) {
    const first = bytes[at++]!
    if (first < 0x80) continue
    let more: number
    let low = 0x80
    let high = 0xbf
    if (first >= 0xc2 && first <= 0xdf) more = 1
    else if (first >= 0xe0 && first <= 0xef) {
      more = 2
      if (first === 0xe0) low = 0xa0
      if (first === 0xed) high = 0x9f
    } else if (first >= 0xf0 && first <= 0xf4) {
      more = 3
      if (first === 0xf0) low = 0x90
      if (first === 0xf4) high = 0x8f
    } else return false
    if (end - at < more) return false
    for (; more > 0; more--) {
      const next = bytes[at++]!
      if (next < low || next > high) return false
      low = 0x80
      high = 0xbf
    }
  }
  return true
}

/** The text in `bytes[start, end)`, or undefined when it is not UTF-8. A byte order mark stays part of it. */
export function tryDecodeText(bytes: Uint8Array, start = 0, end = bytes.length): string | undefined {
  let text = ''
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte >= 0x80) {
      if (!isUtf8(bytes, at, end)) return undefined
      return text + new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(at, end))
    }
    text += String.fromCharCode(byte)
  }
  return text
}

/** The text in `bytes`, with U+FFFD where it is not UTF-8: for words that only people read. */
export function decodeTextLossily(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
}

/** UTF-8 of `text`. Throws `INTERNAL` for a lone surrogate, which UTF-8 cannot carry. */
export function encodeText(text: string): Uint8Array {
  if (!text.isWellFormed()) throw unsendable('text with a lone surrogate cannot be sent')
  return new TextEncoder().encode(text)
}
