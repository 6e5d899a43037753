import { isUtf8 } from 'node:buffer'
import { unsendable } from './drop.ts'

/** The text in `bytes[start, end)`, or undefined when it is not UTF-8. A byte order mark stays part of it. */
export function tryDecodeText(bytes: Uint8Array, start = 0, end = bytes.length): string | undefined {
  let text = ''
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!
    if (byte >= 0x80) {
      const rest = bytes.subarray(at, end)
      return isUtf8(rest) ? text + decodeTextLossily(rest) : undefined
    }
    text += String.fromCharCode(byte)
  }
  return text
}

/** The text in `bytes`, with U+FFFD where it is not UTF-8: for words that only people read. */
export function decodeTextLossily(bytes: Uint8Array): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
}

/** Whether two runs of bytes are equal. For bytes that are no secret: it stops at the first difference. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

/** UTF-8 of `text`. Throws `INTERNAL` for a lone surrogate, which UTF-8 cannot carry. */
export function encodeText(text: string): Uint8Array {
  if (!text.isWellFormed()) throw unsendable('text with a lone surrogate cannot be sent')
  return new TextEncoder().encode(text)
}
