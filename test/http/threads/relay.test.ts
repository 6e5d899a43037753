import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RelayServer } from '../../../src/http/threads/relay.ts'

const MAX_SILENT = 50

let taken: Socket[]
let server: RelayServer

beforeEach(async () => {
  taken = []
  server = new RelayServer((socket) => {
    taken.push(socket)
    socket.on('data', (part: Buffer) => socket.write(`${String(part)} of ${socket.remoteAddress}`))
  }, MAX_SILENT)
  await server.start()
})

afterEach(() => {
  for (const socket of taken) socket.destroy()
  server.stop()
})

/** What comes back for these bytes, until the other side ends the connection or has said `until`. */
function say(bytes: string, until?: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ path: server.target.path })
    let received = ''
    socket.on('error', () => {})
    socket.on('close', () => {
      resolve(received)
    })
    socket.on('data', (part) => {
      received += String(part)
      if (received === until) socket.destroy()
    })
    socket.write(bytes)
  })
}

test('who knows the secret speaks for the client whose address it gives', async () => {
  const { secret } = server.target
  expect(await say(`${secret} 2001:db8::1\nhello`, 'hello of 2001:db8::1')).toBe('hello of 2001:db8::1')
})

test.each(['GET / HTTP/1.1\r\n\r\n', 'no line', '\n', 'wrong 10.0.0.1\nhello', ' \n'])(
  'who says %j is hung up on',
  async (bytes) => {
    expect(await say(bytes)).toBe('')
    expect(taken).toEqual([])
  },
)

test('what comes after the line, and in pieces, comes through', async () => {
  const socket = connect({ path: server.target.path })
  let received = ''
  socket.on('data', (part) => (received += String(part)))
  socket.write(`${server.target.secret} 10.0.0.1\n`)
  await expect.poll(() => taken).toHaveLength(1)
  socket.write('later')
  await expect.poll(() => received).toBe('later of 10.0.0.1')
  socket.destroy()
})

test('who says nothing makes room, the oldest first, and who ends is hung up on', async () => {
  const dial = async () => {
    const socket = connect({ path: server.target.path, allowHalfOpen: true })
    await once(socket, 'connect')
    return socket.resume()
  }
  const [oldest, ended] = [await dial(), await dial()]
  ended.end()
  await once(ended, 'close')
  const others: Socket[] = []
  for (let i = 0; i < MAX_SILENT; i++) others.push(await dial())
  await expect.poll(() => oldest.readableEnded).toBe(true)
  expect(others.filter(({ readableEnded }) => readableEnded)).toEqual([])
  expect(await say(`${server.target.secret} 10.0.0.1\nhello`, 'hello of 10.0.0.1')).toBe('hello of 10.0.0.1')
  for (const socket of [oldest, ...others]) socket.destroy()
})
