import type { HashRing } from '../../src/ring/hash-ring.ts'
import { freePort } from '../../test/support/free-port.ts'
import type { Fleet, Instance } from './fleet.ts'
import type { Answer, Probe } from './load.ts'
import { findOwners, probesOf, type Owners } from './owners.ts'

/** One planned change: an instance that came or went. */
export interface Step {
  readonly kind: 'join' | 'leave'
  /** From its start, or from when it was told to end, until every ring was right. */
  readonly tookMs: number
  readonly owners: Owners
}

/** What clients ask of a fleet meanwhile. */
export interface Traffic {
  readonly answers: readonly Answer[]
  /** Resolves when as many more answers have come. */
  more(count: number): Promise<void>
  probes?: readonly Probe[]
  readonly probed?: readonly Answer[]
}

/** Planned changes of a fleet under load, one after the other, and who answered as an owner during each. */
export class PlannedChanges {
  readonly steps: Step[] = []
  readonly #fleet: Fleet
  readonly #traffic: Traffic
  readonly #keys: readonly string[]

  constructor(fleet: Fleet, traffic: Traffic, keys: readonly string[]) {
    this.#fleet = fleet
    this.#traffic = traffic
    this.#keys = keys
  }

  async join(): Promise<Instance> {
    const port = await freePort()
    const after = this.#fleet.ring.add({ ringKey: `127.0.0.1:${port}`, weight: 1 })
    return this.#step('join', after, () => this.#fleet.start(port))
  }

  async leave(instance: Instance): Promise<void> {
    const after = this.#fleet.ring.remove(instance.ringKey)
    await this.#step('leave', after, () => this.#fleet.stop(instance))
  }

  async #step<T>(kind: Step['kind'], after: HashRing, change: () => Promise<T>): Promise<T> {
    const { ring: before } = this.#fleet
    const { answers, probed = [] } = this.#traffic
    const from = [answers.length, probed.length]
    this.#traffic.probes = probesOf(before, after, this.#keys)
    const startedMs = performance.now()
    const startedAtMs = Date.now()
    const changed = await change()
    await this.#fleet.settled()
    const tookMs = performance.now() - startedMs
    // Some more, so that what moved is asked for where it is now.
    await this.#traffic.more(Math.max(100, this.#keys.length / 8))
    this.#traffic.probes = []
    // A client may read late what an instance said before this change began.
    const given = [...answers.slice(from[0]), ...probed.slice(from[1])].filter(
      ({ atMs }) => atMs >= startedAtMs,
    )
    const owners = findOwners(before, after, given)
    this.steps.push({ kind, tookMs, owners })
    return changed
  }
}
