import { MAX_LABEL_BYTES } from './limits.ts'
import { malformed, unsendable } from './drop.ts'
import { MESSAGE_TYPE } from './messages.ts'
import { encodeText } from './text.ts'

/** What stands before the message. */
export interface LabelHeader {
  /** The label, as a view; empty when there is no header. */
  readonly label: Uint8Array
  /** Bytes of the header: 0 when there is none. */
  readonly headerBytes: number
}

export const NO_LABEL = new Uint8Array(0)

/** The bytes of a label given as text or as bytes: 0 to 255 of them; none is no label. */
export function labelBytes(label: string | Uint8Array): Uint8Array {
  const bytes = typeof label === 'string' ? encodeText(label) : label
  if (bytes.length > MAX_LABEL_BYTES) {
    throw unsendable(`a label has ${bytes.length} bytes, ${MAX_LABEL_BYTES} are allowed`)
  }
  return bytes
}

/** The header of a label: type, length, label; nothing for the empty label. */
export function encodeLabelHeader(label: Uint8Array): Uint8Array {
  if (label.length === 0) return label
  const header = new Uint8Array(2 + label.length)
  header[0] = MESSAGE_TYPE.label
  header[1] = label.length
  header.set(label, 2)
  return header
}

/**
 * Reads the label header that may stand first in `bytes[0, available)`.
 *
 * @returns The header, or undefined while bytes of it are missing.
 * @throws RingmanError `WIRE_MALFORMED` for a header with an empty label.
 */
export function tryDecodeLabelHeader(bytes: Uint8Array, available: number): LabelHeader | undefined {
  if (available === 0) return undefined
  if (bytes[0] !== MESSAGE_TYPE.label) return { label: NO_LABEL, headerBytes: 0 }
  if (available === 1) return undefined
  const length = bytes[1]!
  if (length === 0) throw malformed('a label header has an empty label')
  if (available < 2 + length) return undefined
  return { label: bytes.subarray(2, 2 + length), headerBytes: 2 + length }
}
