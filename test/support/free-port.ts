import { createSocket } from 'node:dgram'
import { once, type EventEmitter } from 'node:events'
import { createServer } from 'node:net'
import { threadId } from 'node:worker_threads'

/** Below those that the system gives for port 0 and to outgoing connections: nobody is given one of these before it is used. */
const FIRST_PORT = 10_000
const PORTS = 22_000

/** Each process begins elsewhere: test files run side by side, and look for ports at the same time. */
let next = process.pid * 64 + threadId * 8

/** A port that nobody has just now, at any address, by TCP or UDP; another one each time. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORTS; tries++) {
    const port = FIRST_PORT + (next++ % PORTS)
    if ((await isFreeForTcp(port)) && (await isFreeForUdp(port))) return port
  }
  throw new Error(`no port is free from ${FIRST_PORT} on`)
}

async function isFreeForTcp(port: number): Promise<boolean> {
  const server = createServer()
  return opens(server, 'listening', () => server.listen(port))
}

async function isFreeForUdp(port: number): Promise<boolean> {
  const socket = createSocket('udp4')
  return opens(socket, 'listening', () => socket.bind(port))
}

type Closable = EventEmitter & { close(): unknown }

/** Whether it takes its port, which it has given back by then. */
async function opens(part: Closable, event: string, open: () => unknown): Promise<boolean> {
  try {
    open()
    await once(part, event)
  } catch {
    part.close()
    return false
  }
  part.close()
  await once(part, 'close')
  return true
}
