import { encodeCompound } from '../../src/membership/memberlist/wire/compound.ts'
import { encodeCompressed } from '../../src/membership/memberlist/wire/compression.ts'
import { crc32 } from 'node:zlib'
import { encrypt, encryptedLength } from '../../src/membership/memberlist/wire/encryption.ts'
import { encodeLabelHeader, labelBytes } from '../../src/membership/memberlist/wire/label.ts'
import type { Reception } from '../../src/membership/memberlist/wire/packet-decoder.ts'
import { encodePacket } from '../../src/membership/memberlist/wire/packet-encoder.ts'
import { encodeStream } from '../../src/membership/memberlist/wire/stream-encoder.ts'
import {
  expectedMessages,
  expectedStreamMessage,
  fromHex,
  recordings,
  vectorFile,
} from '../membership/memberlist/wire/recordings.ts'
import { concat } from '../membership/memberlist/wire/values.ts'
import type { SeededRandom } from './wire-fuzz-mutate.ts'

/** How the members of a recording were set up, as far as a decoder must know. */
export interface Sample {
  /** The bytes as they were on the wire. */
  readonly bytes: Uint8Array
  /** The same message without label, encryption, checksum and compression: what is worth mutating. */
  readonly plain: Uint8Array
  readonly reception: Reception
  readonly role: 'request' | 'response'
}

export interface Samples {
  readonly datagrams: readonly Sample[]
  readonly streams: readonly Sample[]
}

const BARE = { compression: false, label: '' } as const

/** Every recorded datagram and stream, each different one once. */
export function loadSamples(): Samples {
  const setups = new Map(vectorFile.setups.map((setup) => [setup.name, setup]))
  const noSetup = { keys: [], label: '' }
  const all = [
    ...[...recordings.plain, ...recordings.lz].map((recording) => ({
      ...recording,
      role: undefined,
      setup: '',
    })),
    ...vectorFile.vectors,
  ]
  const unique = [...new Map(all.map((recording) => [recording.hex, recording])).values()]
  const sampleOf = ({ hex, role, setup, proto, msg }: (typeof unique)[number]): Sample => {
    const { keys, label } = setups.get(setup) ?? noSetup
    const keyring = (keys ?? []).map(fromHex)
    return {
      bytes: fromHex(hex),
      plain:
        proto === 'udp'
          ? encodePacket(expectedMessages(msg), { ...BARE, crc: false })
          : encodeStream(expectedStreamMessage(msg), { ...BARE, role: 'response' }),
      reception: { keyring, requireEncryption: keyring.length > 0, label },
      role: role ?? 'request',
    }
  }
  return {
    datagrams: unique.filter(({ proto }) => proto === 'udp').map(sampleOf),
    streams: unique.filter(({ proto }) => proto === 'tcp').map(sampleOf),
  }
}

/** Puts mutated bytes back into the wrappers of a datagram, so that they come past the checks in front. */
export function wrapDatagram(random: SeededRandom, plain: Uint8Array, { reception }: Sample): Uint8Array {
  let bytes = plain
  for (let depth = random.below(4); depth > 1; depth--) {
    bytes =
      random.below(2) === 0 && bytes.length < 0x8000
        ? encodeCompound([bytes, plain])
        : encodeCompressed(bytes)
  }
  if (random.below(3) === 0) {
    const header = new Uint8Array(5)
    header[0] = 12
    new DataView(header.buffer).setUint32(1, crc32(bytes))
    bytes = concat(header, bytes)
  }
  const label = labelBytes(reception.label)
  const [key] = reception.keyring
  if (key !== undefined) bytes = encrypt(bytes, encryptionWith(random, key), label)
  return concat(encodeLabelHeader(label), bytes)
}

/** Puts mutated bytes back into the wrappers of a stream. */
export function wrapStream(random: SeededRandom, plain: Uint8Array, { reception, role }: Sample): Uint8Array {
  let bytes = random.below(2) === 0 ? plain : encodeCompressed(plain)
  const label = labelBytes(reception.label)
  const [key] = reception.keyring
  if (key !== undefined) {
    const encryption = encryptionWith(random, key)
    const header = new Uint8Array(5)
    header[0] = 10
    new DataView(header.buffer).setUint32(1, encryptedLength(bytes.length, encryption.version))
    bytes = concat(header, encrypt(bytes, encryption, concat(header, label)))
  }
  return role === 'request' ? concat(encodeLabelHeader(label), bytes) : bytes
}

function encryptionWith(random: SeededRandom, key: Uint8Array) {
  return { key, version: random.pick([0, 1] as const), nextNonce: () => random.bytes(12) }
}
