import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto'
import { malformed, unsendable } from './drop.ts'

/** 0 pads the message to whole AES blocks (spoken at protocol version 1), 1 does not. */
export type EncryptionVersion = 0 | 1

export interface Encryption {
  /** 16, 24 or 32 bytes: AES-128, AES-192 or AES-256. */
  readonly key: Uint8Array
  readonly version: EncryptionVersion
  /** Gives 12 random bytes. It is called once for each message, and must never give the same twice. */
  readonly nextNonce: () => Uint8Array
}

const VERSION_BYTES = 1
export const NONCE_BYTES = 12
const TAG_BYTES = 16
const BLOCK_BYTES = 16

/** By the length of the key in bytes. */
const ALGORITHMS: Readonly<Partial<Record<number, 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm'>>> = {
  16: 'aes-128-gcm',
  24: 'aes-192-gcm',
  32: 'aes-256-gcm',
}

/** Bytes that encryption adds, at most. */
export const ENCRYPTION_OVERHEAD_BYTES = {
  0: VERSION_BYTES + NONCE_BYTES + BLOCK_BYTES + TAG_BYTES,
  1: VERSION_BYTES + NONCE_BYTES + TAG_BYTES,
} as const satisfies Record<EncryptionVersion, number>

/** The length that `plainBytes` bytes have after encryption. */
export function encryptedLength(plainBytes: number, version: EncryptionVersion): number {
  const padding = version === 0 ? BLOCK_BYTES - (plainBytes % BLOCK_BYTES) : 0
  return VERSION_BYTES + NONCE_BYTES + plainBytes + padding + TAG_BYTES
}

/**
 * Encrypts with AES-GCM: version, nonce, cipher text, tag.
 *
 * @param associatedData - Bytes that the receiver must know and that are protected too; may be empty.
 */
export function encrypt(plain: Uint8Array, encryption: Encryption, associatedData: Uint8Array): Uint8Array {
  const { key, version } = encryption
  const algorithm = ALGORITHMS[key.length]
  const nonce = encryption.nextNonce()
  if (algorithm === undefined) throw unsendable('an encryption key must have 16, 24 or 32 bytes')
  if (nonce.length !== NONCE_BYTES) throw unsendable('a nonce must have 12 bytes')
  // A key object, because Node takes three times as long to look at a key that is bytes.
  const cipher = createCipheriv(algorithm, createSecretKey(key), nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(associatedData)
  const output = new Uint8Array(encryptedLength(plain.length, version))
  output[0] = version
  output.set(nonce, VERSION_BYTES)
  output.set(cipher.update(version === 0 ? pad(plain) : plain), VERSION_BYTES + NONCE_BYTES)
  cipher.final()
  output.set(cipher.getAuthTag(), output.length - TAG_BYTES)
  return output
}

/**
 * Decrypts what {@link encrypt} makes, with the first key that fits. Which key, and whether one, is all that
 * the time taken tells: the tag is compared in constant time by the cipher, and padding is looked at only after.
 *
 * @param keyring - The keys to try, in order. One of a wrong length fits nothing.
 * @returns The plain bytes, or undefined when the version is unknown, the bytes are too few, or no key fits.
 * @throws RingmanError `WIRE_MALFORMED` when a key fits and the padding of version 0 is wrong.
 */
export function tryDecrypt(
  bytes: Uint8Array,
  keyring: readonly Uint8Array[],
  associatedData: Uint8Array,
): Uint8Array | undefined {
  const version = bytes[0]
  if (version !== 0 && version !== 1) return undefined
  if (bytes.length < encryptedLength(0, version)) return undefined
  const nonce = bytes.subarray(VERSION_BYTES, VERSION_BYTES + NONCE_BYTES)
  const cipherText = bytes.subarray(VERSION_BYTES + NONCE_BYTES, bytes.length - TAG_BYTES)
  const tag = bytes.subarray(bytes.length - TAG_BYTES)
  for (const key of keyring) {
    const algorithm = ALGORITHMS[key.length]
    if (algorithm === undefined) continue
    const decipher = createDecipheriv(algorithm, createSecretKey(key), nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(associatedData)
    decipher.setAuthTag(tag)
    const plain = decipher.update(cipherText)
    try {
      decipher.final()
    } catch {
      // Expected: the tag does not fit this key. Another one may.
      continue
    }
    const view = new Uint8Array(plain.buffer, plain.byteOffset, plain.length)
    return version === 0 ? unpad(view) : view
  }
  return undefined
}

/** PKCS #7 (RFC 5652, 6.3): 1 to 16 bytes that each tell how many they are. */
function pad(plain: Uint8Array): Uint8Array {
  const padding = BLOCK_BYTES - (plain.length % BLOCK_BYTES)
  const padded = new Uint8Array(plain.length + padding).fill(padding, plain.length)
  padded.set(plain)
  return padded
}

/** @param padded - One block at least. */
function unpad(padded: Uint8Array): Uint8Array {
  const padding = padded.at(-1)!
  const plainLength = padded.length - padding
  const isWhole = padding >= 1 && padding <= BLOCK_BYTES
  if (!isWhole || padded.subarray(plainLength).some((byte) => byte !== padding)) {
    throw malformed('the padding of an encrypted message is wrong', { length: padded.length })
  }
  return padded.subarray(0, plainLength)
}
