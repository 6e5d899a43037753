import { encodeCompound } from '../../src/membership/memberlist/wire/compound.ts'
import { encodeCompressed } from '../../src/membership/memberlist/wire/compression.ts'
import { encrypt } from '../../src/membership/memberlist/wire/encryption.ts'
import { encodeMessage } from '../../src/membership/memberlist/wire/message-codec.ts'
import { decodePacket, type Reception } from '../../src/membership/memberlist/wire/packet-decoder.ts'
import { encodePacket } from '../../src/membership/memberlist/wire/packet-encoder.ts'
import { concat, recipeBytes, utf8 } from '../membership/memberlist/wire/values.ts'

/** A datagram that was built to take long. */
export interface WorstDatagram {
  readonly name: string
  readonly bytes: Uint8Array
  readonly reception: Reception
  /** The most that decoding may take: a millisecond, and two when only a holder of the key can have sent it. */
  readonly limitUs: number
}

const LEAST_ROUNDS = 300
const MOST_ROUNDS = 3000

const PLAIN: Reception = { keyring: [], requireEncryption: false, label: '' }

/** Four keys, twice what a rotation needs, of which the last one encrypts here. */
const KEYRING = Array.from({ length: 4 }, (_, index) => new Uint8Array(32).fill(index))
const SECRET: Reception = { keyring: KEYRING, requireEncryption: true, label: '' }

/** The slowest datagrams that we could think of, each against another part of the way in. */
export function worstDatagrams(): readonly WorstDatagram[] {
  const noise = recipeBytes(1, 256, 40_000)
  const repeated = (body: Uint8Array, count: number) =>
    encodeCompound(Array.from({ length: count }, () => body))
  const alive = (index: number, metaBytes: number) =>
    encodeMessage({
      kind: 'alive',
      incarnation: index,
      node: `member-${index}`,
      address: new Uint8Array(16),
      port: index,
      meta: noise.slice(index * 140, index * 140 + metaBytes),
      vsn: new Uint8Array(6),
    })
  const aliveCompound = encodePacket(
    Array.from({ length: 250 }, (_, index) => alive(index, 140)),
    { compression: true, crc: true, label: '' },
  )
  const longNames = encodeMessage({
    kind: 'suspect',
    incarnation: 1,
    node: 'é'.repeat(500),
    from: 'é'.repeat(500),
  })
  const badName = concat(Uint8Array.of(3, 0x81, 0xa4), utf8('Node'), Uint8Array.of(0xa2, 0xc3, 0x28))
  const unknownField = concat(
    Uint8Array.of(11, 0x81, 0xa1, 0x78, 0xdc, 0xfd, 0xe8),
    new Uint8Array(65_000).fill(0x90),
  )
  const plain = (name: string, bytes: Uint8Array) => ({ name, bytes, reception: PLAIN, limitUs: 1000 })
  return [
    plain('255 alive messages', repeated(alive(0, 130), 255)),
    plain('250 alive messages, compressed', aliveCompound),
    plain('a decompression bomb', encodeCompressed(new Uint8Array(10_000_000))),
    plain('decompression to the limit', encodeCompressed(new Uint8Array(65_536).fill(8))),
    plain('compressed noise', encodeCompressed(noise)),
    plain('codes that only empty the table', compressMessage(clearCodes(60_000))),
    plain(
      'compression in compression',
      encodeCompressed(encodeCompressed(encodeCompressed(noise.slice(0, 25_000)))),
    ),
    plain('an unknown field of 65,000 arrays', unknownField),
    plain('255 unknown types', repeated(Uint8Array.of(99), 255)),
    plain('255 names that are not UTF-8', repeated(badName, 255)),
    plain('31 suspicions with names of 1,000 bytes', repeated(longNames, 31)),
    {
      name: 'noise that no key opens',
      bytes: Uint8Array.of(1, ...recipeBytes(2, 256, 65_000)),
      reception: SECRET,
      limitUs: 1000,
    },
    {
      name: '250 alive messages, compressed, behind four keys',
      bytes: sealed(aliveCompound),
      reception: SECRET,
      limitUs: 2000,
    },
  ]
}

/**
 * The least time that decoding took, in microseconds: what it costs when nothing else happens on the machine.
 * It is tried until it is below the datagram's limit, at least a few hundred times and at most a few thousand.
 */
export function leastUs({ bytes, reception, limitUs }: WorstDatagram): number {
  let us = Infinity
  for (let i = 0; i < LEAST_ROUNDS || (us > limitUs && i < MOST_ROUNDS); i++) {
    const startedMs = performance.now()
    decodePacket(bytes, reception)
    us = Math.min(us, (performance.now() - startedMs) * 1000)
  }
  return us
}

function sealed(plain: Uint8Array): Uint8Array {
  const encryption = { key: KEYRING.at(-1)!, version: 1 as const, nextNonce: () => new Uint8Array(12) }
  return encrypt(plain, encryption, new Uint8Array(0))
}

/** LZW data of nothing but code 256, 9 bits each, without an end. */
function clearCodes(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let bits = 0
  let bitCount = 0
  for (let i = 0; i < length; i++) {
    while (bitCount < 8) {
      bits |= 256 << bitCount
      bitCount += 9
    }
    bytes[i] = bits & 0xff
    bits >>>= 8
    bitCount -= 8
  }
  return bytes
}

/** A compress message with any data. */
function compressMessage(data: Uint8Array): Uint8Array {
  const head = concat(Uint8Array.of(9, 0x82, 0xa4), utf8('Algo'), Uint8Array.of(0, 0xa3), utf8('Buf'))
  return concat(head, Uint8Array.of(0xda, data.length >>> 8, data.length & 0xff), data)
}
