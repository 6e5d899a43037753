import { describe, expect, test } from 'vitest'
import type { Encryption } from '../../../../src/membership/memberlist/wire/encryption.ts'
import { decodePacket } from '../../../../src/membership/memberlist/wire/packet-decoder.ts'
import { labelBytes } from '../../../../src/membership/memberlist/wire/label.ts'
import { encodePacket } from '../../../../src/membership/memberlist/wire/packet-encoder.ts'
import { StreamDecoder } from '../../../../src/membership/memberlist/wire/stream-decoder.ts'
import { encodeStream } from '../../../../src/membership/memberlist/wire/stream-encoder.ts'
import {
  expectedMessages,
  expectedStreamMessage,
  fromHex,
  layersOf,
  type RecordedMessage,
  type Setup,
  toHex,
  vectorFile,
} from './recordings.ts'

function receptionOf(setup: Setup) {
  const keyring = (setup.keys ?? []).map(fromHex)
  return { keyring, requireEncryption: keyring.length > 0, label: setup.label }
}

/** The encryption that makes the recorded bytes again: Go's primary key and the recorded nonce. */
function encryptionOf(setup: Setup, layers: readonly RecordedMessage[]): { encryption?: Encryption } {
  const encrypt = layers.find((layer) => layer.encrypt !== undefined)?.encrypt
  const [key] = setup.keys ?? []
  if (encrypt === undefined || key === undefined) return {}
  const { nonce, version } = encrypt
  return { encryption: { key: fromHex(key), version, nextNonce: () => fromHex(nonce) } }
}

describe.each(vectorFile.setups)('the recorded traffic of memberlist, $name', (setup) => {
  const vectors = vectorFile.vectors.filter((vector) => vector.setup === setup.name)
  const datagrams = vectors.filter(({ proto }) => proto === 'udp')
  const streams = vectors.filter(({ proto }) => proto === 'tcp')

  test('holds datagrams and both sides of streams', () => {
    expect(datagrams.length).toBeGreaterThan(8)
    expect(new Set(streams.map(({ role }) => role))).toEqual(new Set(['request', 'response']))
  })

  test('every datagram decodes to its recorded messages', () => {
    for (const { hex, msg } of datagrams) {
      expect(decodePacket(fromHex(hex), receptionOf(setup))).toEqual({
        ok: true,
        messages: expectedMessages(msg),
        faults: [],
      })
    }
  })

  test('every datagram encodes to its recorded bytes', () => {
    for (const { hex, msg } of datagrams) {
      const layers = layersOf(msg)
      const datagram = encodePacket(expectedMessages(msg), {
        compression: setup.compress,
        crc: layers.some((layer) => layer.hasCrc !== undefined),
        label: setup.label,
        ...encryptionOf(setup, layers),
      })
      expect(toHex(datagram)).toBe(hex)
    }
  })

  test('every stream decodes to its recorded message, in one piece and byte by byte', () => {
    for (const { hex, msg, role = 'request' } of streams) {
      const bytes = fromHex(hex)
      const expected = {
        ok: true,
        message: expectedStreamMessage(msg),
        label: labelBytes(setup.label),
      }
      expect(new StreamDecoder({ ...receptionOf(setup), role }).push(bytes)).toEqual(expected)

      const drip = new StreamDecoder({ ...receptionOf(setup), role })
      for (let at = 0; at < bytes.length - 1; at++) {
        if (drip.push(bytes.subarray(at, at + 1)) !== undefined) throw new Error(`a result after ${at} bytes`)
      }
      expect(drip.push(bytes.subarray(-1))).toEqual(expected)
    }
  })

  test('every stream encodes to its recorded bytes', () => {
    for (const { hex, msg, role = 'request' } of streams) {
      const layers = layersOf(msg)
      const bytes = encodeStream(expectedStreamMessage(msg), {
        role,
        compression: setup.compress,
        label: setup.label,
        ...encryptionOf(setup, layers),
      })
      // More than 127 members: the newest Go codec writes their number as a signed int, ours as an unsigned one
      // like the older codecs. See `integers` in the same file for the proof that this is all that differs.
      const recorded = hex.replace('a54e6f646573d100cb', 'a54e6f646573cccb')
      expect(toHex(bytes)).toBe(recorded)
    }
  })
})

describe('the recorded kinds', () => {
  test('are all that memberlist sends', () => {
    const kinds = new Set<string>()
    const collect = (recorded: RecordedMessage): void => {
      for (const layer of layersOf(recorded)) {
        for (const name of Object.keys(layer)) kinds.add(name)
        for (const part of layer.compound ?? []) collect(part)
      }
    }
    for (const { msg } of vectorFile.vectors) collect(msg)
    expect([...kinds].toSorted()).toEqual(
      [
        'ping',
        'indirectPing',
        'ackResp',
        'nackResp',
        'suspect',
        'alive',
        'dead',
        'user',
        'error',
        'pushPull',
        'compound',
        'compress',
        'encrypt',
        'hasCrc',
        'label',
        'inner',
      ].toSorted(),
    )
  })
})
