import { silentLogger } from '../../src/logger.ts'
import type { Clock } from '../../src/clock.ts'
import {
  decodeMetadata,
  encodeMetadata,
  type Member,
  type MemberMetadata,
} from '../../src/membership/member.ts'
import { placeMembers } from '../../src/membership/placement.ts'
import { PRESETS } from '../../src/membership/memberlist/protocol/settings.ts'
import type { Endpoint } from '../../src/membership/memberlist/protocol/endpoint.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import type { RingNode } from '../../src/ring/node.ts'
import { Handover, nextHandoverNumber, SWITCH_LIMIT_MS } from '../../src/service/handover.ts'
import { seededRandom } from './seeded-random.ts'
import { SimCluster } from './sim-cluster.ts'
import type { SimMember } from './sim-member.ts'

/** Milliseconds that changes of members gather before they are a ring. */
const FOLD_MS = 10

/** So long a member that has seeds waits for their first news. */
const FIRST_NEWS_MS = 2000

/** Keys whose owners are watched. */
const KEYS = Array.from({ length: 48 }, (_, i) => `key-${i}`)

/** How long warming up takes, at least and at most, in milliseconds; and how often it never ends. */
export interface WarmUpTimes {
  readonly minMs: number
  readonly maxMs: number
  readonly hangRate: number
}

/** For how long the key that had it worst had two owners, or none, and what was wrong with the cluster in that time. */
export interface OwnerGap {
  readonly kind: 'two' | 'none'
  readonly key: string
  readonly atMs: number
  readonly tookMs: number
  /** What had happened shortly before; none for planned moves alone. */
  readonly why: string
}

/** Members of the simulator that hand keys over, and a record of who was the owner of what. */
export class HandoverCluster {
  readonly sim: SimCluster
  readonly timeoutMs: number
  readonly warmUp: WarmUpTimes
  readonly members = new Map<string, HandoverMember>()
  readonly gaps: OwnerGap[] = []
  /** Moves that took longer than they may, or that nobody was told the end of. */
  readonly overdue: string[] = []
  readonly #open = new Map<string, { readonly kind: 'two' | 'none'; readonly atMs: number; why: string }>()
  /** The faults of the last time, with the time when they stop to count. */
  readonly #faults = new Map<string, number>()
  #isWatching = false

  constructor(seed: number, timeoutMs: number, warmUp: WarmUpTimes) {
    this.sim = new SimCluster(seed, PRESETS.lan)
    this.timeoutMs = timeoutMs
    this.warmUp = warmUp
  }

  /** Those whose processes run and have not left. */
  get staying(): HandoverMember[] {
    return [...this.members.values()].filter((member) => member.stays)
  }

  /** Starts a process, by chance at the address of the one before it under the name. */
  start(name: string, endpoint: Endpoint = this.sim.endpoint()): HandoverMember {
    const seeds = this.staying.slice(0, 3).map((member) => member.sim.endpoint)
    const member = new HandoverMember(this, name, endpoint, seeds)
    this.members.set(name, member)
    return member
  }

  /** From now on owners are watched. */
  watch(): void {
    this.#isWatching = true
    this.look()
  }

  /** What happens in the next `forMs` may be because of it. */
  noteFault(why: string, forMs: number): void {
    this.#faults.set(why, Math.max(this.#faults.get(why) ?? 0, this.sim.nowMs + forMs))
  }

  /** Something changed: who is the owner of each key? */
  look(): void {
    if (!this.#isWatching) return
    const { nowMs } = this.sim
    const why = [...this.#faults].flatMap(([name, untilMs]) => (untilMs >= nowMs ? [name] : [])).join(', ')
    for (const key of KEYS) {
      const owners = this.staying.filter((member) => member.owns(key)).length
      const kind = owners === 1 ? undefined : owners === 0 ? 'none' : 'two'
      const open = this.#open.get(key)
      if (open !== undefined && why !== '') open.why = why
      if (open?.kind === kind) continue
      if (open !== undefined) this.gaps.push({ ...open, key, tookMs: nowMs - open.atMs })
      this.#open.delete(key)
      if (kind !== undefined) this.#open.set(key, { kind, atMs: nowMs, why })
    }
  }

  /** Everybody's ring is that of those who run, and nobody is in the middle of anything. */
  isSettled(): boolean {
    const expected = HashRing.of(
      this.staying.flatMap(({ node, own }) => (own.drained === true ? [] : [node])),
    ).digest
    return this.staying.every(
      ({ ring, handover }) => ring.digest === expected && handover.phase === undefined,
    )
  }

  /** Keys that have two owners, or none, now. */
  get openGaps(): OwnerGap[] {
    return [...this.#open].map(([key, open]) => ({ ...open, key, tookMs: this.sim.nowMs - open.atMs }))
  }
}

/** A process that runs the protocol and hands keys over. */
export class HandoverMember {
  readonly name: string
  readonly sim: SimMember
  readonly handover: Handover
  ring: HashRing = HashRing.empty
  /** What it says of itself. */
  own: MemberMetadata
  /** Whether it has said that it leaves, or is gone. */
  stays = true
  readonly #cluster: HandoverCluster
  readonly #startedMs: number
  readonly #hasSeeds: boolean
  #members: readonly Member[] = []
  #placed: (() => void)[] | undefined
  isFrozen = false
  #late: (() => void)[] = []
  #lastFrozenMs = -Infinity

  constructor(cluster: HandoverCluster, name: string, endpoint: Endpoint, seeds: readonly Endpoint[]) {
    const { sim, timeoutMs } = cluster
    const random = seededRandom(Math.floor(sim.random() * 2 ** 32))
    this.name = name
    this.#cluster = cluster
    this.#startedMs = sim.nowMs
    this.#hasSeeds = seeds.length > 0
    this.own = {
      servicePort: '8000',
      witness: true,
      handover: { phase: 'pending', number: nextHandoverNumber(random) },
    }
    this.sim = sim.start(name, { endpoint, meta: encodeMetadata(this.own) })
    const watch = this.sim.onEffect
    let isChanged = true
    this.sim.onEffect = (effect, by) => {
      watch?.(effect, by)
      if (effect.kind === 'user-message') this.handover.received(effect.payload)
      if (effect.kind !== 'member-changed' || isChanged) return
      isChanged = true
      // When the machine has said all that it has to say.
      this.#after(0, () => {
        isChanged = false
        this.#follow()
      })
    }
    const clock: Clock = {
      now: () => sim.nowMs,
      wallNow: () => sim.nowMs,
      after: (delayMs, fn) => this.#after(delayMs, fn),
    }
    this.handover = new Handover({
      clock,
      random,
      logger: silentLogger,
      selfName: name,
      ringKeyMode: 'name',
      timeoutMs,
      warm: (_ranges, _from, _signal, ended) => {
        const { minMs, maxMs, hangRate } = cluster.warmUp
        if (random() >= hangRate) this.#after(minMs + random() * (maxMs - minMs), ended)
      },
      members: () => this.#members,
      ring: () => this.ring,
      isSettled: () =>
        !this.#hasSeeds || this.sim.protocol.livingCount > 1 || sim.nowMs - this.#startedMs >= FIRST_NEWS_MS,
      place: (then) => {
        this.#place(then)
      },
      control: {
        updateOwn: (change) => {
          this.own = { ...this.own, ...change }
          this.sim.handle({ kind: 'update-metadata', meta: encodeMetadata(this.own) })
        },
        sendTo: ({ address, port }, payload) => {
          this.sim.handle({ kind: 'send-message', to: { address, port }, payload })
        },
      },
    })
    this.#members = this.#list()
    this.#place(() => {})
    isChanged = false
    this.handover.start()
    this.#expectEnd('join')
    if (seeds.length > 0) this.sim.handle({ kind: 'join', seeds })
  }

  get node(): RingNode {
    return { ringKey: this.name, weight: this.own.weight ?? 1 }
  }

  /** Whether a request for the key that came here would be served. A member that is pending is sent none. */
  owns(key: string): boolean {
    if (this.isFrozen || !this.sim.running) return false
    if (this.handover.phase === 'pending') return false
    return this.ring.ownerOf(key)?.ringKey === this.name
  }

  leave(): void {
    this.#begin(
      'leave',
      (whenOver) => {
        this.handover.leave(whenOver)
      },
      () => {
        this.stays = false
        this.sim.handle({ kind: 'leave' })
        this.#cluster.sim.clock.after(1000, () => {
          if (!this.isFrozen) this.#end()
          else
            this.#late.push(() => {
              this.#end()
            })
        })
        this.#cluster.look()
      },
    )
  }

  drain(): void {
    this.#begin('drain', (whenOver) => {
      this.handover.move('releasing', { drained: true }, whenOver)
    })
  }

  return(): void {
    this.#begin('return', (whenOver) => {
      this.handover.move('pending', { drained: undefined }, whenOver)
    })
  }

  weigh(weight: number): void {
    this.#begin('weigh', (whenOver) => {
      this.handover.move('weighing', { weight: weight === 1 ? undefined : weight }, whenOver)
    })
  }

  /** SIGKILL. */
  kill(): void {
    this.stays = false
    this.#end()
    this.#cluster.look()
  }

  /** SIGSTOP. */
  freeze(): void {
    this.isFrozen = true
    this.sim.freeze()
    this.#cluster.look()
  }

  /** SIGCONT: timers that are late first. */
  thaw(): void {
    if (!this.isFrozen) return
    this.isFrozen = false
    this.#lastFrozenMs = this.#cluster.sim.nowMs
    for (const fn of this.#late.splice(0)) if (this.sim.running) fn()
    this.sim.thaw()
    this.#cluster.look()
  }

  #end(): void {
    this.sim.kill()
    this.handover.stop()
  }

  #begin(what: string, move: (whenOver: () => void) => void, then = () => {}): void {
    const check = this.#expectEnd(what)
    move(() => {
      check()
      if (this.sim.running) then()
    })
  }

  /** Notes a move that does not end in time; a process that was frozen or killed has its reasons. */
  #expectEnd(what: string): () => void {
    const { sim, timeoutMs, overdue } = this.#cluster
    const beganMs = sim.nowMs
    const { number } = this.own.handover ?? {}
    let isOver = false
    const limitMs = timeoutMs + FIRST_NEWS_MS + SWITCH_LIMIT_MS + 500
    sim.clock.after(limitMs, () => {
      const isExcused = !this.sim.running || this.isFrozen || this.#lastFrozenMs > beganMs
      const { handover } = this.own
      const isStuck = what === 'join' ? handover?.phase === 'pending' && handover.number === number : !isOver
      if (!isExcused && isStuck) overdue.push(`${what} of ${this.name} since ${beganMs} ms`)
    })
    return () => {
      isOver = true
    }
  }

  /** Calls a function later; a frozen process does so when it thaws, one that is gone does not. */
  #after(delayMs: number, fn: () => void): () => void {
    let isCancelled = false
    const run = () => {
      if (!isCancelled && this.sim.running) fn()
    }
    this.#cluster.sim.clock.after(delayMs, () => {
      if (this.isFrozen) this.#late.push(run)
      else run()
    })
    return () => {
      isCancelled = true
    }
  }

  #follow(): void {
    this.#members = this.#list()
    this.#place(() => {})
    this.handover.changed()
  }

  #place(then: () => void): void {
    if (this.#placed !== undefined) {
      this.#placed.push(then)
      return
    }
    this.#placed = [then]
    this.#after(FOLD_MS, () => {
      const placed = this.#placed ?? []
      this.#placed = undefined
      this.ring = this.ring.with(placeMembers(this.#members, 'name', this.handover.isDone))
      this.#cluster.look()
      for (const told of placed) told()
    })
  }

  #list(): Member[] {
    return this.sim.protocol
      .members()
      .map(({ name, endpoint, state, stateSinceMs, meta, versions }): Member => ({
        name,
        address: endpoint.address,
        port: endpoint.port,
        state,
        stateSinceMs,
        meta,
        metadata: decodeMetadata(meta),
        versions,
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}
