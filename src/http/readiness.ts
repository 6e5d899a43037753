import { sleep, type Clock } from '../clock.ts'
import { counted } from '../counted.ts'
import { RingmanError } from '../errors.ts'
import type { NamedRings } from '../service/named-rings.ts'
import type { RingService } from '../service/ring-service.ts'
import { CONDITIONS } from '../membership/condition.ts'
import { isLiving } from '../membership/member.ts'

/** One condition of readiness. */
export interface ReadinessCheck {
  readonly name: 'manager' | 'source' | 'self' | 'members' | 'rings' | 'draining'
  readonly ok: boolean
  /** For a human, one sentence: why it holds, or why not. */
  readonly message: string
}

/** Whether this process should get look-ups, and why. */
export interface ReadinessReport {
  readonly ready: boolean
  readonly checks: readonly ReadinessCheck[]
}

export interface ReadinessOptions {
  readonly ring: RingService
  readonly clock: Clock
  /** Members, this one among them, that should have been seen before the first look-up; 1 for none to wait for. */
  readonly minMembers: number
  /** Milliseconds since the ring's start after which too few members are no reason any more. */
  readonly minMembersTimeoutMs: number
}

/** How often one that is not ready looks whether it is, in milliseconds. */
const LOOK_MS = 50

/**
 * Says whether this process is ready for look-ups. It never deadlocks: waiting for other members has an end, and
 * once enough were seen, members that go again do not make it unready (pods that all wait for each other, or all
 * step back because one restarts, help nobody).
 */
export class Readiness {
  readonly #options: ReadinessOptions
  #rings: NamedRings | undefined
  #membersSeen = false
  #wasReady = false

  constructor(options: ReadinessOptions) {
    this.#options = options
  }

  /** Waits for these rings, too. */
  follow(rings: NamedRings): void {
    this.#rings = rings
  }

  /** Checks everything now. It takes at most the manager's ping timeout, and never rejects. */
  async evaluate(): Promise<ReadinessReport> {
    const checks = [
      await this.#checkManager(),
      this.#checkSource(),
      this.#checkSelf(),
      this.#checkMembers(),
      ...this.#checkRings(),
      this.#checkDraining(),
    ]
    const ready = checks.every(({ ok }) => ok)
    this.#wasReady ||= ready
    return { ready, checks }
  }

  /**
   * Resolves once this process is ready, or `signal` aborts.
   *
   * @returns Whether enough members were seen; false when the wait for them ended first.
   * @throws {RingmanError} `MANAGER_NOT_RUNNING` when it leaves the ring before; what the ring's `done` rejects with.
   */
  settled(signal?: AbortSignal): Promise<boolean> {
    return Promise.race([this.#untilReady(signal), this.#options.ring.done.then(failUnsettled)])
  }

  async #untilReady(signal: AbortSignal | undefined): Promise<boolean> {
    for (;;) {
      if (signal?.aborted === true || (await this.evaluate()).ready) return this.#membersSeen
      const { state } = this.#options.ring
      if (state === 'leaving' || state === 'stopped') failUnsettled()
      await sleep(this.#options.clock, LOOK_MS, signal)
    }
  }

  async #checkManager(): Promise<ReadinessCheck> {
    const { manager } = this.#options.ring
    if (!manager.running) return check('manager', false, 'The ring manager is not running.')
    const startedMs = this.#options.clock.now()
    if (await manager.ping()) return check('manager', true, 'The ring manager answers.')
    const waitedMs = Math.round(this.#options.clock.now() - startedMs)
    return check('manager', false, `The ring manager did not answer a ping within ${waitedMs} ms.`)
  }

  /** The standing condition decides; one that only casts doubt on the members is repeated, without failing for it. */
  #checkSource(): ReadinessCheck {
    const { condition, ok, message } = this.#options.ring.health()
    if (condition === 'draining' && this.#options.ring.state === 'leaving') {
      return check('source', true, 'The source does not count: this process is leaving it, or has left it.')
    }
    const { readiness } = CONDITIONS[condition]
    if ((readiness === 'denied' && condition !== 'draining') || (readiness === 'kept' && !this.#wasReady)) {
      return check('source', false, `${message}.`)
    }
    const remark = ok ? '' : ` It reports: ${message}.`
    return check('source', true, `The source ${this.#options.ring.source.kind} has started.${remark}`)
  }

  #checkSelf(): ReadinessCheck {
    const { manager, source, ownRingKey } = this.#options.ring
    const { selfName } = source
    if (selfName === undefined) return check('self', true, 'This process only watches the ring.')
    const node = ownRingKey === undefined ? undefined : manager.snapshot.ring.get(ownRingKey)
    const shown = JSON.stringify(selfName)
    if (node === undefined) return check('self', false, `This member, ${shown}, is not on the ring.`)
    const isOwn = node.name === undefined || node.name === selfName
    const as = isOwn ? '' : ` as ${JSON.stringify(node.name)}, which has the same ring key`
    return check('self', true, `This member, ${shown}, is on the ring${as}.`)
  }

  #checkMembers(): ReadinessCheck {
    const { minMembers, ring } = this.#options
    const count = ring.source.members.filter(isLiving).length
    // A change of members waits for others before it comes onto the ring.
    const areEnough = count >= minMembers
    this.#membersSeen ||= areEnough && !ring.isPlacing
    const there = count === 1 ? 'There is' : 'There are'
    const seen = `${count} of at least ${counted(minMembers, 'member')}`
    if (this.#membersSeen) {
      return check(
        'members',
        true,
        areEnough ? `${there} ${seen}.` : `${there} ${seen} now, but there were enough before.`,
      )
    }
    const waitedMs = this.#options.ring.uptimeMs
    const waited = `${Math.floor(waitedMs / 1000)} s of ${this.#options.minMembersTimeoutMs / 1000} s`
    const isOver = waitedMs >= this.#options.minMembersTimeoutMs && this.#options.ring.state !== 'new'
    if (areEnough)
      return check('members', isOver, `${there} ${seen}, and not all of them are on the ring yet.`)
    return isOver
      ? check('members', true, `${there} only ${seen}, but the wait for more is over.`)
      : check('members', false, `${there} only ${seen}; waited ${waited} for more.`)
  }

  /** Rings that can be asked once stay so: one that is new must not make all of them unready. */
  #checkRings(): readonly ReadinessCheck[] {
    if (this.#rings === undefined) return []
    const { ok, message } = this.#rings.readiness
    return [check('rings', ok || this.#wasReady, `${message}.`)]
  }

  #checkDraining(): ReadinessCheck {
    const { condition, message } = this.#options.ring.health()
    const draining = condition === 'draining'
    return check('draining', !draining, draining ? `${message}.` : 'This process is not about to leave.')
  }
}

function failUnsettled(): never {
  throw new RingmanError('MANAGER_NOT_RUNNING', 'the ring was left before it had settled')
}

function check(name: ReadinessCheck['name'], ok: boolean, message: string): ReadinessCheck {
  return { name, ok, message }
}
