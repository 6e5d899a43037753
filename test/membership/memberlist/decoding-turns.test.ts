import { expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { DecodingTurns } from '../../../src/membership/memberlist/decoding-turns.ts'
import { StreamDecoder } from '../../../src/membership/memberlist/wire/stream-decoder.ts'
import { encodeStream } from '../../../src/membership/memberlist/wire/stream-encoder.ts'

const bytes = encodeStream(
  { kind: 'user', payload: new Uint8Array(2_000_000).map((_, i) => (i * i) >> 7) },
  { role: 'request', compression: true, label: '' },
)

/** One that has all of a large message. */
function laden(): StreamDecoder {
  const decoder = new StreamDecoder({ keyring: [], requireEncryption: false, label: '', role: 'request' })
  expect(decoder.push(bytes)).toBeUndefined()
  expect(decoder.isWorking).toBe(true)
  return decoder
}

test('large messages are decoded in turns, one after the other: those that are to be first, and none that nobody waits for', async () => {
  const turns = new DecodingTurns(systemClock)
  const order: string[] = []
  let othersTurns = 0
  const other = setImmediate(function again() {
    othersTurns++
    if (order.length < 3) setImmediate(again)
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  const add = (name: string, isFirst: boolean, isOver = () => false) => {
    turns.add(laden(), isFirst, isOver, (result) => {
      expect(result).toMatchObject({ ok: true, message: { kind: 'user' } })
      order.push(name)
      if (order.length === 3) resolve()
    })
  }
  add('begun', false)
  add('stranger', false)
  add('gone', false, () => true)
  add('member', true)
  expect(order).toEqual([])
  await promise
  clearImmediate(other)
  expect(order).toEqual(['begun', 'member', 'stranger'])
  expect(othersTurns).toBeGreaterThan(10)
  // And again, once there was nothing to do.
  const again = Promise.withResolvers<void>()
  turns.add(
    laden(),
    false,
    () => false,
    () => {
      again.resolve()
    },
  )
  await again.promise
})
