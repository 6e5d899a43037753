import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { maxMean } from '../ring/plan.ts'
import type { NamedRings, NamedRingSummary } from '../service/named-rings.ts'
import type { MetricId } from './metrics.ts'
import { byLabel, single, type Sample, type Samples } from './sample.ts'

/** What is known of the rings besides the rings themselves. */
export interface HashRingFacts {
  readonly rings: NamedRings
  /** Whether all pods hold a ring; undefined where this process does not know. */
  readonly settled: (name: string) => boolean | undefined
  /** Statuses written so far. */
  readonly statusWrites: () => number
}

/** Rings that have series of their own. Whoever may make HashRings decides how many there are. */
const RINGS_LIMIT = 2000

/** How long one turn of the event loop may spend on it, in milliseconds. */
const TURN_MS = 5

type State = 'well' | 'braked' | 'stale' | 'not-accepted' | 'waiting'

/** What is to be said of the rings of HashRings now. Nothing is kept: what is gone has no series. */
export async function collectHashRings(
  { rings, settled, statusWrites }: HashRingFacts,
  clock: Clock,
): Promise<Samples> {
  const counts: Record<State, number> = { well: 0, braked: 0, stale: 0, 'not-accepted': 0, waiting: 0 }
  const known = rings.known().map((summary) => ({ summary, state: stateOf(summary) }))
  for (const { state } of known) counts[state]++
  const shown = known.sort((a, b) => Number(a.state === 'well') - Number(b.state === 'well'))
  const samples: Partial<Record<MetricId, Sample[]>> = {}
  let endMs = clock.now() + TURN_MS
  for (const { summary, state } of shown.slice(0, RINGS_LIMIT)) {
    const { name, ring } = summary
    const [ring_namespace = '', local = ''] = name.split('/')
    const labels = { ring_namespace, ring: local }
    const put = (id: MetricId, value: number | undefined) => {
      if (value !== undefined) (samples[id] ??= []).push({ value, labels })
    }
    put('hashRingAccepted', Number(state !== 'not-accepted'))
    put('hashRingBraked', Number(state === 'braked'))
    if (ring === undefined) continue
    const { manager, source } = ring.service
    const { ring: held, epoch } = manager.snapshot
    const all = settled(name)
    put('hashRingSettled', all === undefined ? undefined : Number(all))
    put('hashRingVersion', ring.version)
    put('hashRingNodes', held.size)
    put('hashRingHeldNodes', source.members.filter((member) => member.state === 'suspect').length)
    put('hashRingBalanceRatio', maxMean(held))
    put('hashRingChanges', epoch)
    put('hashRingKeysMoved', ring.movedShare)
    const [last] = manager.recentChanges
    put('hashRingLastChange', last?.records[0] && last.records[0].timeMs / 1000)
    if (clock.now() < endMs) continue
    await setImmediate()
    endMs = clock.now() + TURN_MS
  }
  return {
    ...samples,
    hashRings: byLabel('state', counts),
    hashRingsOmitted: single(Math.max(0, known.length - RINGS_LIMIT)),
    hashRingStatusWrites: single(statusWrites()),
  }
}

function stateOf({ accepted, ring }: NamedRingSummary): State {
  if (!accepted) return 'not-accepted'
  if (ring === undefined) return 'waiting'
  if (ring.braked) return 'braked'
  const { condition } = ring.service.health()
  if (condition === 'misconfigured') return 'not-accepted'
  return condition === 'stale' ? 'stale' : 'well'
}
