import { createHash, randomBytes } from 'node:crypto'
import { configInvalid } from '../../errors.ts'

/** Lengths that a gossip key may have, in bytes: AES-128, AES-192, AES-256. */
const KEY_LENGTHS_BYTES: readonly number[] = [16, 24, 32]

/** Keys of one keyring: rotation needs two or three, and each one costs a try per foreign packet. */
export const MAX_KEYS = 16

/**
 * Keys that protect the gossip. The first one encrypts, all of them decrypt. Immutable: rotation puts another
 * keyring in its place.
 */
export type Keyring = readonly Uint8Array[]

/**
 * Parses a keyring: base64 keys of 16, 24 or 32 bytes, one to a line (`#` begins a comment), or as the JSON array
 * of strings that serf and Consul keep. A key that is repeated counts once.
 *
 * @returns At least one key, in the order of the text.
 * @throws {RingmanError} `CONFIG_INVALID`, naming the line, never the key.
 */
export function parseKeyring(text: string): Keyring {
  const entries = text.trimStart().startsWith('[') ? parseJsonEntries(text) : parseLineEntries(text)
  const keys = new Map<string, Uint8Array>()
  for (const [place, entry] of entries) {
    const key = decodeKey(entry)
    if (key === undefined) {
      throw configInvalid(`${place} is not a key: base64 of 16, 24 or 32 bytes is allowed`)
    }
    keys.set(entry, key)
  }
  if (keys.size === 0) throw configInvalid('it holds no key; at least one is needed')
  if (keys.size > MAX_KEYS) throw configInvalid(`it holds ${keys.size} keys; at most ${MAX_KEYS} are allowed`)
  return [...keys.values()]
}

/**
 * A new random key.
 *
 * @param sizeBytes - 16, 24 or 32. @default 32
 * @returns Base64.
 * @throws {RingmanError} `CONFIG_INVALID` for another size.
 */
export function generateKey(sizeBytes = 32): string {
  if (!KEY_LENGTHS_BYTES.includes(sizeBytes)) {
    throw configInvalid(`${sizeBytes} bytes were asked for; 16, 24 and 32 are allowed`)
  }
  return randomBytes(sizeBytes).toString('base64')
}

/** A name for a key that gives nothing of it away: the first 8 hex digits of a hash. Safe to log. */
export function keyId(key: Uint8Array): string {
  return createHash('sha256').update('ringman gossip key id\0').update(key).digest('hex').slice(0, 8)
}

/** The keys by their names, or those that there would be, for people. */
export function describeKeys(keyring: Keyring, would = false): string {
  return `Its keyring ${would ? 'would have' : 'has'} the keys ${keyring.map(keyId).join(', ')}, of which the first encrypts`
}

function parseJsonEntries(text: string): [place: string, entry: string][] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's message may quote the text, and with it a key.
    throw configInvalid('it begins like a JSON array and is not one')
  }
  if (!Array.isArray(value)) throw configInvalid('it must be a JSON array of strings')
  return value.map((entry, index) => [`entry ${index + 1}`, typeof entry === 'string' ? entry.trim() : ''])
}

function parseLineEntries(text: string): [place: string, entry: string][] {
  return text.split(/\r?\n/).flatMap((line, index): [string, string][] => {
    const entry = line.replace(/#.*/, '').trim()
    return entry === '' ? [] : [[`line ${index + 1}`, entry]]
  })
}

function decodeKey(entry: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(entry)) return undefined
  const bytes = Buffer.from(entry, 'base64')
  return KEY_LENGTHS_BYTES.includes(bytes.length) ? new Uint8Array(bytes) : undefined
}
