import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import Koa from 'koa'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock, systemRandom } from '../../src/clock.ts'
import { createRing } from '../../src/compose/create-ring.ts'
import { composeProcess } from '../../src/compose/ring-process.ts'
import { loadServeConfig } from '../../src/config/load.ts'
import { FLOOD_BUDGETS } from '../../src/telemetry/flood-limited-logger.ts'
import { encodeMetadata } from '../../src/membership/member.ts'
import type { Message } from '../../src/membership/memberlist/wire/messages.ts'
import { encodePacket } from '../../src/membership/memberlist/wire/packet-encoder.ts'
import { stateJson, tick, updateJson } from '../membership/sidecar/sidecar-fixtures.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { packet, rawPacket, update } from '../support/swim-packets.ts'
import { listening } from '../support/listening.ts'

/** What each peer sends of each kind: far more than any budget. */
const FLOOD = 1500

const GOSSIP = { name: 'here', bind: '127.0.0.1', gossipPort: 0, preset: 'local' } as const

/** Longest line that a peer may cause, in bytes of JSON. */
const LINE_LIMIT_BYTES = 16 * 1024

let logger: RecordingLogger
let socket: Socket
beforeEach(async () => {
  logger = new RecordingLogger()
  socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
})
afterEach(() => {
  socket.close()
})

/** Sends datagrams, in turns that leave the receiver time to read them. */
async function flood(port: number, make: (i: number) => Uint8Array, count = FLOOD): Promise<void> {
  for (let i = 0; i < count; i++) {
    socket.send(make(i), port, '127.0.0.1')
    if (i % 20 === 0) await turn()
  }
}

/**
 * That no event has more lines than its budget for the time it took, and no line is too long.
 *
 * @param expected - Events that the flood must have reached, each with the most lines that the part itself allows.
 */
function expectBounded(tookMs: number, expected: Readonly<Record<string, number>>): void {
  const counts = new Map<string, number>()
  for (const line of logger.lines) {
    const event = String(line.fields['event'])
    const budget = line.level === 'debug' || line.level === 'trace' ? 'detailed' : 'regular'
    const key = `${budget} ${event}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
    expect([event, JSON.stringify(line.fields).length < LINE_LIMIT_BYTES]).toEqual([event, true])
  }
  for (const [key, count] of counts) {
    const { burst, perSecond } = FLOOD_BUDGETS[key.split(' ')[0] as keyof typeof FLOOD_BUDGETS]
    const most = burst + (tookMs / 1000) * perSecond + 1
    expect([key, count <= most, `${count} of ${most}`]).toEqual([key, true, `${count} of ${most}`])
  }
  for (const [event, most] of Object.entries(expected)) {
    const { length } = logger.of(event)
    expect([event, length > 0 && length <= most, length]).toEqual([event, true, length])
  }
}

describe('a flood of peers makes no flood of lines', () => {
  test('memberlist: other labels, garbage, made-up members, names that move and are fought over', async () => {
    const beganMs = performance.now()
    await using ring = await createRing({ source: 'memberlist', ...GOSSIP, logger })
    const port = ring.gossipAddress?.port ?? 0
    const plain = { compression: false, crc: false, label: '' }
    const alive = (node: string, ip: number, incarnation: number): Message => ({
      kind: 'alive',
      node,
      incarnation,
      address: Uint8Array.of(10, 1, ip >> 8, ip & 255),
      port: 7946,
      meta: encodeMetadata({ servicePort: '8000' }),
      vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
    })
    const send = (make: (i: number) => Message, encoding = plain) =>
      flood(port, (i) => encodePacket([make(i)], encoding))
    await send((i) => ({ kind: 'dead', incarnation: 1, node: `x${i}`, from: 'y' }), {
      ...plain,
      label: 'other',
    })
    await flood(port, (i) => Uint8Array.of(i & 255, 1, 2, 3))
    await send((i) => ({ kind: 'suspect', incarnation: i + 1, node: 'here', from: `liar-${i}` }))
    await send((i) => alive(`made-up-${i % 200}-${'n'.repeat(200)}`, i % 200, i + 1))
    await send((i) => alive('wanted', i % 200, i + 1))
    await send((i) => ({
      kind: 'dead',
      incarnation: i + 10,
      node: `made-up-${i % 200}-${'n'.repeat(200)}`,
      from: 'liar',
    }))
    await send((i) => alive('here', i % 200, i + 1))
    await expect.poll(() => logger.of('conflict.found').length).toBeGreaterThan(0)
    // Nobody answers at the places of the made-up members: the ring stays as it began.
    expectBounded(performance.now() - beganMs, {
      'gossip.dropped': 30,
      'self.refuted': 10,
      'conflict.found': 10,
      'ring.changed': 1,
    })
  })

  test('swim: garbage, bad bodies and members that come and go', async () => {
    const beganMs = performance.now()
    await using ring = await createRing({ source: 'swim', ...GOSSIP, logger })
    const port = ring.gossipAddress?.port ?? 0
    await flood(port, (i) => rawPacket(i & 255, Buffer.from('c0', 'hex')))
    await flood(port, (i) => packet('sync', update('not a host', { incarnation: i })))
    await flood(port, (i) =>
      packet(
        'sync',
        update(`10.2.${i % 200}.1:7946`, {
          incarnation: Date.now() + i,
          state: i % 3,
          meta: { ServicePort: '8000', Name: 'twin' },
        }),
      ),
    )
    await expect.poll(() => logger.of('datagram.dropped').length).toBeGreaterThan(1)
    expectBounded(performance.now() - beganMs, { 'datagram.dropped': 30 })
  })

  test('Sidecar: updates that are none, and too many that are', async () => {
    const beganMs = performance.now()
    await using ring = await createRing({
      source: 'sidecar',
      sidecarService: 'some-svc',
      sidecarServicePort: 9999,
      sidecarHoldDownMs: 0,
      logger,
    })
    const app = new Koa()
    app.use(ring.routes())
    // oxlint-disable-next-line typescript/no-misused-promises
    const url = `${(await listening(createServer(app.callback()))).url}/hashring/update`
    const post = async (body: string) => (await fetch(url, { method: 'POST', body })).status
    const statuses = new Set<number>()
    for (let i = 0; i < 300; i++) {
      statuses.add(await post('{'))
      // An instance without the port is skipped, which is worth a line.
      statuses.add(
        await post(
          JSON.stringify(
            updateJson(stateJson(tick(i + 2), [{ id: `i${i}` }, { id: 'odd', servicePort: 1 }])),
          ),
        ),
      )
    }
    expect(statuses).toEqual(new Set([200, 500]))
    const tookMs = performance.now() - beganMs
    const inTenSeconds = 2 + tookMs / 10_000
    expectBounded(tookMs, {
      'update.refused': inTenSeconds,
      'instance.skipped': inTenSeconds,
      'update.received': FLOOD_BUDGETS.detailed.burst + tookMs / 10 + 1,
    })
  })

  test('HTTP: connections beyond the limit', async () => {
    const beganMs = performance.now()
    const { values } = loadServeConfig(
      {
        values: {
          source: 'static',
          staticMembers: 'a:1',
          httpHost: '127.0.0.1',
          httpPort: '0',
          adminPort: '0',
          maxConnections: '1',
        },
        unknown: [],
      },
      {},
    )
    const member = composeProcess(values, { clock: systemClock, random: systemRandom, logger })
    const { http } = await member.start()
    let last = connect(http.port, '127.0.0.1')
    await once(last, 'connect')
    for (let i = 0; i < FLOOD; i++) {
      const next = connect(http.port, '127.0.0.1')
      // It takes the place of the one before.
      await once(last.resume(), 'close')
      last = next
    }
    last.destroy()
    await member.close(0)
    expectBounded(performance.now() - beganMs, {
      'connections.limited': 1 + (performance.now() - beganMs) / 60_000,
    })
  })
})
