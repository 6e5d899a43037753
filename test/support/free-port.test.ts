import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { freePort } from './free-port.ts'

test('a port that somebody has at one address, by TCP or by UDP, is passed by', async () => {
  const before = await freePort()
  const server = createServer().listen(before + 1, '127.0.0.3')
  await once(server, 'listening')
  const socket = createSocket('udp4')
  socket.bind(before + 2, '127.0.0.3')
  await once(socket, 'listening')
  expect(await freePort()).toBeGreaterThan(before + 2)
  server.close()
  socket.close()
})
