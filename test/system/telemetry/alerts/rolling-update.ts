import type { PodView, SampledKubernetes, SampledPod } from './sampled-pods.ts'

/** How a release is updated. */
export interface RollingUpdate {
  readonly replicas: number
  /** A StatefulSet keeps names and takes a pod away first; a Deployment adds a pod of a new name first. */
  readonly kind: 'StatefulSet' | 'Deployment'
  /** Seconds at which the first pod is replaced, and between two of them. */
  readonly beginSeconds: number
  readonly paceSeconds: number
  /** Seconds from the end of the old pod, or the decision to add one, to the start of the new process. */
  readonly startSeconds: number
}

/** What a process lives through, in seconds since the beginning. */
interface Life {
  readonly pod: string
  readonly instance: string
  readonly ringKey: string
  /** The process starts; it is alone for a moment. */
  readonly startAt: number
  /** It asks to leave; it goes on answering while it drains. */
  readonly leaveAt: number
}

/** From the start of a process until it is on everybody's ring. */
const JOIN_SECONDS = 2
/** From the join until the readiness probe says so to the kubelet. */
const READY_SECONDS = 6
/** From leaving until the process ends. */
const DRAIN_SECONDS = 8
/** The others hear of a join or leave after this, each at its own moment. */
const NEWS_SECONDS = 1.5

/** What Prometheus and Kubernetes see of pods that come and go in order. */
export interface PlannedChange {
  readonly pods: SampledPod[]
  readonly kubernetes: SampledKubernetes
  readonly endSeconds: number
}

/** The pods of a rolling update, sample by sample, with what Kubernetes says of them meanwhile. */
export function rollingUpdate(update: RollingUpdate): PlannedChange {
  const { beginSeconds, replicas, paceSeconds } = update
  return planned(livesOf(update), beginSeconds + replicas * paceSeconds + 600)
}

/** A release that is scaled up all at once after ten minutes, and down again ten minutes later. */
export function scaling(few: number, many: number): PlannedChange {
  const [upAt, downAt] = [600, 1200]
  const lives = Array.from({ length: many }, (_, index): Life => {
    const stays = index < few
    const pod = `ringman-${index}`
    return {
      pod,
      instance: `10.0.1.${index}:8081`,
      ringKey: pod,
      // They are started at once; images and nodes make them come some seconds apart.
      startAt: stays ? 0 : upAt + ((index * 7) % 40),
      leaveAt: stays ? Infinity : downAt,
    }
  })
  return planned(lives, downAt + 600)
}

function planned(lives: readonly Life[], endSeconds: number): PlannedChange {
  const pods = lives.map((life, index): SampledPod => ({
    pod: life.pod,
    instance: life.instance,
    scrapeOffset: (index * 5) % 30,
    from: life.startAt,
    until: life.leaveAt + DRAIN_SECONDS,
    view: (seconds) => viewOf(life, index, lives, seconds),
  }))
  const kubernetes: SampledKubernetes = {
    pods: [...new Set(lives.map(({ pod }) => pod))],
    ready: (pod, seconds) => {
      const life = lives.findLast((each) => each.pod === pod && each.startAt <= seconds)
      if (life === undefined || seconds >= life.leaveAt + DRAIN_SECONDS) return undefined
      return seconds >= readyAt(life) && seconds < life.leaveAt
    },
  }
  return { pods, kubernetes, endSeconds }
}

function livesOf({ replicas, kind, beginSeconds, paceSeconds, startSeconds }: RollingUpdate): Life[] {
  return Array.from({ length: replicas }, (_, index) => {
    const turnAt = beginSeconds + index * paceSeconds
    const surge = kind === 'Deployment'
    // A Deployment starts the new pod at its turn, and ends the old one once the new one is ready.
    const leaveAt = surge ? turnAt + startSeconds + JOIN_SECONDS + READY_SECONDS + 2 : turnAt
    const startAt = surge ? turnAt + startSeconds : turnAt + DRAIN_SECONDS + startSeconds
    const pod = (generation: number) =>
      surge ? `ringman-${generation}${index}` : `ringman-${replicas - 1 - index}`
    const life = (generation: number, from: number, until: number): Life => ({
      pod: pod(generation),
      instance: `10.0.${generation}.${index}:8081`,
      // The chart hashes names for a StatefulSet, so that a pod comes back to its keys.
      ringKey: surge ? `10.0.${generation}.${index}:8000` : pod(generation),
      startAt: from,
      leaveAt: until,
    })
    return [life(1, 0, leaveAt), life(2, startAt, Infinity)]
  }).flat()
}

/** Processes of the beginning have been there for long. */
function readyAt(life: Life): number {
  return life.startAt === 0 ? 0 : life.startAt + JOIN_SECONDS + READY_SECONDS
}

/** A change of the ring as one process hears of it. */
interface Change {
  readonly at: number
  readonly cause: 'joined' | 'left'
}

function viewOf(self: Life, index: number, lives: readonly Life[], seconds: number): PodView {
  // News takes a different time to each.
  const lag = NEWS_SECONDS * ((index % 4) / 3)
  const joined = self.startAt === 0 || seconds >= self.startAt + JOIN_SECONDS
  const keys = new Set(
    lives
      .filter((other) => {
        if (other === self) return seconds < self.leaveAt
        const onFrom = other.startAt === 0 ? 0 : other.startAt + JOIN_SECONDS + lag
        return joined && seconds >= onFrom && seconds < other.leaveAt + lag
      })
      .map(({ ringKey }) => ringKey),
  )
  const changes = changesSeenBy(self, lives, lag).filter(({ at }) => at <= seconds)
  const up = seconds - self.startAt
  const leaving = seconds >= self.leaveAt
  const ready = seconds >= readyAt(self) && !leaving
  return {
    digest: [...keys].toSorted().join(' ').replace(/[":]/g, '_'),
    nodes: keys.size,
    ready,
    managerUp: self.startAt === 0 || up >= 1,
    sourceOk: joined,
    stalenessSeconds: joined && keys.size > 1 ? 0.4 : undefined,
    epoch: 1 + changes.length,
    changes: {
      joined: changes.filter(({ cause }) => cause === 'joined').length,
      left: changes.filter(({ cause }) => cause === 'left').length,
    },
    // A name that comes back denies that it has left.
    refutations: self.startAt === 0 ? 0 : 1,
    drops: { 'not-for-us': self.startAt === 0 ? 0 : 3 },
    // Some callers hold on to a connection for too long, and some come too early.
    lookUps: { ok: Math.round(up * 50), unavailable: leaving ? 10 : self.startAt === 0 ? 0 : 10 },
    lookUpTimes: { fast: Math.round(up * 50), slow: self.startAt === 0 ? 0 : 20 },
    // A process that starts is busy for a second.
    loopDelays: { prompt: Math.round(up * 90), late: self.startAt === 0 ? 0 : 2 },
  }
}

function changesSeenBy(self: Life, lives: readonly Life[], lag: number): Change[] {
  const since = self.startAt === 0 ? 0 : self.startAt + JOIN_SECONDS
  const all = lives.flatMap((other): Change[] => {
    if (other === self) return [{ at: self.leaveAt, cause: 'left' }]
    return [
      { at: other.startAt === 0 ? -1 : other.startAt + JOIN_SECONDS + lag, cause: 'joined' },
      { at: other.leaveAt + lag, cause: 'left' },
    ]
  })
  const later = all.filter(({ at }) => at > since)
  // The first exchange brings all others at once.
  return self.startAt === 0 ? later : [{ at: since, cause: 'joined' }, ...later]
}
