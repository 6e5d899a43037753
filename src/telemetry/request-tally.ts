import type { Clock } from '../clock.ts'
import type { RequestMeter } from '../http/route.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import { LookUpTally } from './look-up-tally.ts'
import { RouteTally } from './route-tally.ts'
import { byLabel, histogram, type Collector, type Samples } from './sample.ts'
import type { LOOK_UP_ROUTES } from './table/http-table.ts'

type LookUpRoute = keyof typeof LOOK_UP_ROUTES

export interface RequestTallyOptions {
  readonly clock: Clock
  readonly manager: Pick<HashRingManager, 'running' | 'snapshot'>
  /** The trace id of the request at hand, if it is in a trace that is recorded: for exemplars. @default none */
  readonly currentTraceId?: () => string | undefined
}

/**
 * Counts requests and look-ups. What it holds is bounded by the routes there are, whatever clients ask for, and what it
 * does with a request is an array index away: no label is put together, and nothing is hashed.
 */
export class RequestTally implements RequestMeter, Collector {
  readonly #lookUps: Readonly<Record<LookUpRoute, LookUpTally>>
  readonly #routes = new Map<string, RouteTally>()
  readonly #others = new RouteTally({})

  constructor(options: RequestTallyOptions) {
    this.#lookUps = {
      '/v1/owner': new LookUpTally(options),
      '/v1/owners': new LookUpTally(options),
      'POST /v1/owners': new LookUpTally(options),
      // It answers 200 with an empty node where the others say 503.
      '/hashring/nodes/get': new LookUpTally({ ...options, hidesOutages: true }),
    }
  }

  forRoute(path: string | undefined): RouteTally {
    if (path === undefined) return this.#others
    let tally = this.#routes.get(path)
    if (tally === undefined) {
      tally = new RouteTally({
        ...(Object.hasOwn(this.#lookUps, path) ? { lookUps: this.#lookUps[path as LookUpRoute] } : {}),
        ...(path === '/v1/owners' ? { batches: this.#lookUps['POST /v1/owners'] } : {}),
      })
      this.#routes.set(path, tally)
    }
    return tally
  }

  collect(): Samples {
    const lookUps = Object.entries(this.#lookUps)
    return {
      lookUps: lookUps.flatMap(([route, { results }]) => byLabel('result', results, { route })),
      lookUpKeys: lookUps.map(([route, { keys }]) => ({ value: keys, labels: { route } })),
      lookUpDuration: lookUps.flatMap(([route, { seconds, exemplars }]) =>
        histogram(seconds, { route }, exemplars),
      ),
      httpRequests: [
        ...[...this.#routes].flatMap(([route, tally]) => tally.samples(route)),
        ...this.#others.samples('other'),
      ],
    }
  }
}
