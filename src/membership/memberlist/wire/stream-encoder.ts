import { assertNever } from '../../../errors.ts'
import { encodeCompressed } from './compression.ts'
import { encrypt, encryptedLength, type Encryption } from './encryption.ts'
import { encodeLabelHeader, labelBytes } from './label.ts'
import { MAX_ERROR_TEXT_BYTES } from './limits.ts'
import { unsendable } from './drop.ts'
import { encodeMessage } from './message-codec.ts'
import { MESSAGE_TYPE, type StreamMessage, type StreamRole } from './messages.ts'
import { joinBytes } from './packet-encoder.ts'
import { encodePushPull } from './push-pull.ts'
import { defineSchema, encodeTyped } from './record.ts'
import { encodeText } from './text.ts'

const USER_HEADER = defineSchema({ UserMsgLen: 'u32' })

const ERROR = defineSchema({ Error: 'text' })

/** How one side's bytes of a connection are made. */
export interface StreamEncoding {
  readonly role: StreamRole
  /** Whether to compress. As in Go, also what becomes longer by it. */
  readonly compression: boolean
  /** Empty for none. */
  readonly label: string | Uint8Array
  /** Absent to send plain bytes. */
  readonly encryption?: Encryption | undefined
}

/** Encodes all that one side sends on a connection: label, then the message, compressed and encrypted. */
export function encodeStream(message: StreamMessage, encoding: StreamEncoding): Uint8Array {
  const label = labelBytes(encoding.label)
  let bytes = encodeStreamMessage(message)
  if (encoding.compression) bytes = encodeCompressed(bytes)
  if (encoding.encryption !== undefined) bytes = encodeFrame(bytes, encoding.encryption, label)
  return encoding.role === 'request' ? joinBytes(encodeLabelHeader(label), bytes) : bytes
}

/** Type, length of what follows, encrypted bytes. Type and length are protected with the label. */
function encodeFrame(plain: Uint8Array, encryption: Encryption, label: Uint8Array): Uint8Array {
  const header = new Uint8Array(5)
  header[0] = MESSAGE_TYPE.encrypt
  new DataView(header.buffer).setUint32(1, encryptedLength(plain.length, encryption.version))
  return joinBytes(header, encrypt(plain, encryption, joinBytes(header, label)))
}

function encodeStreamMessage(message: StreamMessage): Uint8Array {
  switch (message.kind) {
    case 'ping':
    case 'ack':
      return encodeMessage(message)
    case 'push-pull':
      return encodePushPull(message.pushPull)
    case 'user': {
      const header = encodeTyped(MESSAGE_TYPE.user, USER_HEADER, { UserMsgLen: message.payload.length })
      return joinBytes(header, message.payload)
    }
    case 'error':
      if (encodeText(message.text).length > MAX_ERROR_TEXT_BYTES)
        throw unsendable('an error text is too long')
      return encodeTyped(MESSAGE_TYPE.error, ERROR, { Error: message.text })
    default:
      return assertNever(message)
  }
}
