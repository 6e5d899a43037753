/** Facts about a span. What is undefined is left out. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>

/** What a span is to others: work in here, or a call to somebody. */
export type SpanKind = 'internal' | 'client'

/** How a span begins. */
export interface SpanOptions {
  /** @default 'internal' */
  readonly kind?: SpanKind
  readonly attributes?: SpanAttributes
  /**
   * What it is a part of: another span, or whatever span is active where it is started. Left out, it begins a trace of
   * its own: for what this process does by itself, such as the push/pull of every half minute.
   */
  readonly parent?: Span | 'active'
}

/** A piece of work with a beginning and an end. One that is never ended is never reported. */
export interface Span {
  /** Adds attributes; one of the same name is replaced. */
  set(attributes: SpanAttributes): void
  /**
   * Marks the work as failed. `error.type` is the error's code, or its class, or the word given, one of few. Messages are
   * left out: they may quote what somebody sent.
   */
  fail(error: unknown): void
  /** Ends it now. Ending it again does nothing. */
  end(): void
  /** Does `work` with this span as the active one: its log lines and spans belong to it. */
  within<T>(work: () => T): T
  /** Headers that make whoever is called go on with this trace; empty when nothing is traced. */
  headers(): Readonly<Record<string, string>>
}

/** Which span is active, for log lines and exemplars. */
export interface ActiveTrace {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
  /** Whether the trace is kept; one that is not cannot be looked up. */
  readonly sampled: boolean
}

/**
 * What every part of ringman makes spans through; parts take it as they take their `Logger`. Names of spans are few and
 * fixed, and what varies is an attribute; none of them holds a key.
 */
export interface Tracer {
  startSpan(name: string, options?: SpanOptions): Span
  /**
   * Does `work` within a span that is active meanwhile, also across its `await`s. The span ends when the work does, and
   * fails with it; the error is thrown on.
   */
  trace<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>
  /** Does `work` outside any span: for loops, timers and sockets, which outlive what began them. */
  detach<T>(work: () => T): T
  /** The span that is active here. */
  active(): ActiveTrace | undefined
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({})

const noSpan: Span = {
  set: () => {},
  fail: () => {},
  end: () => {},
  within: (work) => work(),
  headers: () => NO_HEADERS,
}

/** Makes no spans: the tracer while nothing is traced. */
export const noTracer: Tracer = {
  startSpan: () => noSpan,
  trace: (_name, _options, work) => work(noSpan),
  detach: (work) => work(),
  active: () => undefined,
}
