import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { context, propagation, SpanKind, trace } from '@opentelemetry/api'
import Koa from 'koa'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { RingmanClient } from '../../src/client/ringman-client.ts'
import { createRing } from '../../src/compose/create-ring.ts'
import { registeredTracer } from '../../src/tracing.ts'
import type { CreateRingOptions } from '../../src/compose/ring.ts'
import { stateJson, tick, updateJson } from '../membership/sidecar/sidecar-fixtures.ts'
import { freePort } from '../support/free-port.ts'
import { isChild, RecordedSpans } from '../support/recorded-spans.ts'

let recorded: RecordedSpans | undefined
afterEach(() => {
  recorded?.[Symbol.dispose]()
  recorded = undefined
})

const STATIC: CreateRingOptions = { source: 'static', staticMembers: ['10.0.0.1:8000', '10.0.0.2:8000'] }

function record(): RecordedSpans {
  recorded = new RecordedSpans()
  return recorded
}

/** A program with the ring's routes in its own application. */
async function serve(options: CreateRingOptions) {
  const ring = await createRing(options)
  const app = new Koa()
  app.use(ring.routes())
  app.use((ctx) => {
    ctx.body = 'mine'
  })
  const server: Server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    ring,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
      await ring.shutdown()
    },
  }
}

/** Does `work` within a span of the program. */
function within<T>(name: string, work: () => Promise<T>): Promise<T> {
  return trace.getTracer('program').startActiveSpan(name, async (span) => {
    try {
      return await work()
    } finally {
      span.end()
    }
  })
}

describe('a program with a provider of its own', () => {
  test('sees its span, the span of the request and what the request brought about in one trace', async () => {
    const spans = record()
    await using program = await serve({
      source: 'sidecar',
      sidecarService: 'some-svc',
      sidecarServicePort: 9999,
      sidecarHoldDownMs: 0,
    })
    const update = updateJson(stateJson(tick(2), [{ id: 'a' }]))
    const client = new RingmanClient({ url: program.url })
    const owner = await within('checkout', async () => {
      const headers: Record<string, string> = {}
      propagation.inject(context.active(), headers)
      await fetch(`${program.url}/hashring/update`, { method: 'POST', body: JSON.stringify(update), headers })
      await expect.poll(() => program.ring.manager.snapshot.ring.size).toBe(1)
      return client.owner('user:42')
    })
    await expect
      .poll(() => spans.all.map(({ name }) => name).sort())
      .toEqual(['GET /v1/owner', 'POST /hashring/update', 'checkout', 'ring.start', 'ring.swap'].sort())
    const caller = spans.one('checkout')
    const update1 = spans.one('POST /hashring/update')
    const lookUp = spans.one('GET /v1/owner')
    expect([update1.kind, lookUp.kind]).toEqual([SpanKind.SERVER, SpanKind.SERVER])
    expect(isChild(update1, caller)).toBe(true)
    expect(isChild(spans.one('ring.swap'), update1)).toBe(true)
    expect(isChild(lookUp, caller)).toBe(true)
    expect(lookUp.attributes['ringman.owner']).toBe(owner.owner.ringKey)
    expect(lookUp.instrumentationScope.name).toBe('ringman')
  })

  test('has no spans of ours for paths of its own', async () => {
    const spans = record()
    await using program = await serve(STATIC)
    spans.clear()
    expect(await (await fetch(`${program.url}/mine`)).text()).toBe('mine')
    expect((await fetch(`${program.url}/v1/ring`)).status).toBe(200)
    await expect.poll(() => spans.all.map(({ name }) => name)).toEqual(['GET /v1/ring'])
  })

  test('sees the start of a ring within what starts it, but not what the ring does later', async () => {
    const spans = record()
    const ring = await within('boot', () => createRing({ ...STATIC, foldWindowMs: 0 }))
    expect(isChild(spans.one('ring.start'), spans.one('boot'))).toBe(true)
    expect(isChild(spans.one('ring.swap'), spans.one('ring.start'))).toBe(true)
    await ring.manager.addNode({ ringKey: 'late', weight: 1 })
    await expect.poll(() => spans.named('ring.swap')).toHaveLength(2)
    expect(spans.named('ring.swap')[1]?.parentSpanContext).toBeUndefined()
    await within('halt', () => ring.shutdown())
    expect(isChild(spans.one('ring.leave'), spans.one('halt'))).toBe(true)
  })

  test('sees nothing when it does not want to', async () => {
    const spans = record()
    await using program = await serve({ ...STATIC, tracing: false })
    await within('caller', () => new RingmanClient({ url: program.url }).ring())
    expect(spans.all.map(({ name }) => name)).toEqual(['caller'])
  })

  test('watches within its trace, too', async () => {
    const spans = record()
    await using program = await serve(STATIC)
    const abort = new AbortController()
    await within('follow', async () => {
      for await (const ring of new RingmanClient({ url: program.url }).watch({ signal: abort.signal })) {
        expect(ring.nodes).toHaveLength(2)
        break
      }
    })
    abort.abort()
    await expect.poll(() => spans.named('GET /v1/ring/watch')).toHaveLength(1)
    expect(isChild(spans.one('GET /v1/ring/watch'), spans.one('follow'))).toBe(true)
  })
})

test('a program without one is asked about it, and sends no headers', async () => {
  expect(registeredTracer('0')).toBeUndefined()
  const sent: unknown[] = []
  const client = new RingmanClient({
    url: 'http://member',
    fetch: (_url, init) => {
      sent.push(init.headers)
      return Promise.reject(new TypeError('no network here'))
    },
  })
  await expect(client.ring()).rejects.toMatchObject({ code: 'UNREACHABLE' })
  expect(sent).toEqual([{ accept: 'application/json' }])
  record()
  expect(registeredTracer('0')).toBeDefined()
})

describe('members that gossip', () => {
  const local = { bind: '127.0.0.1', gossipPort: 0, preset: 'local' } as const

  /** A member may join again soon. */
  const firstJoin = (spans: RecordedSpans) =>
    vi.waitUntil(() => spans.named('gossip.join')[0], { timeout: 60_000 })

  test('memberlist: a join holds its exchanges, a failed one says so, a leave holds its farewell', async () => {
    const spans = record()
    await using first = await createRing({ source: 'memberlist', name: 'a', servicePort: 8001, ...local })
    const seed = `127.0.0.1:${first.gossipAddress?.port}`
    const second = await createRing({
      source: 'memberlist',
      name: 'b',
      servicePort: 8002,
      seeds: [seed],
      ...local,
      // Nobody has it afterwards, either.
      gossipPort: await freePort(),
    })
    await expect.poll(() => second.manager.snapshot.ring.size).toBe(2)
    const join = await firstJoin(spans)
    expect(join.parentSpanContext).toBeUndefined()
    expect(join.attributes).toMatchObject({ 'ringman.join.reached': 1, 'ringman.join.failed': 0 })
    const exchange = spans.named('gossip.push-pull').find((span) => isChild(span, join))
    expect(exchange?.kind).toBe(SpanKind.CLIENT)
    expect(exchange?.attributes).toMatchObject({
      'server.address': '127.0.0.1',
      'server.port': first.gossipAddress?.port,
      'ringman.push_pull.join': true,
      'ringman.push_pull.members_received': 1,
    })

    await second.shutdown()
    const leave = spans.named('ring.leave')[0]
    const farewell = spans.one('gossip.leave')
    expect(leave !== undefined && isChild(farewell, leave)).toBe(true)
    expect(farewell.attributes).toMatchObject({
      'ringman.leave.acknowledged_by': 1,
      'ringman.leave.others': 1,
    })

    spans.clear()
    await using third = await createRing({
      source: 'memberlist',
      name: 'c',
      servicePort: 8003,
      seeds: [`127.0.0.1:${second.gossipAddress?.port ?? 1}`],
      ...local,
    })
    void third
    expect((await firstJoin(spans)).attributes).toMatchObject({
      'ringman.join.reached': 0,
      'ringman.join.failed': 1,
      'error.type': 'unreachable',
    })
    expect(spans.named('gossip.push-pull')[0]?.attributes['error.type']).toBe('refused')
  })

  test('swim: a join is a moment, a leave holds its farewell', async () => {
    const spans = record()
    await using first = await createRing({ source: 'swim', name: 'a', servicePort: 8001, ...local })
    const seed = `127.0.0.1:${first.gossipAddress?.port}`
    const second = await createRing({ source: 'swim', name: 'b', servicePort: 8002, seeds: [seed], ...local })
    await expect.poll(() => second.manager.snapshot.ring.size).toBe(2)
    expect((await firstJoin(spans)).attributes['ringman.join.contacts']).toBe(1)
    await second.shutdown()
    const leave = spans.named('ring.leave')[0]
    expect(leave !== undefined && isChild(spans.one('gossip.leave'), leave)).toBe(true)
  })
})
