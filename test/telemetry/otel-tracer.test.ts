import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AlwaysOffSampler } from '@opentelemetry/sdk-trace'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { RingmanError } from '../../src/errors.ts'
import { silentLogger } from '../../src/logger.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import { RingService } from '../../src/compose/ring-service.ts'
import { ApiTracer, errorTypeOf } from '../../src/telemetry/otel-tracer.ts'
import { currentTraceId, traceFields } from '../../src/telemetry/trace-fields.ts'
import { noTracer } from '../../src/tracing.ts'
import { FakeSource, fakeMember } from '../support/fake-source.ts'
import { isChild, RecordedSpans } from '../support/recorded-spans.ts'

let recorded: RecordedSpans | undefined
afterEach(() => {
  recorded?.[Symbol.dispose]()
})

function setUp(...sampler: ConstructorParameters<typeof RecordedSpans>) {
  const spans = new RecordedSpans(...sampler)
  recorded = spans
  return { spans, tracer: new ApiTracer(trace.getTracer('test')) }
}

describe('ApiTracer', () => {
  test('a span without a parent begins a trace, also within another span', async () => {
    const { spans, tracer } = setUp()
    await tracer.trace('outer', {}, async () => {
      tracer.startSpan('alone').end()
      tracer.startSpan('part', { parent: 'active', kind: 'client' }).end()
      await Promise.resolve()
    })
    const outer = spans.one('outer')
    expect(spans.one('alone').parentSpanContext).toBeUndefined()
    expect(isChild(spans.one('part'), outer)).toBe(true)
    expect([outer.kind, spans.one('part').kind]).toEqual([SpanKind.INTERNAL, SpanKind.CLIENT])
  })

  test('a span can be a part of one that is not active, and can be made active', () => {
    const { spans, tracer } = setUp()
    const outer = tracer.startSpan('outer')
    tracer.startSpan('part', { parent: outer }).end()
    outer.within(() => {
      expect(tracer.active()?.traceId).toBe(outer.headers()['traceparent']?.split('-')[1])
      tracer.detach(() => {
        expect(tracer.active()).toBeUndefined()
      })
    })
    outer.end()
    expect(isChild(spans.one('part'), spans.one('outer'))).toBe(true)
    expect(tracer.active()).toBeUndefined()
  })

  test('work that fails marks its span, by a word and never by the message, and the error goes on', async () => {
    const { spans, tracer } = setUp()
    const error = new RingmanError('TIMEOUT', 'no answer for user:42')
    await expect(tracer.trace('work', {}, () => Promise.reject(error))).rejects.toBe(error)
    const span = spans.one('work')
    expect(span.status).toEqual({ code: SpanStatusCode.ERROR })
    expect(span.attributes).toEqual({ 'error.type': 'TIMEOUT' })
    expect(span.events).toEqual([])
  })

  test.each([
    [new RingmanError('BODY_INVALID', ''), 'BODY_INVALID'],
    [Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    [Object.assign(new Error('x'), { code: 'key user:42' }), 'Error'],
    [new TypeError('x'), 'TypeError'],
    ['thrown text', '_OTHER'],
    [undefined, '_OTHER'],
  ])('the type of %o is %s', (error, type) => {
    expect(errorTypeOf(error)).toBe(type)
  })

  test('a span that has ended takes no more, and undefined attributes are left out', () => {
    const { spans, tracer } = setUp()
    const span = tracer.startSpan('work', { attributes: { a: 1, b: undefined } })
    span.set({ c: undefined, d: true })
    span.end()
    span.end()
    span.set({ late: 1 })
    span.fail('late')
    expect(spans.one('work').attributes).toEqual({ a: 1, d: true })
    expect(spans.one('work').status.code).toBe(SpanStatusCode.UNSET)
  })

  test('ids go into lines and exemplars; an exemplar is only for a trace that is kept', async () => {
    const kept = setUp()
    await kept.tracer.trace('work', {}, () => {
      const { traceId, spanId } = trace.getActiveSpan()?.spanContext() ?? {}
      expect(traceFields(kept.tracer)).toEqual({ trace_id: traceId, span_id: spanId, trace_flags: '01' })
      expect(currentTraceId(kept.tracer)).toBe(traceId)
      return Promise.resolve()
    })
    expect(traceFields(kept.tracer)).toEqual({})
    expect(currentTraceId(kept.tracer)).toBeUndefined()
    kept.spans[Symbol.dispose]()

    const { tracer } = setUp(new AlwaysOffSampler())
    await tracer.trace('work', {}, () => {
      expect(traceFields(tracer)).toMatchObject({ trace_flags: '00' })
      expect(currentTraceId(tracer)).toBeUndefined()
      return Promise.resolve()
    })
  })
})

test('noTracer does the work and nothing else', async () => {
  expect(await noTracer.trace('work', {}, (span) => Promise.resolve(span.headers()))).toEqual({})
  const span = noTracer.startSpan('work')
  span.set({ a: 1 })
  span.fail('x')
  span.end()
  expect(span.within(() => 1)).toBe(1)
  expect(noTracer.detach(() => 2)).toBe(2)
  expect(noTracer.active()).toBeUndefined()
  await expect(noTracer.trace('work', {}, () => Promise.reject(new Error('x')))).rejects.toThrow('x')
})

test('a ring has one span for each new ring, however many changes it holds, and none without', async () => {
  const { spans, tracer } = setUp()
  const a = fakeMember('a', '10.0.0.1')
  const source = new FakeSource([a], { kind: 'memberlist' })
  const ring = new RingService({
    source,
    manager: new HashRingManager({ clock: systemClock, foldWindowMs: 20 }),
    logger: silentLogger,
    clock: systemClock,
    ringKeyMode: 'address',
    tracer,
  })
  await ring.start()
  expect(spans.named('ring.swap')).toHaveLength(1)
  expect(isChild(spans.one('ring.swap'), spans.one('ring.start'))).toBe(true)

  // A member that is suspected stays on the ring.
  source.set([{ ...a, state: 'suspect' }])
  await ring.manager.setNodes(ring.manager.snapshot.ring.nodes)
  expect(spans.named('ring.swap')).toHaveLength(1)

  const b = fakeMember('b', '10.0.0.2')
  source.set([a, b])
  source.set([a, b, fakeMember('c', '10.0.0.3')])
  await expect.poll(() => spans.named('ring.swap')).toHaveLength(2)
  expect(spans.named('ring.swap')[1]?.attributes).toMatchObject({
    'ringman.ring.nodes': 3,
    'ringman.ring.added': 2,
    'ringman.ring.epoch': 2,
    'ringman.source': 'memberlist',
  })
  await ring.stop()
})
