import { context, SpanStatusCode, trace } from '@opentelemetry/api'
import { AlwaysOffSampler } from '@opentelemetry/sdk-trace'
import { afterEach, describe, expect, test } from 'vitest'
import { systemClock } from '../src/clock.ts'
import { RingmanError } from '../src/errors.ts'
import { silentLogger } from '../src/logger.ts'
import { HashRingManager } from '../src/manager/hash-ring-manager.ts'
import { RingService } from '../src/service/ring-service.ts'
import {
  currentTraceId,
  detach,
  errorTypeOf,
  noTracer,
  traceFields,
  traceHeaders,
  withSpan,
} from '../src/tracing.ts'
import { FakeSource, fakeMember } from './support/fake-source.ts'
import { isChild, RecordedSpans } from './support/recorded-spans.ts'

let recorded: RecordedSpans | undefined
afterEach(() => {
  recorded?.[Symbol.dispose]()
})

function setUp(...sampler: ConstructorParameters<typeof RecordedSpans>) {
  const spans = new RecordedSpans(...sampler)
  recorded = spans
  return { spans, tracer: trace.getTracer('test') }
}

describe('spans', () => {
  test('what is detached from a span belongs to no trace', async () => {
    const { spans, tracer } = setUp()
    await withSpan(tracer, 'outer', {}, async (span) => {
      expect(traceHeaders()['traceparent']).toContain(span.spanContext().spanId)
      detach(() => {
        expect(traceHeaders()).toEqual({})
        tracer.startSpan('alone').end()
      })
      await Promise.resolve()
      tracer.startSpan('part').end()
    })
    expect(spans.one('alone').parentSpanContext).toBeUndefined()
    expect(isChild(spans.one('part'), spans.one('outer'))).toBe(true)
    expect(trace.getSpan(context.active())).toBeUndefined()
  })

  test('work that fails marks its span, by a word and never by the message, and the error goes on', async () => {
    const { spans, tracer } = setUp()
    const error = new RingmanError('TIMEOUT', 'no answer for user:42')
    await expect(withSpan(tracer, 'work', {}, () => Promise.reject(error))).rejects.toBe(error)
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

  test('ids go into lines and exemplars; an exemplar is only for a trace that is kept', async () => {
    const kept = setUp()
    await withSpan(kept.tracer, 'work', {}, () => {
      const { traceId, spanId } = trace.getActiveSpan()?.spanContext() ?? {}
      expect(traceFields()).toEqual({ trace_id: traceId, span_id: spanId, trace_flags: '01' })
      expect(currentTraceId()).toBe(traceId)
      return Promise.resolve()
    })
    expect(traceFields()).toEqual({})
    expect(currentTraceId()).toBeUndefined()
    kept.spans[Symbol.dispose]()

    const { tracer } = setUp(new AlwaysOffSampler())
    await withSpan(tracer, 'work', {}, () => {
      expect(traceFields()).toMatchObject({ trace_flags: '00' })
      expect(currentTraceId()).toBeUndefined()
      return Promise.resolve()
    })
  })
})

test('noTracer makes no spans, not even where a provider is registered, and the work is done', async () => {
  const { spans } = setUp()
  expect(await withSpan(noTracer, 'work', {}, () => Promise.resolve(traceHeaders()))).toEqual({})
  await expect(withSpan(noTracer, 'work', {}, () => Promise.reject(new Error('x')))).rejects.toThrow('x')
  expect(spans.all).toEqual([])
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
