import type { PodWatch } from '../../kubernetes/pod-watch.ts'
import { healthIn, type SourceHealth } from '../condition.ts'
import type { Member } from '../member.ts'
import type { MembershipSource, SourceKind } from '../source.ts'
import type { SourceStatistics } from '../statistics.ts'
import { GossipCheck, type CheckedGossip } from './gossip-check.ts'
import type { Basics } from '../../basics.ts'

export interface PodAwareOptions extends Basics {
  /** The source whose members gossip. */
  readonly inner: MembershipSource
  /** Pods that its seeds come from, or that it is checked against. */
  readonly pods: PodWatch
  /** The same source, where it is to be checked; undefined for seeds alone. */
  readonly checked: CheckedGossip | undefined
}

/**
 * A source whose members gossip, beside the pods that Kubernetes knows of. Gossip never waits for Kubernetes: it
 * starts, runs and stops whether the API server answers or not.
 */
export class PodAwareSource implements MembershipSource {
  readonly kind: SourceKind
  readonly selfName: string | undefined
  readonly #over = Promise.withResolvers<void>()
  readonly done = this.#over.promise
  readonly #inner: MembershipSource
  readonly #pods: PodWatch
  readonly #check: GossipCheck | undefined

  constructor(options: PodAwareOptions) {
    const { inner, pods, checked, clock, random, logger } = options
    this.#inner = inner
    this.#pods = pods
    this.kind = inner.kind
    this.selfName = inner.selfName
    const { resolve, reject } = this.#over
    // Whoever awaits `done` still sees the rejection; without a waiter it must not end the process.
    this.done.catch(() => {})
    inner.done.then(resolve, reject)
    pods.done.catch(reject)
    this.#check =
      checked === undefined
        ? undefined
        : new GossipCheck({ gossip: checked, pods, clock, random, logger }, reject)
  }

  get members(): readonly Member[] {
    return this.#inner.members
  }

  async start(signal: AbortSignal): Promise<void> {
    this.#pods.start()
    try {
      await this.#inner.start(signal)
    } catch (error) {
      // A second start is refused, and must not end what the first one began.
      if (this.#inner.members.length === 0) await this.#pods.stop()
      throw error
    }
    this.#check?.start()
  }

  leave(): Promise<void> {
    return this.#inner.leave()
  }

  async stop(): Promise<void> {
    await Promise.all([this.#check?.stop(), this.#pods.stop(), this.#inner.stop()])
  }

  subscribe(listener: (members: readonly Member[]) => void): () => void {
    return this.#inner.subscribe(listener)
  }

  /** That of the gossip, and what came of following the pods. */
  statistics(): SourceStatistics {
    return { ...this.#inner.statistics?.(), kubernetes: this.#pods.status.counts }
  }

  /** That of the gossip: an API server that is away makes it no worse. What Kubernetes knows is in the details. */
  health(): SourceHealth {
    const { condition, ok, message, detail } = this.#inner.health()
    const { sinceConfirmedMs, failuresInARow, problem } = this.#pods.status
    const told =
      ok || problem === undefined ? message : `${message}. Of the pods it knows nothing new: ${problem}`
    return healthIn(condition, told, {
      ...detail,
      pods: this.#pods.objects.size,
      podFailuresInARow: failuresInARow,
      ...(sinceConfirmedMs !== undefined && {
        podsSecondsSinceConfirmed: Math.round(sinceConfirmedMs / 1000),
      }),
      ...(this.#check && {
        membersThatArePods: this.#check.linkedCount,
        membersDeclaredDead: this.#check.declaredCount,
      }),
    })
  }
}
