import { context, propagation, trace, type SpanContext } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
  type ReadableSpan,
  type Sampler,
} from '@opentelemetry/sdk-trace'

/** Registers OpenTelemetry as a program does that has it, with an exporter that keeps what has ended. */
export class RecordedSpans implements Disposable {
  readonly provider: TracerProvider
  readonly #exporter = new InMemorySpanExporter()

  constructor(sampler?: Sampler) {
    this.provider = new TracerProvider({
      spanProcessors: [new SimpleSpanProcessor({ exporter: this.#exporter })],
      ...(sampler === undefined ? {} : { sampler }),
    })
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    propagation.setGlobalPropagator(
      new CompositePropagator({
        propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()],
      }),
    )
    trace.setGlobalTracerProvider(this.provider)
  }

  get all(): ReadableSpan[] {
    return this.#exporter.getFinishedSpans()
  }

  /** The spans of this name, in the order of their ends. */
  named(name: string): ReadableSpan[] {
    return this.all.filter((span) => span.name === name)
  }

  /** The one span of this name. @throws {Error} when there are none or several. */
  one(name: string): ReadableSpan {
    const [span, ...more] = this.named(name)
    if (span === undefined || more.length > 0) {
      throw new Error(
        `${more.length + (span === undefined ? 0 : 1)} spans "${name}" among ${this.all.map((s) => s.name).join(', ')}`,
      )
    }
    return span
  }

  clear(): void {
    this.#exporter.reset()
  }

  [Symbol.dispose](): void {
    context.disable()
    propagation.disable()
    trace.disable()
  }
}

/** Whether `child` is a direct part of `parent`. */
export function isChild(child: ReadableSpan, parent: ReadableSpan | SpanContext): boolean {
  const { traceId, spanId } = 'spanContext' in parent ? parent.spanContext() : parent
  return child.spanContext().traceId === traceId && child.parentSpanContext?.spanId === spanId
}
