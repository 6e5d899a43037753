import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { GrowingBuffer } from '../src/growing-buffer.ts'

test('gives the pieces in one, each time anew', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 10 }), { maxLength: 4 }),
      (rounds) => {
        const buffer = new GrowingBuffer()
        for (const pieces of rounds) {
          for (const piece of pieces) {
            const mine = piece.slice()
            buffer.append(mine)
            mine.fill(0)
          }
          const whole = Buffer.concat(pieces)
          expect(buffer.sizeBytes).toBe(whole.length)
          expect(Buffer.from(buffer.take())).toEqual(whole)
          expect(buffer.sizeBytes).toBe(0)
        }
      },
    ),
  )
})

test('what was taken is not written to again', () => {
  const buffer = new GrowingBuffer()
  buffer.append(Buffer.from('first'))
  const taken = buffer.take()
  buffer.append(Buffer.from('other'))
  expect(Buffer.from(taken).toString()).toBe('first')
})

test('takes memory for all that is announced once enough of it is there, and no more than that', () => {
  const buffer = new GrowingBuffer()
  buffer.append(new Uint8Array(1000), 1_000_000)
  expect(buffer.capacityBytes).toBe(1000)
  buffer.append(new Uint8Array(99_000), 1_000_000)
  expect(buffer.capacityBytes).toBe(1_000_000)
  buffer.append(new Uint8Array(900_000), 1_000_000)
  expect(buffer.capacityBytes).toBe(1_000_000)
  buffer.append(new Uint8Array(1), 1_000_000)
  expect(buffer.capacityBytes).toBeGreaterThan(1_000_000)
  expect(buffer.take()).toHaveLength(1_000_001)
})
