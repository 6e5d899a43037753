import { createSocket } from 'node:dgram'
import { once, type EventEmitter } from 'node:events'
import { createServer } from 'node:net'

/** Below those that the system gives for port 0 and to outgoing connections: nobody is given one of these before it is used. */
const FIRST_PORT = 10_000
const BLOCKS = 88
const BLOCK_PORTS = 250

const block = await claimBlock()
let given = 0

/**
 * A port that nobody has just now, at any address, by TCP or UDP. No other process is given it, and this one only after hundreds
 * of others: it stays free until it is used, and between two uses.
 */
export async function freePort(): Promise<number> {
  for (let tries = 1; tries < BLOCK_PORTS; tries++) {
    const port = block + 1 + (given++ % (BLOCK_PORTS - 1))
    if ((await isFreeForTcp(port)) && (await isFreeForUdp(port))) return port
  }
  throw new Error(`no port is free from ${block + 1} on`)
}

/**
 * Takes the first port of a block, which says to other processes that the block is taken, for as long as this process lives.
 *
 * @returns that port
 */
async function claimBlock(): Promise<number> {
  for (let tries = 0; tries < BLOCKS; tries++) {
    const port = FIRST_PORT + ((process.pid + tries) % BLOCKS) * BLOCK_PORTS
    const claim = createServer()
    try {
      await once(claim.listen(port), 'listening')
      claim.unref()
      return port
    } catch {
      // Another process has this block.
    }
  }
  throw new Error(`all ${BLOCKS} blocks of ports are taken`)
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
