import { getOrMake } from '../get-or-make.ts'
import type { Clock } from '../clock.ts'
import type { ExpositionFormat, MetricsText } from '../http/metrics-answer.ts'
import type { RequestMeter } from '../http/route.ts'
import type { RingService } from '../service/ring-service.ts'
import { collectHashRings, type HashRingFacts } from './hash-ring-collector.ts'
import { METRICS, type MetricId } from './metrics.ts'
import type { Metric, MetricScope } from './metric.ts'
import { RequestTally } from './request-tally.ts'
import { collectRing, RingChangeTally } from './ring-collector.ts'
import type { Collector, Samples } from './sample.ts'
import { collectSource } from './source-collector.ts'

export interface RingMetricsOptions {
  readonly ring: RingService
  readonly clock: Clock
  /** The trace id of the request at hand, if it is in a trace that is recorded. @default none */
  readonly currentTraceId?: (() => string | undefined) | undefined
  /** Has what other threads have answered counted. @default there are none */
  readonly gatherRequests?: (() => void) | undefined
  /** What the process adds to the ring's metrics. @default nothing */
  readonly processCollectors?: readonly Collector[]
  /** The rings of HashRings. @default the process makes none */
  readonly hashRings?: HashRingFacts | undefined
}

/**
 * The metrics of one ring. It counts from when it is made, cheaply; prom-client is loaded, and everything else is
 * looked at, when somebody asks.
 */
export class RingMetrics {
  readonly #requests: RequestTally
  readonly #collectors: readonly Collector[]
  /** What is served, in the order of the table. */
  readonly #ids: readonly MetricId[]
  /** Texts that are being made: scrapers that come together share one. */
  readonly #writing = new Map<ExpositionFormat, Promise<MetricsText>>()

  constructor(options: RingMetricsOptions) {
    const { ring, clock, currentTraceId, processCollectors = [], hashRings } = options
    const changes = new RingChangeTally()
    ring.manager.subscribe((change) => changes.add(change))
    this.#requests = new RequestTally({
      clock,
      manager: ring.manager,
      currentTraceId,
      gather: options.gatherRequests,
    })
    this.#collectors = [
      () => collectRing(ring, clock),
      () => changes.collect(),
      () => this.#requests.collect(),
      () => collectSource(ring),
      ...(hashRings === undefined ? [] : [() => collectHashRings(hashRings, clock)]),
      ...processCollectors,
    ]
    const scopes: Record<MetricScope, boolean> = {
      ring: true,
      process: processCollectors.length > 0,
      'hash-rings': hashRings !== undefined,
    }
    this.#ids = (Object.keys(METRICS) as MetricId[]).filter((id) => {
      const { sources, scope = 'ring' }: Metric = METRICS[id]
      return scopes[scope] && (sources?.includes(ring.source.kind) ?? true)
    })
  }

  /** To be told of the requests. */
  get meter(): RequestMeter {
    return this.#requests
  }

  /** Everything, as of now. */
  async collect(): Promise<Samples> {
    const samples: Samples = {}
    // One after the other: what one of them computes must not count as the time that another one waited.
    for (const collector of this.#collectors) Object.assign(samples, await collector())
    return samples
  }

  /**
   * Everything as text.
   *
   * @param labels - For every series.
   */
  write(format: ExpositionFormat, labels?: Readonly<Record<string, string>>): Promise<MetricsText> {
    if (labels !== undefined) return this.#write(format, labels)
    return getOrMake(this.#writing, format, () =>
      this.#write(format).finally(() => this.#writing.delete(format)),
    )
  }

  async #write(format: ExpositionFormat, labels?: Readonly<Record<string, string>>): Promise<MetricsText> {
    const { writeMetrics } = await import('./exposition.ts')
    return writeMetrics(format, this.#ids, await this.collect(), labels)
  }
}
