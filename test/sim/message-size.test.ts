import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { estimateSize, sizeOfPacket } from '../../lab/sim/message-size.ts'
import { encodeMessage } from '../../src/membership/memberlist/wire/message-codec.ts'
import { encodePackets } from '../../src/membership/memberlist/wire/packet-encoder.ts'
import { anyMessage } from '../membership/memberlist/wire/arbitraries.ts'

test('what the simulator takes for a size is at least what is sent, and little more', () => {
  fc.assert(
    fc.property(fc.array(anyMessage, { minLength: 1, maxLength: 20 }), (messages) => {
      const encoded = messages.map(encodeMessage)
      for (const [index, bytes] of encoded.entries()) {
        const spareBytes = estimateSize(messages[index]!) - bytes.length
        expect(spareBytes).toBeGreaterThanOrEqual(0)
        expect(spareBytes).toBeLessThanOrEqual(32)
      }
      const plain = { maxBytes: 65_507, compression: false, crc: false, label: '', encryption: undefined }
      const [packet] = encodePackets(encoded, plain)
      expect(sizeOfPacket(messages)).toBeGreaterThanOrEqual(packet!.length)
    }),
  )
})
