import { CONDITIONS, type Condition } from '../../../../src/membership/condition.ts'
import { METRICS } from '../../../../src/telemetry/metrics.ts'

/** What one pod says of itself at one moment; what is left out is that of a healthy pod. */
export interface PodView {
  readonly digest: string
  readonly nodes: number
  readonly suspect?: number
  readonly ready?: boolean
  readonly managerUp?: boolean
  readonly sourceOk?: boolean
  readonly source?: string
  readonly condition?: Condition
  /** Seconds; undefined leaves the series out, as for a pod that is alone. */
  readonly stalenessSeconds?: number | undefined
  readonly balance?: number
  readonly epoch?: number
  readonly changes?: Partial<Record<keyof typeof METRICS.ringChanges.labels.cause, number>>
  readonly refutations?: number
  /** Checks so far, by what came out. */
  readonly checks?: Partial<Record<keyof typeof METRICS.checks.labels.verdict, number>>
  /** Hand-overs that timed out so far, and seconds since the oldest one began. */
  readonly handover?: { readonly timedOut?: number; readonly oldestSeconds?: number }
  readonly drops?: Partial<Record<keyof typeof METRICS.gossipDrops.labels.reason, number>>
  /** Look-ups so far: with an owner, and without through our fault. */
  readonly lookUps?: { readonly ok: number; readonly unavailable: number }
  /** Look-ups so far by how long they took. */
  readonly lookUpTimes?: { readonly fast: number; readonly slow: number }
  /** Connections so far that were closed for new ones. */
  readonly connectionsClosed?: number
  /** The HashRing `shop/cache`, where there is one. */
  readonly hashRing?: {
    readonly accepted?: boolean
    readonly braked?: boolean
    readonly settled?: boolean
    readonly held?: number
  }
  /** Timers so far by how late they were. */
  readonly loopDelays?: { readonly prompt: number; readonly late: number }
}

/** One process with an address of its own, as Prometheus finds it. A pod that is replaced is another one. */
export interface SampledPod {
  readonly pod: string
  readonly instance: string
  readonly release?: string
  /** Seconds after the full scrape interval at which it is scraped. */
  readonly scrapeOffset?: number
  /** Seconds at which it begins and ends to be found by service discovery. */
  readonly from?: number
  readonly until?: number
  /** `unreachable` fails the scrape, as a frozen process does. */
  readonly view: (seconds: number) => PodView | 'unreachable'
}

/** A ready condition of a pod as kube-state-metrics has it; undefined while there is no such pod. */
export interface SampledKubernetes {
  readonly pods: readonly string[]
  readonly ready: (pod: string, seconds: number) => boolean | undefined
}

/** How often Prometheus scrapes, in seconds; the default of the chart. */
export const SCRAPE_SECONDS = 30
/** The grid of the recorded samples, in seconds. */
export const STEP_SECONDS = 5
/** Prometheus takes a target that is gone for gone after so long, in case it comes back. */
const STALE_AFTER_SECONDS = 66

/** One series in promtool's notation. */
export interface InputSeries {
  readonly series: string
  readonly values: string
}

/**
 * What Prometheus stores of these pods: each is scraped at its own moments; what a pod no longer says, and a pod that
 * does not answer, ends at the next scrape; what is no longer found ends a while later.
 */
export function samplePods(pods: readonly SampledPod[], durationSeconds: number): InputSeries[] {
  return pods.flatMap((pod) => samplePod(pod, durationSeconds))
}

/** The same of kube-state-metrics, which is scraped at the full interval. */
export function sampleKubernetes(kubernetes: SampledKubernetes, durationSeconds: number): InputSeries[] {
  return kubernetes.pods.flatMap((pod) => {
    const recorder = new Recorder(durationSeconds)
    for (let at = 0; at <= durationSeconds; at += SCRAPE_SECONDS) {
      const ready = kubernetes.ready(pod, at)
      const name = (condition: string) =>
        `kube_pod_status_ready{namespace="rings",pod="${pod}",condition="${condition}"}`
      recorder.record(
        at,
        ready === undefined
          ? []
          : [
              [name('true'), Number(ready)],
              [name('false'), Number(!ready)],
            ],
      )
    }
    return recorder.series()
  })
}

function samplePod(pod: SampledPod, durationSeconds: number): InputSeries[] {
  const recorder = new Recorder(durationSeconds)
  const { scrapeOffset = 0, from = 0, until = Infinity } = pod
  let lastAt = 0
  for (let at = scrapeOffset; at <= durationSeconds; at += SCRAPE_SECONDS) {
    if (at < from || at >= until) continue
    const view = pod.view(at)
    recorder.record(at, view === 'unreachable' ? [] : seriesOf(pod, view))
    lastAt = at
  }
  const staleAt = lastAt + STALE_AFTER_SECONDS
  if (until + STALE_AFTER_SECONDS < durationSeconds) {
    recorder.record(Math.ceil(staleAt / STEP_SECONDS) * STEP_SECONDS, [])
  }
  return recorder.series()
}

/** Samples of one target on the grid. */
class Recorder {
  readonly #steps: number
  readonly #samples = new Map<string, string[]>()
  #present = new Set<string>()

  constructor(durationSeconds: number) {
    this.#steps = Math.floor(durationSeconds / STEP_SECONDS) + 1
  }

  /** A scrape: what was there before and is not now ends. */
  record(seconds: number, samples: readonly (readonly [series: string, value: number])[]): void {
    const step = Math.round(seconds / STEP_SECONDS)
    if (step >= this.#steps) return
    const now = new Set(samples.map(([series]) => series))
    for (const series of this.#present) if (!now.has(series)) this.#put(series, step, 'stale')
    for (const [series, value] of samples) this.#put(series, step, String(value))
    this.#present = now
  }

  series(): InputSeries[] {
    return [...this.#samples].map(([series, values]) => ({ series, values: values.join(' ') }))
  }

  #put(series: string, step: number, value: string): void {
    let values = this.#samples.get(series)
    if (values === undefined) {
      values = Array.from({ length: this.#steps }, () => '_')
      this.#samples.set(series, values)
    }
    values[step] = value
  }
}

function hashRingSeries(
  ring: PodView['hashRing'],
  name: (metric: string, ...labels: string[]) => string,
): [series: string, value: number][] {
  if (ring === undefined) return []
  const { accepted = true, braked = false, settled, held = 0 } = ring
  const of = (metric: string) => name(metric, 'ring_namespace="shop"', 'ring="cache"')
  return [
    [of(METRICS.hashRingAccepted.name), Number(accepted)],
    [of(METRICS.hashRingBraked.name), Number(braked)],
    [of(METRICS.hashRingHeldNodes.name), held],
    // Of the pod that writes the status alone.
    ...(settled === undefined
      ? []
      : ([[of(METRICS.hashRingSettled.name), Number(settled)]] satisfies [string, number][])),
  ]
}

/** Every series that an alert may ask for, as the pod would serve it. */
function seriesOf(pod: SampledPod, view: PodView): [series: string, value: number][] {
  const target = `namespace="rings",release="${pod.release ?? 'blue'}",pod="${pod.pod}",instance="${pod.instance}"`
  const name = (metric: string, ...labels: string[]) => `${metric}{${[...labels, target].join(',')}}`
  const { suspect = 0, changes = {}, drops = {}, source = 'memberlist' } = view
  const { condition = 'well' } = view
  const { lookUps = { ok: 0, unavailable: 0 }, lookUpTimes = { fast: 0, slow: 0 } } = view
  const { loopDelays = { prompt: 0, late: 0 } } = view
  const route = 'route="/v1/owner"'
  const staleness = 'stalenessSeconds' in view ? view.stalenessSeconds : 1
  const buckets = (
    metric: string,
    fast: number,
    slow: number,
    fastLe: string,
    slowLe: string,
    ...labels: string[]
  ) =>
    [
      [name(`${metric}_bucket`, ...labels, `le="${fastLe}"`), fast],
      [name(`${metric}_bucket`, ...labels, `le="${slowLe}"`), fast + slow],
      [name(`${metric}_bucket`, ...labels, 'le="+Inf"'), fast + slow],
    ] satisfies [string, number][]
  return [
    [name(METRICS.buildInfo.name, 'version="0.1.0"', 'node_version="v24.0.0"'), 1],
    [name(METRICS.members.name, 'state="alive"'), view.nodes - suspect],
    [name(METRICS.members.name, 'state="suspect"'), suspect],
    [name(METRICS.members.name, 'state="dead"'), 0],
    [name(METRICS.members.name, 'state="left"'), 0],
    [name(METRICS.ringInfo.name, `digest="${view.digest}"`), 1],
    [name(METRICS.ringNodes.name), view.nodes],
    [name(METRICS.ringEpoch.name), view.epoch ?? 1],
    [name(METRICS.ringBalanceRatio.name), view.balance ?? 1.1],
    ...Object.keys(METRICS.ringChanges.labels.cause).map((cause): [string, number] => [
      name(METRICS.ringChanges.name, `cause="${cause}"`),
      changes[cause as keyof typeof changes] ?? 0,
    ]),
    [name(METRICS.ready.name), Number(view.ready ?? true)],
    [name(METRICS.managerUp.name), Number(view.managerUp ?? true)],
    [name(METRICS.sourceOk.name, `source="${source}"`), Number(view.sourceOk ?? condition === 'well')],
    ...Object.keys(CONDITIONS).map((each): [string, number] => [
      name(METRICS.condition.name, `condition="${each}"`),
      Number(each === condition),
    ]),
    ...(staleness === undefined
      ? []
      : ([[name(METRICS.sourceStaleness.name, `source="${source}"`), staleness]] satisfies [
          string,
          number,
        ][])),
    ...hashRingSeries(view.hashRing, name),
    [name(METRICS.gossipRefutations.name), view.refutations ?? 0],
    ...Object.keys(METRICS.checks.labels.verdict).map((verdict): [string, number] => [
      name(METRICS.checks.name, `verdict="${verdict}"`),
      view.checks?.[verdict as keyof typeof METRICS.checks.labels.verdict] ?? 0,
    ]),
    ...Object.keys(METRICS.handovers.labels.outcome).map((outcome): [string, number] => [
      name(METRICS.handovers.name, `outcome="${outcome}"`),
      outcome === 'timed-out' ? (view.handover?.timedOut ?? 0) : 1,
    ]),
    [name(METRICS.handoverOldest.name), view.handover?.oldestSeconds ?? 0],
    ...Object.keys(METRICS.gossipDrops.labels.reason).map((reason): [string, number] => [
      name(METRICS.gossipDrops.name, `reason="${reason}"`),
      drops[reason as keyof typeof drops] ?? 0,
    ]),
    [name(METRICS.lookUps.name, route, 'result="ok"'), lookUps.ok],
    [name(METRICS.lookUps.name, route, 'result="unavailable"'), lookUps.unavailable],
    [name(METRICS.lookUps.name, route, 'result="refused"'), 0],
    ...Object.keys(METRICS.httpConnectionsClosed.labels.reason).map((reason): [string, number] => [
      name(METRICS.httpConnectionsClosed.name, `reason="${reason}"`),
      reason === 'made-room' ? (view.connectionsClosed ?? 0) : 0,
    ]),
    ...buckets(METRICS.lookUpDuration.name, lookUpTimes.fast, lookUpTimes.slow, '0.0005', '0.025', route),
    ...buckets(METRICS.eventLoopDelay.name, loopDelays.prompt, loopDelays.late, '0.0025', '0.5'),
  ]
}
