import { atOnce } from '../at-once.ts'
import type { Clock } from '../clock.ts'
import type { Environment } from '../config/environment.ts'
import { RingAgreement, type AgreedRing } from './dev-agreement.ts'
import { describeEnd, DevMember, type DevMemberEnd } from './dev-member.ts'
import type { Tell } from './dev-view.ts'

/** Members that start at the same time; more would only wait for each other's turn on the processors. */
const PARALLEL_STARTS = 4

/** Seeds that each member is given. */
const SEED_COUNT = 3

/** The first member's application port, part of its ring key; nothing listens there. */
const FIRST_SERVICE_PORT = 8001

/** After this long without agreement on a ring the cluster says so, in milliseconds. */
const DISAGREEMENT_MS = 3000

export interface DevClusterOptions {
  /** Number of members, at least 1. */
  readonly size: number
  /** Flags of `ringman serve` for every member. */
  readonly flags: readonly string[]
  readonly env: Environment
  readonly clock: Clock
  readonly tell: Tell
}

/** Several members on this machine that find each other, and what they agree on. */
export class DevCluster {
  readonly members: readonly DevMember[]
  readonly #options: DevClusterOptions
  readonly #agreement: RingAgreement
  /** Settles when all members hold the ring of all members. */
  readonly #formed = Promise.withResolvers<AgreedRing>()
  #agreed: AgreedRing | undefined
  #stopping = false
  #killed: { readonly member: DevMember; readonly atMs: number } | undefined

  constructor(options: DevClusterOptions) {
    this.#options = options
    const { tell } = options
    this.#agreement = new RingAgreement({
      clock: options.clock,
      patienceMs: DISAGREEMENT_MS,
      onAgreed: (ring) => this.#agree(ring),
      onDisagreed: (digests) => {
        if (this.#agreed !== undefined) tell('ring.disagreed', { digests: Object.fromEntries(digests) })
      },
    })
    this.members = Array.from(
      { length: options.size },
      (_, at) =>
        new DevMember({
          name: `member-${at + 1}`,
          servicePort: FIRST_SERVICE_PORT + at,
          env: options.env,
          listener: {
            ringChanged: (member, change) => {
              const killed = this.#killed
              if (killed !== undefined && change.removed.includes(killed.member.ringKey)) {
                const afterMs = Math.round(options.clock.now() - killed.atMs)
                tell('member.noticed', { name: member.name, killed: killed.member.name, afterMs })
              }
              this.#agreement.report(member.name, change)
            },
            logged: ({ name }, level, line) => {
              // When all stop at once they lose sight of each other: that is no news.
              if (this.#stopping && level !== 'error' && level !== 'fatal') return
              tell('member.logged', { name, level, line })
            },
            ended: (member, end) => this.#lose(member, end),
          },
        }),
    )
    this.#formed.promise.catch(() => {})
  }

  /** Members whose process runs. */
  get alive(): readonly DevMember[] {
    return this.members.filter(({ alive }) => alive)
  }

  /**
   * Starts the first member, then the others with it as a seed.
   *
   * @returns Resolves with the digest when all hold one ring of all of them.
   * @throws {Error} when a member ends first.
   */
  async start(): Promise<string> {
    const startOne = async (member: DevMember) => {
      if (this.#stopping) return
      const seeds = this.members.flatMap(({ addresses }) => addresses?.gossip ?? []).slice(0, SEED_COUNT)
      const flags = [...this.#options.flags, ...(seeds.length === 0 ? [] : ['--seeds', seeds.join(',')])]
      this.#agreement.join(member.name)
      await member.start(flags)
    }
    await atOnce(1, this.members.slice(0, 1), startOne)
    await atOnce(PARALLEL_STARTS, this.members.slice(1), startOne)
    const { digest } = await this.#formed.promise
    return digest
  }

  /** Ends a member without warning, and tells when the others notice. */
  kill(member: DevMember): void {
    this.#options.tell('member.killed', { name: member.name, pid: member.pid })
    this.#killed = { member, atMs: this.#options.clock.now() }
    member.signal('SIGKILL')
  }

  /** Asks every member to stop and waits; those that have not within `patienceMs` are killed. */
  async stop(patienceMs: number): Promise<void> {
    this.#stopping = true
    this.#agreement.stop()
    const running = this.alive
    for (const member of running) member.signal('SIGTERM')
    const cancel = this.#options.clock.after(patienceMs, () => this.killAll())
    await Promise.all(running.map(({ ended }) => ended))
    cancel()
  }

  /** Kills every process at once and waits for nothing: for a parent that itself ends now. */
  killAll(): void {
    for (const member of this.members) member.signal('SIGKILL')
  }

  #agree(ring: AgreedRing): void {
    const before = this.#agreed?.ringKeys
    if (before === undefined && ring.ringKeys.size < this.#options.size) return
    this.#agreed = ring
    this.#formed.resolve(ring)
    if (before === undefined) return
    const nameOf = (key: string) => this.members.find(({ ringKey }) => ringKey === key)?.name ?? key
    this.#options.tell('ring.changed', {
      digest: ring.digest,
      nodes: ring.ringKeys.size,
      added: [...ring.ringKeys].filter((key) => !before.has(key)).map(nameOf),
      removed: [...before].filter((key) => !ring.ringKeys.has(key)).map(nameOf),
      holders: this.alive.length,
      agreedAfterMs: ring.afterMs,
    })
  }

  #lose(member: DevMember, end: DevMemberEnd): void {
    this.#formed.reject(new Error(`${member.name} ${describeEnd(end)}`))
    if (this.#stopping) return
    this.#options.tell('member.ended', { name: member.name, ...end })
    this.#agreement.lose(member.name)
  }
}
