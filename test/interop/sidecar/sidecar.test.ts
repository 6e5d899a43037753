import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Koa from 'koa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { sidecarUpdate } from '../../../src/http/sidecar-update.ts'
import { guardFor, middlewareOf } from '../../support/http-parts.ts'
import { silentLogger } from '../../../src/logger.ts'
import { HashRingManager } from '../../../src/manager/hash-ring-manager.ts'
import { parseState } from '../../../src/membership/sidecar/catalog.ts'
import type { SidecarSourceOptions } from '../../../src/membership/sidecar/sidecar-options.ts'
import { SidecarSource } from '../../../src/membership/sidecar/sidecar-source.ts'
import { RingService } from '../../../src/service/ring-service.ts'
import { CheckedService, SidecarProgram, type RunningSidecar } from './sidecar-process.ts'

const SERVICE = 'some-svc'
const SERVICE_PORT = 9999
const TOKEN = 'a-token-for-this-test'
/** A real Sidecar checks every 3 s, and the hold-down may add 5 s. */
const PATIENCE_MS = 60_000

/** One ring per way of hearing from Sidecar; each must follow on its own. */
const WAYS: Readonly<Record<string, (url: string) => Partial<SidecarSourceOptions>>> = {
  'posts alone': () => ({}),
  'posts after a fetch': (url) => ({ url, refetchIntervalMs: 0 }),
  'the stream alone': (url) => ({ url, watch: true, refetchIntervalMs: 0 }),
  'fetches alone': (url) => ({ url, refetchIntervalMs: 500 }),
  everything: (url) => ({ url, watch: true, refetchIntervalMs: 1000 }),
}
const POSTED = ['posts alone', 'posts after a fetch', 'everything']

interface RunningRing {
  readonly source: SidecarSource
  readonly manager: HashRingManager
  readonly ring: RingService
}

describe('a ring of the services of a Sidecar', () => {
  const services = [new CheckedService(), new CheckedService(), new CheckedService()]
  const other = new CheckedService()
  const rings = new Map<string, RunningRing>()
  const faults: unknown[] = []
  let program: SidecarProgram
  let sidecar: RunningSidecar
  let server: Server
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'ringman-token-'))
    const tokenFile = join(folder, 'token')
    writeFileSync(tokenFile, TOKEN)
    program = new SidecarProgram()
    await Promise.all([...services, other].map((service) => service.start()))

    // The listener is there first: Sidecar posts as soon as it has found out that a service is alive.
    const handlers = new Map<string, ReturnType<Koa['callback']>>()
    server = createServer((request, response) => {
      const handle = handlers.get(new URL(request.url ?? '', 'http://x').searchParams.get('ring') ?? '')
      if (handle === undefined) response.writeHead(503).end()
      else handle(request, response).catch((error: unknown) => faults.push(error))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const make = (name: string, options: Partial<SidecarSourceOptions>) => {
      const source = new SidecarSource(
        { serviceName: SERVICE, servicePort: SERVICE_PORT, holdDownMs: 1000, ...options },
        { logger: silentLogger },
      )
      const manager = new HashRingManager({ clock: systemClock })
      const deps = {
        source,
        manager,
        logger: silentLogger,
        clock: systemClock,
        ringKeyMode: 'address' as const,
      }
      const ring = new RingService(deps)
      ring.done.catch((error: unknown) => faults.push(error))
      rings.set(name, { source, manager, ring })
      const app = new Koa()
      app.on('error', (error: unknown) => faults.push(error))
      app.use(middlewareOf(sidecarUpdate({ updates: source, guard: guardFor({ tokenFile }) })))
      if (POSTED.includes(name)) handlers.set(name, app.callback())
      return ring
    }
    await make('posts alone', {}).start()

    // Sidecar sends no headers of its own: the token goes as password of the URL.
    sidecar = await program.start(
      [
        ...services.map((service) => service.target(SERVICE, SERVICE_PORT)),
        other.target('other-svc', SERVICE_PORT),
      ],
      POSTED.map(
        (name) =>
          `http://ringman:${TOKEN}@127.0.0.1:${port}/hashring/update?ring=${encodeURIComponent(name)}`,
      ),
    )
    for (const [name, options] of Object.entries(WAYS)) {
      if (!rings.has(name)) await make(name, options(sidecar.url)).start()
    }
  })

  afterAll(async () => {
    await Promise.all([...rings.values()].map(({ ring }) => ring.stop()))
    await sidecar.kill()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await Promise.all([...services, other].map((service) => service.stop()))
    program.dispose()
    rmSync(folder, { recursive: true })
  })

  const keysOf = (name: string) =>
    rings
      .get(name)
      ?.manager.snapshot.ring.nodes.map(({ ringKey }) => ringKey)
      .sort()
  const all = () => services.map(({ port }) => `127.0.0.1:${port}`).sort()

  async function everyRingIs(wanted: readonly string[]): Promise<void> {
    for (const name of rings.keys()) {
      await expect
        .poll(() => keysOf(name), { timeout: PATIENCE_MS, message: `${name}\n${sidecar.lastLines()}` })
        .toEqual(wanted)
    }
    const digests = new Set([...rings.values()].map(({ manager }) => manager.snapshot.ring.digest))
    expect(digests.size).toBe(1)
  }

  test('has every service of the name, on every way', async () => {
    await everyRingIs(all())
  })

  test('drops a service that stops, and takes it back when it starts again', async () => {
    const [stopped] = services
    if (stopped === undefined) expect.unreachable()
    for (let round = 0; round < 2; round++) {
      await stopped.stop()
      await everyRingIs(all().filter((key) => key !== `127.0.0.1:${stopped.port}`))
      expect(rings.get('everything')?.source.members).toHaveLength(3)
      await stopped.start()
      await everyRingIs(all())
    }
  })

  test('does not move when another service changes', async () => {
    const before = [...rings.values()].map(({ manager }) => manager.snapshot.epoch)
    await other.stop()
    await expect
      .poll(async () => JSON.stringify(await (await fetch(sidecar.url)).json()), { timeout: PATIENCE_MS })
      .toMatch(/"Name":"other-svc"[^}]*"Ports":\[[^\]]*\][^}]*"Status":[^0]/)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect([...rings.values()].map(({ manager }) => manager.snapshot.epoch)).toEqual(before)
  })

  test('drops a service that drains, though it still answers', async () => {
    const [drained] = services
    const state = parseState(await (await fetch(sidecar.url)).json(), SERVICE)
    const id = state.services.find(({ ports }) => ports[0]?.port === drained?.port)?.id
    const answer = await fetch(new URL(`services/${id}/drain`, sidecar.url), { method: 'POST' })
    expect(answer.status).toBe(202)
    await everyRingIs(all().filter((key) => key !== `127.0.0.1:${drained?.port}`))
    const states = rings.get('everything')?.source.members.map((member) => member.state)
    expect(states?.sort()).toEqual(['alive', 'alive', 'left'])
  })

  test('keeps its ring while Sidecar is gone', async () => {
    const before = keysOf('everything') ?? []
    expect(before).toHaveLength(2)
    await sidecar.kill()
    await new Promise((resolve) => setTimeout(resolve, 2000))
    await everyRingIs(before)
    expect(faults).toEqual([])
  })
})

test('the stand-in writes what a real Sidecar was recorded to write', () => {
  const program = new SidecarProgram()
  try {
    // A real Sidecar has no such switch, and nothing to prove.
    if (program.real) return
    for (const kind of ['state', 'event'] as const) {
      const recorded = readFileSync(new URL(`../../golden/sidecar-${kind}.json`, import.meta.url))
      expect(program.reencode(kind, recorded).equals(recorded)).toBe(true)
    }
  } finally {
    program.dispose()
  }
})
