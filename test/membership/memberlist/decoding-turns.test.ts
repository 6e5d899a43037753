import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { DecodingTurns } from '../../../src/membership/memberlist/decoding-turns.ts'
import { StreamClient } from '../../../src/membership/memberlist/stream-client.ts'
import { StreamServer } from '../../../src/membership/memberlist/stream-server.ts'
import { StreamDecoder, type StreamResult } from '../../../src/membership/memberlist/wire/stream-decoder.ts'
import { encodeStream } from '../../../src/membership/memberlist/wire/stream-encoder.ts'
import { listening } from '../../support/listening.ts'

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
    const take = (result: StreamResult) => {
      expect(result).toMatchObject({ ok: true, message: { kind: 'user' } })
      order.push(name)
      if (order.length === 3) resolve()
    }
    turns.add({ decoder: laden(), isOver, take }, isFirst)
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
  turns.add({ decoder: laden(), isOver: () => false, take: () => again.resolve() }, false)
  await again.promise
})

const reception = { keyring: [], requireEncryption: false, label: '' } as const

/** A listener at a port of its own. */
const listen = (onConnection: (socket: Socket) => void) =>
  listening(createServer({ allowHalfOpen: true }, onConnection))

// Go's memberlist closes a connection as soon as it has sent its state, or a message of the application.
test.each(['ends', 'is destroyed'])('a large answer is taken whose connection %s behind it', async (how) => {
  const peer = await listen((socket) => {
    socket.once('data', () => {
      if (how === 'ends') socket.end(bytes)
      else socket.write(bytes, () => socket.destroy())
    })
  })
  const client = new StreamClient(systemClock)
  const answer = await client.call({
    to: { address: '127.0.0.1', port: peer.port },
    bytes: new Uint8Array(10),
    timeoutMs: 10_000,
    reception: { ...reception, role: 'response' },
  })
  expect(answer).toMatchObject({ outcome: 'answered', message: { kind: 'user' } })
  await client.close()
})

test('a large message is taken whose connection ends behind it', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const server = new StreamServer({
    clock: systemClock,
    reception: () => ({ ...reception, role: 'request' }),
    onMessage: (stream, { message }) => {
      server.refuse(stream)
      resolve(message.kind)
    },
    onDrop: ({ reason }) => {
      resolve(reason)
      return undefined
    },
    timeoutMs: 10_000,
    isKnown: () => false,
  })
  const listener = await listen((socket) => {
    server.accept(socket, { address: '127.0.0.1', port: 1 })
  })
  connect(listener.port, '127.0.0.1').end(bytes)
  expect(await promise).toBe('user')
  await server.close()
})
