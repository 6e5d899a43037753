import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { LiveMember } from './live-member.ts'
import { mutate, SeededRandom } from './wire-fuzz-mutate.ts'

const CASES = Number(process.env['RINGMAN_HOSTILE_CASES'] ?? 200_000)
const SEED = Number(process.env['RINGMAN_HOSTILE_SEED'] ?? Date.now() % 2 ** 32)
const MIB = 1024 * 1024
const CONNECTIONS = 16

const requests = [
  'GET /v1/owner?key=user%3A42 HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /v1/owners?key=caf%c3%a9&n=3 HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /hashring/nodes/get?key=x HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /hashring/nodes/get HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 17\r\n\r\nkey=from+form%26x',
  'POST /hashring/nodes/get HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 70\r\n\r\n--B\r\nContent-Disposition: form-data; name="key"\r\n\r\nmulti part\r\n--B--\r\n',
  'POST /v1/owners HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 29\r\n\r\n{"keys":["a","b","c"],"n":1}\n',
  'POST /v1/owners HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"keys"\r\n7\r\n:["a"]}\r\n0\r\n\r\n',
  'GET /v1/ring HTTP/1.1\r\nHost: a\r\nIf-None-Match: "0000"\r\n\r\n',
  'GET /v1/plan?leave=127.0.0.1%3A8000&join=a:1=2 HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /v1/members HTTP/1.1\r\nHost: a\r\n\r\n',
  'OPTIONS /v1/owner HTTP/1.1\r\nHost: a\r\n\r\n',
].map((text) => Buffer.from(text, 'latin1'))

test(`${CASES} random and mutated requests leave the member up, its ring unchanged, its memory flat (seed ${SEED})`, async () => {
  await using member = await LiveMember.start('memberlist')
  const before = await member.ring()
  const chance = new SeededRandom(SEED)
  const attack = async (cases: number) => {
    let left = cases
    const worker = async () => {
      let socket: Socket | undefined
      while (left-- > 0) {
        if (socket === undefined || socket.destroyed || !socket.writable) socket = await dial(member.httpPort)
        const bytes =
          chance.below(8) === 0
            ? chance.bytes(chance.below(400))
            : mutate(chance, chance.pick(requests), chance.pick(requests))
        // The answer's first bytes, the end of the connection, or a moment's silence of a server that waits for more.
        await speak(socket, bytes)
        if (chance.below(16) === 0) socket.destroy()
      }
      socket?.destroy()
    }
    await Promise.all(Array.from({ length: CONNECTIONS }, worker))
  }
  // The heap grows to its working size over the first hundred thousand; from there it must stay.
  await attack(CASES / 2)
  const warmBytes = member.residentBytes
  await attack(CASES / 2)
  const after = await member.ring()
  console.info(
    `resident: ${(warmBytes / MIB).toFixed(1)} MiB, then ${(member.residentBytes / MIB).toFixed(1)} MiB`,
  )
  expect(after).toMatchObject({ digest: before.digest, epoch: before.epoch })
  expect(member.residentBytes - warmBytes).toBeLessThan(64 * MIB)
  expect(member.process.events.filter(({ level }) => level === 'error' || level === 50)).toEqual([])
})

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => {})
  return socket
}

function speak(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      socket.off('data', done)
      socket.off('close', done)
      resolve()
    }
    // What is cut short gets no answer: the next bytes go after it, as a hostile client's would.
    const timer = setTimeout(done, 4)
    socket.on('data', done)
    socket.on('close', done)
    socket.write(bytes)
  })
}
