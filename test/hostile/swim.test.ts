import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { seededRandom } from '../../lab/sim/seeded-random.ts'
import type { Random } from '../../src/clock.ts'
import { checkDatagram } from '../../src/membership/swim/datagram-guard.ts'
import { SWIM_PRESETS, RECEIVE_FACTOR } from '../../src/membership/swim/swim-settings.ts'
import { startSwimCluster, type SwimProcess } from '../support/swim-cluster.ts'
import { compound, packet, rawPacket, update } from '../support/swim-packets.ts'

/** Datagrams to send; RINGMAN_HOSTILE_CASES raises it. */
const CASES = Number(process.env['RINGMAN_HOSTILE_CASES'] ?? 200_000)

/** What seeds the chance; RINGMAN_HOSTILE_SEED repeats a run. */
const SEED = Number(process.env['RINGMAN_HOSTILE_SEED'] ?? Date.now() % 2 ** 31)

/** Sent before an acknowledgement is waited for, so that the kernel's buffer does not overflow. */
const BATCH = 50

const LIMITS = {
  maxBytes: SWIM_PRESETS.local.datagramBytes * RECEIVE_FACTOR,
  maxIncarnation: Date.now() + 86_400_000,
}

let cluster: SwimProcess[] = []
let socket: Socket

beforeEach(async () => {
  cluster = await startSwimCluster(3, 'local')
  socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
})

afterEach(async () => {
  socket.close()
  await Promise.all(cluster.map((member) => member.kill()))
})

/** Makes one datagram: bytes by chance, or a good message with something wrong in it. */
function makeDatagram(random: Random, hosts: readonly string[]): Buffer {
  const below = (limit: number) => Math.floor(random() * limit)
  const bytes = (length: number) => Buffer.from(Array.from({ length }, () => below(256)))
  const host = hosts[below(hosts.length)] ?? ''
  const length = random() < 0.02 ? below(9000) : below(random() < 0.5 ? 40 : 1400)
  const good = (): Buffer => {
    const claim = {
      state: below(3),
      incarnation: Date.now() + below(1000),
      meta: { ServicePort: '8000', Name: 'm1' },
    }
    switch (below(6)) {
      case 0:
        return packet('ping', { seq: below(1000) })
      case 1:
        return packet('ack', { seq: below(1000) })
      case 2:
        return packet('pingReq', { seq: below(1000), destination: host })
      case 3:
        return packet('sync', update(host, claim))
      case 4:
        return packet('update', update(host, claim))
      default:
        return compound(
          packet('ping', { seq: 1 }),
          packet('update', update(host, claim)),
          packet('ack', { seq: 2 }),
        )
    }
  }
  switch (below(4)) {
    case 0:
      return bytes(length)
    case 1:
      return rawPacket([0, 10, 11, 12, 13, 14][below(6)] ?? 0, bytes(length))
    case 2: {
      const changed = good()
      for (let count = 1 + below(5); count > 0; count--) changed[below(changed.length)] = below(256)
      return changed
    }
    default: {
      const whole = good()
      return Buffer.concat([whole.subarray(0, below(whole.length + 1)), bytes(below(8))])
    }
  }
}

/**
 * Whether a datagram is one that no check of form can tell from a member's own claim about members: the protocol
 * has no keys, so such claims count, true or not, until they are denied or found dead.
 */
function isCredibleClaim(bytes: Buffer): boolean {
  const checked = checkDatagram(bytes, LIMITS)
  return 'messages' in checked && checked.messages.some(({ kind }) => kind === 'update' || kind === 'sync')
}

let lastSeq = 123_456

/** Resolves when the member has read all that was sent to it before: it answers this ping, and not one of those. */
async function drained(member: SwimProcess): Promise<void> {
  const seq = ++lastSeq
  const answered = Promise.withResolvers<boolean>()
  const listen = (bytes: Buffer) => {
    const checked = checkDatagram(bytes, LIMITS)
    if (!('messages' in checked)) return
    if (checked.messages.some((message) => message.kind === 'ack' && message.data.seq === seq))
      answered.resolve(true)
  }
  socket.on('message', listen)
  try {
    for (let attempt = 0; attempt < 600 && member.running; attempt++) {
      socket.send(packet('ping', { seq }), member.port, '127.0.0.1')
      const late = once(AbortSignal.timeout(100), 'abort').then(() => false)
      if (await Promise.race([answered.promise, late])) return
    }
  } finally {
    socket.off('message', listen)
  }
  expect.fail(`seed ${SEED}: ${member.name} no longer answers; it said: ${member.stderr}`)
}

test(`${CASES} random and mutated datagrams leave a member up, in its cluster, with flat memory`, async () => {
  const random = seededRandom(SEED)
  const [target] = cluster
  if (target === undefined) expect.fail('no cluster')
  const hosts = [...cluster.map(({ port }) => `127.0.0.1:${port}`), '10.9.9.9:7946']
  let sent = 0
  let malformed = 0
  const memory: number[] = []
  const everSeen = new Set<string>()
  const unwatch = cluster.map((member) =>
    member.watch(() => {
      for (const [name, state] of Object.entries(member.states)) everSeen.add(`${name} ${state}`)
    }),
  )

  while (sent < CASES) {
    for (let count = 0; count < BATCH;) {
      const bytes = makeDatagram(random, hosts)
      if (isCredibleClaim(bytes)) continue
      if ('reason' in checkDatagram(bytes, LIMITS)) malformed += 1
      socket.send(bytes, target.port, '127.0.0.1')
      count += 1
    }
    sent += BATCH
    await drained(target)
    if (sent % Math.max(BATCH, Math.floor(CASES / 10 / BATCH) * BATCH) === 0) {
      memory.push((await target.stats()).memoryBytes)
    }
  }
  for (const end of unwatch) end()

  const { dropped } = await target.stats()
  const names = cluster.map(({ name }) => name)
  const facts = `seed ${SEED}, ${sent} sent, ${malformed} malformed, ${dropped} dropped, memory ${memory.join(' ')}`
  process.stdout.write(`${facts}\n`)
  expect(target.running, facts).toBe(true)
  expect(target.stderr, facts).toBe('')
  // Few may get lost on the way; the acknowledgements bound how many.
  expect(dropped, facts).toBeGreaterThan(malformed * 0.99)
  // Nobody came, nobody went, nobody was even doubted for long.
  for (const member of cluster) expect(Object.keys(member.states).sort(), facts).toEqual(names)
  expect(
    [...everSeen].filter((seen) => !/ (alive|suspect)$/.test(seen)),
    facts,
  ).toEqual([])
  await Promise.all(
    cluster.map((member) => member.until((states) => names.every((name) => states[name] === 'alive'))),
  )
  const [early = 0, last = 0] = [memory[1], memory.at(-1)]
  expect(last - early, facts).toBeLessThan(4 * 1024 * 1024)
})
