import type { Tracer } from '@opentelemetry/api'
import { expect, test, vi } from 'vitest'
import { systemClock, systemRandom, type Clock } from '../../src/clock.ts'
import { composeProcess } from '../../src/compose/ring-process.ts'
import { loadServeConfig } from '../../src/config/load.ts'
import { FastLookUps } from '../../src/http/fast-look-ups.ts'
import { silentLogger } from '../../src/logger.ts'
import { noTracer } from '../../src/tracing.ts'
import { freePort } from '../support/free-port.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

function compose(settings: Record<string, string>, clock: Clock = systemClock, tracer?: Tracer) {
  const values = {
    ...(settings['source'] === undefined ? { source: 'static', staticMembers: '10.0.0.1:8000' } : {}),
    httpHost: '127.0.0.1',
    httpPort: '0',
    adminPort: '0',
    ...settings,
  }
  const { values: config } = loadServeConfig({ values, unknown: [] }, {})
  return composeProcess(config, { clock, random: systemRandom, logger: silentLogger, tracer })
}

/** The first answer of somebody who asked before anybody listened. */
async function askEarly(url: string): Promise<Response> {
  for (;;) {
    try {
      return await fetch(url)
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
}

test.each(['/hashring/nodes/get?key=k', '/v1/owner?key=k'])(
  'the first answer of %s names an owner',
  async (path) => {
    const httpPort = await freePort()
    const member = compose({ httpPort: String(httpPort), foldWindowMs: '300ms' })
    const asked = askEarly(`http://127.0.0.1:${httpPort}${path}`)
    await member.start()
    const answer = await asked
    expect(answer.status).toBe(200)
    expect(await answer.text()).toContain('10.0.0.1')
    await member.close(0)
  },
)

test.each([
  ['of a member with the defaults', {}, undefined, true],
  ['where it is switched off', { httpFastPath: 'false' }, undefined, false],
  ['with traces on', {}, noTracer, false],
])('plain look-ups %s take the fast path, or not', async (_, settings, tracer, expected) => {
  const answer = vi.spyOn(FastLookUps.prototype, 'answer')
  const member = compose(settings, systemClock, tracer)
  const { http } = await member.start()
  expect(await (await fetch(`${http.url}/v1/owner?key=k`)).text()).toContain('10.0.0.1')
  expect(answer.mock.results.filter(({ value }) => value !== undefined)).toHaveLength(expected ? 1 : 0)
  answer.mockRestore()
  await member.close(0)
})

test('look-ups wait for five seconds at most, probes not at all', async () => {
  const [httpPort, adminPort] = [await freePort(), await freePort()]
  const clock = new VirtualClock()
  const after = vi.spyOn(clock, 'after')
  const member = compose(
    { httpPort: String(httpPort), adminPort: String(adminPort), foldWindowMs: '10s' },
    clock,
  )
  const starting = member.start().catch((error: unknown) => error)
  expect((await askEarly(`http://127.0.0.1:${adminPort}/readyz`)).status).toBe(503)
  let answered = false
  const asked = askEarly(`http://127.0.0.1:${httpPort}/v1/owner?key=k`).then((answer) => {
    answered = true
    return answer
  })
  // The look-up is held from then on.
  await expect.poll(() => after.mock.calls.map(([delayMs]) => delayMs)).toContain(5000)
  await clock.advance(4999)
  expect(answered).toBe(false)
  await clock.advance(1)
  expect((await asked).status).toBe(503)
  await member.close(0)
  expect(await starting).toMatchObject({ code: 'MANAGER_NOT_RUNNING' })
})

test('a port that Sidecar posts its updates to answers at once', async () => {
  const httpPort = await freePort()
  const member = compose({
    source: 'sidecar',
    sidecarService: 's',
    sidecarServicePort: '1',
    httpPort: String(httpPort),
    foldWindowMs: '300ms',
  })
  const startedMs = performance.now()
  const asked = askEarly(`http://127.0.0.1:${httpPort}/v1/owner?key=k`)
  const starting = member.start()
  expect((await asked).status).toBe(503)
  await starting
  expect(performance.now() - startedMs).toBeGreaterThan(250)
  await member.close(0)
})

test('closing during the start leaves no server that listens', async () => {
  for (let turns = 0; turns < 12; turns++) {
    const [httpPort, adminPort] = [await freePort(), await freePort()]
    const member = compose({ httpPort: String(httpPort), adminPort: String(adminPort) })
    const starting = member.start().catch(() => {})
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
    await member.close(0)
    for (const port of [httpPort, adminPort]) {
      await expect(fetch(`http://127.0.0.1:${port}/livez`)).rejects.toThrow('fetch failed')
    }
    await starting
  }
})
