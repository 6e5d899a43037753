import { describe, expect, test } from 'vitest'
import { decodePacket } from '../../../../src/membership/memberlist/wire/packet-decoder.ts'
import { labelBytes } from '../../../../src/membership/memberlist/wire/label.ts'
import { encodePacket } from '../../../../src/membership/memberlist/wire/packet-encoder.ts'
import { StreamDecoder } from '../../../../src/membership/memberlist/wire/stream-decoder.ts'
import { encodeStream } from '../../../../src/membership/memberlist/wire/stream-encoder.ts'
import { expectedMessages, expectedStreamMessage, fromHex, recordings, toHex } from './recordings.ts'

const plainReception = { keyring: [], requireEncryption: false, label: '' }

describe.each(['plain', 'lz'] as const)('the recorded traffic of Go ringman, %s', (part) => {
  const datagrams = recordings[part].filter(({ proto }) => proto === 'udp')
  const streams = recordings[part].filter(({ proto }) => proto === 'tcp')

  test('every datagram decodes to its recorded messages', () => {
    expect(datagrams.length).toBeGreaterThan(250)
    for (const { hex, msg } of datagrams) {
      expect(decodePacket(fromHex(hex), plainReception)).toEqual({
        ok: true,
        messages: expectedMessages(msg),
        faults: [],
      })
    }
  })

  test('every datagram encodes to its recorded bytes', () => {
    for (const { hex, msg } of datagrams) {
      const datagram = encodePacket(expectedMessages(msg), {
        compression: part === 'lz',
        crc: msg.hasCrc !== undefined,
        label: '',
      })
      expect(toHex(datagram)).toBe(hex)
    }
  })

  test('every stream decodes to its recorded message, in one piece and byte by byte', () => {
    expect(streams.length).toBeGreaterThan(8)
    for (const { hex, msg } of streams) {
      const bytes = fromHex(hex)
      const expected = {
        ok: true,
        message: expectedStreamMessage(msg),
        label: labelBytes(''),
      }
      const decoder = new StreamDecoder({ ...plainReception, role: 'request' })
      expect(decoder.push(bytes)).toEqual(expected)

      const drip = new StreamDecoder({ ...plainReception, role: 'response' })
      for (let at = 0; at < bytes.length - 1; at++)
        expect(drip.push(bytes.subarray(at, at + 1))).toBeUndefined()
      expect(drip.push(bytes.subarray(-1))).toEqual(expected)
    }
  })

  test('every stream encodes to its recorded bytes', () => {
    for (const { hex, msg } of streams) {
      const bytes = encodeStream(expectedStreamMessage(msg), {
        role: 'request',
        compression: msg.compress !== undefined,
        label: '',
      })
      expect(toHex(bytes)).toBe(hex)
    }
  })
})
