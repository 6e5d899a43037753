import { createServer } from 'node:http'
import Koa from 'koa'
import { Counter, Registry } from 'prom-client'
import { describe, expect, test } from 'vitest'
import { createRing } from '../../src/compose/create-ring.ts'
import type { StaticRingOptions } from '../../src/compose/ring.ts'
import { TestProcess } from '../support/child-process.ts'
import { parseExposition } from '../support/exposition.ts'
import { listening } from '../support/listening.ts'

const STATIC: StaticRingOptions = { source: 'static', staticMembers: ['10.0.0.1:8000', '10.0.0.2:8000'] }

describe('the metrics of a ring in a program', () => {
  test('are the ring’s, with the look-ups through its routes', async () => {
    await using ring = await createRing(STATIC)
    const app = new Koa()
    app.use(ring.routes())
    app.use((ctx) => {
      ctx.body = 'mine'
    })
    // oxlint-disable-next-line typescript/no-misused-promises
    const { url } = await listening(createServer(app.callback()))
    for (const path of ['/v1/owner?key=a', '/v1/owner?key=b', '/of/the/program'])
      expect((await fetch(`${url}${path}`)).status).toBe(200)
    const { contentType, body } = await ring.metrics()
    expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
    const metrics = parseExposition(body, 'prometheus')
    expect(metrics.get('ringman_ring_nodes')?.samples[0]?.value).toBe(2)
    // What belongs to the program is the program's to count.
    expect(metrics.get('ringman_http_requests_total')?.samples).toEqual([
      {
        name: 'ringman_http_requests_total',
        labels: { route: '/v1/owner', method: 'GET', status: '200' },
        value: 2,
      },
    ])
    expect([...metrics.keys()].filter((name) => !name.startsWith('ringman_'))).toEqual([])
    expect(metrics.has('ringman_build_info')).toBe(false)
  })

  test('count from the start, however late they are asked for', async () => {
    await using ring = await createRing(STATIC)
    await ring.manager.removeNode('10.0.0.2:8000')
    const changes = parseExposition((await ring.metrics()).body, 'prometheus').get(
      'ringman_ring_changes_total',
    )
    expect(
      changes?.samples.flatMap(({ labels, value }) => (value === 0 ? [] : [labels['cause'], value])),
    ).toEqual(['joined', 1, 'removed', 1])
  })

  test('go with those of the program, and with those of another ring', async () => {
    await using one = await createRing(STATIC)
    await using two = await createRing(STATIC)
    const registry = new Registry()
    new Counter({ name: 'mine_total', help: 'Mine.', registers: [registry] }).inc()
    const text = (await registry.metrics()) + (await one.metrics({ labels: { ring: 'one' } })).body
    const metrics = parseExposition(text, 'prometheus')
    expect(metrics.get('mine_total')?.samples[0]?.value).toBe(1)
    expect(metrics.get('ringman_ring_nodes')?.samples[0]?.labels).toEqual({ ring: 'one' })
    const other = await two.metrics({ labels: { ring: 'two' }, format: 'openmetrics' })
    expect(other.contentType).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
    const { samples = [] } = parseExposition(other.body, 'openmetrics').get('ringman_ring_nodes') ?? {}
    expect(samples[0]?.labels).toEqual({ ring: 'two' })
  })

  test('can be had after the shutdown', async () => {
    const ring = await createRing(STATIC)
    await ring.shutdown()
    const metrics = parseExposition((await ring.metrics()).body, 'prometheus')
    expect(metrics.get('ringman_manager_up')?.samples[0]?.value).toBe(0)
  })

  test('cost those who do not ask neither the library that writes them, nor a timer', async () => {
    const compose = new URL('../../src/compose/create-ring.ts', import.meta.url).href
    const script = `
      import { createRequire } from 'node:module'
      const { createRing } = await import(${JSON.stringify(compose)})
      const ring = await createRing(${JSON.stringify(STATIC)})
      const { cache } = createRequire(import.meta.url)
      const loaded = () => Object.keys(cache).some((path) => path.includes('prom-client'))
      const before = loaded()
      const { body } = await ring.metrics()
      console.log(JSON.stringify({ before, after: loaded(), has: body.includes('ringman_ring_nodes 2') }))
      // It is not shut down: nothing of the metrics must keep the process.
    `
    await using program = new TestProcess(['--input-type=module', '--eval', script])
    expect(await program.ended).toEqual({ code: 0, signal: null })
    expect(program.events).toEqual([{ before: false, after: true, has: true }])
    expect(program.err).toBe('')
  })
})
