import { Truth, type Deed, type TimelineEntry } from './timeline.ts'

/** A removal that nothing excuses: see {@link measure}. */
export interface FalseRemoval {
  readonly atMs: number
  readonly observer: string
  readonly subject: string
}

/** What followed a deed. Times are milliseconds since it; undefined is never, before the next deed or the end. */
export interface Consequence {
  readonly deed: Deed
  readonly atMs: number
  /** Until the first of the others stopped to show the deed's member; undefined where that is not asked. */
  readonly firstRemovalMs: number | undefined
  /** Until none of the others showed the deed's member any more; undefined where that is not asked. */
  readonly removedMs: number | undefined
  /** Until every healthy member showed exactly what it ought to. */
  readonly settledMs: number | undefined
  /** The same, but since the started member showed itself: without the time that its program takes to start. */
  readonly settledSinceUpMs: number | undefined
}

export interface Measures {
  readonly falseRemovals: readonly FalseRemoval[]
  readonly consequences: readonly Consequence[]
}

/** A consequence that is still being looked for. */
type Watched = { -readonly [Field in keyof Consequence]: Consequence[Field] } & {
  /** When the started member first showed itself. */
  upAtMs: number | undefined
}

/**
 * Measures a timeline.
 *
 * A removal is false when its subject was healthy and within the observer's reach at that moment and for `graceMs`
 * before it: after a fault has ended, that long is left to refute what was believed with reason. That the observer
 * itself was frozen excuses nothing: it must not blame others for its own stall.
 *
 * The consequences of a deed are looked for until the next deed but one of loss.
 *
 * @param timeline - In any order; of the same millisecond, views count first: a deed often follows at once.
 */
export function measure(timeline: readonly TimelineEntry[], graceMs: number): Measures {
  const truth = new Truth()
  const shown = new Map<string, Set<string>>()
  const lastExcuseMs = new Map<string, number>()
  const falseRemovals: FalseRemoval[] = []
  const consequences: Watched[] = []
  let watched: Watched | undefined
  // What is true changes only with a deed: an excuse lasts until the deed that ends it.
  const noteExcuses = (atMs: number) => {
    for (const observer of shown.keys()) {
      for (const subject of shown.keys()) {
        if (!truth.ought(observer, subject)) lastExcuseMs.set(pair(observer, subject), atMs)
      }
    }
  }

  for (const entry of timeline.toSorted((a, b) => a.atMs - b.atMs || order(a) - order(b))) {
    if (entry.kind === 'view') {
      const view = viewOf(shown, entry.observer)
      if (entry.change === 'join') {
        view.add(entry.subject)
      } else {
        view.delete(entry.subject)
        const excusedAtMs = truth.ought(entry.observer, entry.subject)
          ? (lastExcuseMs.get(pair(entry.observer, entry.subject)) ?? -Infinity)
          : entry.atMs
        if (entry.observer !== entry.subject && entry.atMs - excusedAtMs > graceMs) {
          falseRemovals.push({ atMs: entry.atMs, observer: entry.observer, subject: entry.subject })
        }
      }
    } else {
      noteExcuses(entry.atMs)
      truth.apply(entry)
      if (entry.kind === 'started') shown.set(entry.member, new Set())
      if (entry.kind !== 'loss') {
        const { atMs, ...deed } = entry
        watched = {
          deed,
          atMs,
          upAtMs: undefined,
          firstRemovalMs: undefined,
          removedMs: undefined,
          settledMs: undefined,
          settledSinceUpMs: undefined,
        }
        consequences.push(watched)
      }
    }
    if (watched !== undefined) watch(watched, entry.atMs, truth, shown)
  }
  return { falseRemovals, consequences }
}

/** Notes what has become true of a deed by now. */
function watch(
  watched: Watched,
  nowMs: number,
  truth: Truth,
  shown: ReadonlyMap<string, ReadonlySet<string>>,
): void {
  const elapsedMs = nowMs - watched.atMs
  const gone = removedBy(watched.deed)
  if (gone !== undefined) {
    const others = truth.healthy.filter((name) => name !== gone)
    const showing = others.filter((name) => shown.get(name)?.has(gone) === true)
    if (showing.length < others.length) watched.firstRemovalMs ??= elapsedMs
    if (showing.length === 0) watched.removedMs ??= elapsedMs
  }
  const { deed } = watched
  if (deed.kind === 'started' && shown.get(deed.member)?.has(deed.member) === true) watched.upAtMs ??= nowMs
  if (watched.settledMs !== undefined) return
  const settled = truth.healthy.every((observer) => {
    const ought = truth.view(observer)
    const view = shown.get(observer)
    return view?.size === ought.length && ought.every((name) => view.has(name))
  })
  if (!settled) return
  watched.settledMs = elapsedMs
  watched.settledSinceUpMs = watched.upAtMs === undefined ? undefined : nowMs - watched.upAtMs
}

/** The member that a deed takes away from the others. */
function removedBy(deed: Deed): string | undefined {
  const takesAway =
    deed.kind === 'killed' || deed.kind === 'left' || deed.kind === 'frozen' || deed.kind === 'isolated'
  return takesAway ? deed.member : undefined
}

function viewOf(shown: Map<string, Set<string>>, observer: string): Set<string> {
  const view = shown.get(observer) ?? new Set()
  shown.set(observer, view)
  return view
}

function order(entry: TimelineEntry): number {
  return entry.kind === 'view' ? 0 : 1
}

function pair(observer: string, subject: string): string {
  return `${observer}\0${subject}`
}
