import { readFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import Koa from 'koa'
import { expect, test } from 'vitest'
import { seededRandom } from '../../lab/sim/seeded-random.ts'
import { systemClock } from '../../src/clock.ts'
import { sidecarUpdate } from '../../src/http/sidecar-update.ts'
import { guardFor, middlewareOf } from '../support/http-parts.ts'
import { silentLogger } from '../../src/logger.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import { SidecarSource } from '../../src/membership/sidecar/sidecar-source.ts'
import { RingService } from '../../src/service/ring-service.ts'

/** `RINGMAN_HOSTILE_COUNT=1000000` sends a million; the seed of a failure is repeated with `RINGMAN_HOSTILE_SEED`. */
const COUNT = Number(process.env['RINGMAN_HOSTILE_COUNT'] ?? 50_000)
const SEED = Number(process.env['RINGMAN_HOSTILE_SEED'] ?? Date.now() % 2 ** 32)
const CONNECTIONS = 8
const MIB = 1024 * 1024

const event = readFileSync(new URL('../golden/sidecar-event.json', import.meta.url))

/** Values that a field may be replaced with. */
const ODD: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1.5,
  1e308,
  2 ** 53,
  '',
  'x',
  '\u0000',
  [],
  {},
  [[]],
  { Servers: {} },
  '0001-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999999999Z',
  '2019-05-10T10:00:00.5+23:59',
  '__proto__',
]

/** A body that is no newer than the ring's state, or not an update at all. */
function hostileBody(random: () => number): Buffer {
  const pick = (n: number) => Math.floor(random() * n)
  switch (pick(4)) {
    case 0:
      return Buffer.from(Array.from({ length: pick(300) }, () => pick(256)))
    case 1: {
      const bytes = Buffer.from(event)
      for (let n = 1 + pick(8); n > 0; n--) bytes[pick(bytes.length)] = pick(256)
      return bytes
    }
    case 2: {
      const cut = event.subarray(0, pick(event.length))
      return random() < 0.5 ? cut : Buffer.concat([event.subarray(pick(event.length)), cut])
    }
    default: {
      // One field somewhere in it becomes something else, so that the JSON stays well-formed.
      const update = JSON.parse(event.toString('utf8')) as Record<string, unknown>
      let at: Record<string, unknown> = update
      for (;;) {
        const keys = Object.keys(at)
        const key = keys[pick(keys.length)] ?? 'none'
        const inner = at[key]
        if (typeof inner === 'object' && inner !== null && random() < 0.85) {
          at = inner as Record<string, unknown>
          continue
        }
        at[key] = ODD[pick(ODD.length)]
        return Buffer.from(JSON.stringify(update))
      }
    }
  }
}

test(`${COUNT} hostile bodies at /update change no ring, end nothing and hold no memory`, async () => {
  const random = seededRandom(SEED)
  const source = new SidecarSource({ serviceName: 'some-svc', servicePort: 9999 }, { logger: silentLogger })
  const manager = new HashRingManager({ clock: systemClock })
  const ring = new RingService({
    source,
    manager,
    logger: silentLogger,
    clock: systemClock,
    ringKeyMode: 'address',
  })
  let over: unknown
  ring.done.catch((error: unknown) => {
    over = error
  })
  // The state of the ring is dated after everything that is sent, but for the far future, which is refused.
  const first = JSON.parse(event.toString('utf8')) as { State: { LastChanged: string; Servers: unknown } }
  first.State.LastChanged = new Date().toISOString()
  source.update(Buffer.from(JSON.stringify(first)))
  await ring.start()
  const { digest } = manager.snapshot.ring
  const { epoch } = manager.snapshot
  expect(manager.snapshot.ring.size).toBe(2)

  const app = new Koa()
  const faults: unknown[] = []
  app.on('error', (error: unknown) => faults.push(error))
  app.use(middlewareOf(sidecarUpdate({ updates: source, guard: guardFor() })))
  const handle = app.callback()
  const server = createServer((incoming, response) => {
    handle(incoming, response).catch((error: unknown) => faults.push(error))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })

  const statuses = new Map<number, number>()
  const send = (body: Buffer) =>
    new Promise<void>((resolve, reject) => {
      const outgoing = request({ agent, host: '127.0.0.1', port, method: 'POST', path: '/' }, (response) => {
        const status = response.statusCode ?? 0
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        response.resume().once('end', resolve)
      })
      outgoing.once('error', reject)
      outgoing.end(body)
    })
  const sendMany = async (count: number) => {
    let left = count
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        while (left-- > 0) await send(hostileBody(random))
      }),
    )
  }

  try {
    // The first part warms the engine up; from then on memory must not grow with the number of bodies.
    const warmUp = Math.ceil(COUNT / 5)
    await sendMany(warmUp)
    const usedBefore = usedBytes()
    await sendMany(COUNT - warmUp)
    const grownBytes = usedBytes() - usedBefore
    expect(grownBytes, `grown by ${(grownBytes / MIB).toFixed(1)} MiB, seed ${SEED}`).toBeLessThan(8 * MIB)

    expect(
      [...statuses.keys()].sort((a, b) => a - b),
      `seed ${SEED}`,
    ).toEqual([200, 500])
    expect(statuses.get(500), `seed ${SEED}`).toBeGreaterThan(COUNT / 4)
    expect(statuses.get(200), `seed ${SEED}`).toBeGreaterThan(COUNT / 100)
    expect(faults, `seed ${SEED}`).toEqual([])
    expect(over).toBeUndefined()
    expect(manager.snapshot.ring.digest, `seed ${SEED}`).toBe(digest)
    expect(manager.snapshot.epoch, `seed ${SEED}`).toBe(epoch)
    expect(source.health().detail['updatesWaiting']).toBe(0)

    // It still takes what it should: later than any other body, and not too far ahead of the clock.
    first.State.LastChanged = new Date(Date.now() + 60_000).toISOString()
    first.State.Servers = {}
    await send(Buffer.from(JSON.stringify(first)))
    await expect.poll(() => manager.snapshot.ring.size).toBe(0)
    expect(Object.getPrototypeOf({})).toBe(Object.prototype)
    expect(Object.keys(Object.prototype)).toEqual([])
  } finally {
    agent.destroy()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await ring.stop()
  }
})

/** Bytes in use once garbage is collected. */
function usedBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
