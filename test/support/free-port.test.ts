import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { TestProcess } from './child-process.ts'
import { freePort } from './free-port.ts'

/** More than one process gives before it begins again. */
const MANY = 300

async function many(): Promise<Set<number>> {
  const ports = new Set<number>()
  for (let i = 0; i < MANY; i++) ports.add(await freePort())
  return ports
}

test('a port that somebody has at one address, by TCP or by UDP, is passed by', async () => {
  const [forServer, forSocket] = [await freePort(), await freePort()]
  const server = createServer().listen(forServer, '127.0.0.3')
  await once(server, 'listening')
  const socket = createSocket('udp4')
  socket.bind(forSocket, '127.0.0.3')
  await once(socket, 'listening')
  const others = await many()
  expect([others.has(forServer), others.has(forSocket)]).toEqual([false, false])
  server.close()
  socket.close()
  const all = await many()
  expect([all.has(forServer), all.has(forSocket)]).toEqual([true, true])
})

test('two processes are not given the same port, whenever they use it', async () => {
  const script = `
    import { freePort } from ${JSON.stringify(new URL('free-port.ts', import.meta.url).href)}
    for (let i = 0; i < ${MANY}; i++) console.log(await freePort())`
  await using other = new TestProcess(['--input-type=module-typescript', '--eval', script])
  expect(await other.ended).toEqual({ code: 0, signal: null })
  const ports = other.out.split('\n').filter(Boolean).map(Number)
  expect(ports).toHaveLength(MANY)
  const own = await many()
  expect(ports.filter((port) => own.has(port))).toEqual([])
})
