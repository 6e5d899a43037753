import { describe, expect, test } from 'vitest'
import { decodePacket } from '../../../../src/membership/memberlist/wire/packet-decoder.ts'
import { StreamDecoder } from '../../../../src/membership/memberlist/wire/stream-decoder.ts'
import { fromHex, recordings, vectorFile } from './recordings.ts'

interface Sample {
  readonly proto: 'udp' | 'tcp'
  readonly role: 'request' | 'response'
  readonly hex: string
  readonly keyring: readonly Uint8Array[]
  readonly label: string
}

const setups = new Map(vectorFile.setups.map((setup) => [setup.name, setup]))

/** Every recorded packet and stream, each different one once. */
const samples: readonly Sample[] = [
  ...[...recordings.plain, ...recordings.lz].map(({ proto, hex }): Sample => ({
    proto,
    role: 'request',
    hex,
    keyring: [],
    label: '',
  })),
  ...vectorFile.vectors.map(({ proto, role = 'request', hex, setup }): Sample => {
    const { keys, label } = setups.get(setup)!
    return { proto, role, hex, keyring: (keys ?? []).map(fromHex), label }
  }),
].filter(({ hex }, index, all) => all.findIndex((other) => other.hex === hex) === index)

describe('cut at every length', () => {
  test('a datagram never decodes to all of its messages, and never throws', () => {
    const datagrams = samples.filter(({ proto }) => proto === 'udp')
    expect(datagrams.length).toBeGreaterThan(300)
    for (const { hex, keyring, label } of datagrams) {
      const bytes = fromHex(hex)
      const reception = { keyring, requireEncryption: keyring.length > 0, label }
      const whole = decodePacket(bytes, reception)
      if (!whole.ok) throw new Error(`not decoded: ${hex}`)
      const endsWithUser = whole.messages.at(-1)?.kind === 'user'
      for (let length = 0; length < bytes.length; length++) {
        const cut = decodePacket(bytes.subarray(0, length), reception)
        const isPlainUser = endsWithUser && bytes[0] === 8
        if (cut.ok && !isPlainUser && cut.messages.length >= whole.messages.length) {
          throw new Error(`${length} of ${bytes.length} bytes of ${hex} decode to as many messages`)
        }
      }
    }
  })

  test('a stream never gives a result before its end', () => {
    const streams = samples.filter(({ proto }) => proto === 'tcp')
    expect(streams.length).toBeGreaterThan(70)
    for (const { hex, keyring, label, role } of streams) {
      const bytes = fromHex(hex)
      // The longest are cut at every 97th length only: each cut decodes all that is before it.
      const step = bytes.length > 3000 ? 97 : 1
      for (let length = 0; length < bytes.length; length += step) {
        const decoder = new StreamDecoder({ keyring, requireEncryption: keyring.length > 0, label, role })
        if (decoder.push(bytes.subarray(0, length)) !== undefined) {
          throw new Error(`${length} of ${bytes.length} bytes of ${hex} give a result`)
        }
        const ended = decoder.end()
        if (ended.ok || ended.reason !== 'malformed') throw new Error(`${length} bytes of ${hex} end well`)
      }
    }
  })
})
