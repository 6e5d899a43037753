import { RingmanError } from '../../src/errors.ts'
import { silentLogger } from '../../src/logger.ts'
import { MemberSet } from '../../src/membership/member-set.ts'
import {
  DEFAULT_VERSIONS,
  encodeMetadata,
  type HandoverState,
  type Member,
  type MemberState,
} from '../../src/membership/member.ts'
import { healthIn, type SourceHealth } from '../../src/membership/condition.ts'
import type { MembershipSource, SourceKind } from '../../src/membership/source.ts'
import type { SourceStatistics } from '../../src/membership/statistics.ts'

/** A member `name` at `address`, whose application listens on `servicePort`. */
export function fakeMember(
  name: string,
  address: string,
  options: {
    readonly servicePort?: string
    readonly state?: MemberState
    readonly weight?: number
    readonly zone?: string
    readonly handover?: HandoverState
  } = {},
): Member {
  const { servicePort = '8000', state = 'alive', weight, zone, handover } = options
  const metadata = {
    servicePort,
    ...(weight === undefined ? {} : { weight }),
    ...(zone === undefined ? {} : { zone }),
    ...(handover === undefined ? {} : { handover }),
  }
  return {
    name,
    address,
    port: 7946,
    state,
    stateSinceMs: Date.UTC(2026, 0, 1),
    meta: encodeMetadata(metadata),
    metadata,
    versions: DEFAULT_VERSIONS,
  }
}

/** A source whose members a test sets; it keeps the promises of every source, and records what was asked of it. */
export class FakeSource implements MembershipSource {
  readonly kind: SourceKind
  readonly selfName: string | undefined
  readonly calls: string[] = []
  readonly done: Promise<void>
  healthNow: SourceHealth = healthIn('well', 'All is well')
  statisticsNow: SourceStatistics = {}
  startError: Error | undefined
  readonly #set: MemberSet
  readonly #initial: readonly Member[]
  readonly #settle: { readonly resolve: () => void; readonly reject: (error: unknown) => void }
  #state: 'new' | 'starting' | 'running' | 'left' | 'stopped' = 'new'

  constructor(
    initial: readonly Member[],
    options: { readonly selfName?: string; readonly kind?: SourceKind } = {},
  ) {
    this.#initial = initial
    this.selfName = options.selfName
    this.kind = options.kind ?? 'swim'
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.done = promise
    this.done.catch(() => {})
    this.#settle = { resolve, reject }
    this.#set = new MemberSet(silentLogger)
  }

  get members(): readonly Member[] {
    return this.#set.current
  }

  /** Publishes these members, if the source runs. */
  set(members: readonly Member[]): void {
    if (this.#state === 'running' || this.#state === 'left') this.#set.publish(members)
  }

  /** Makes a background loop die. */
  die(error: Error): void {
    this.#settle.reject(error)
  }

  async start(signal: AbortSignal): Promise<void> {
    this.calls.push('start')
    if (this.startError !== undefined) throw this.startError
    if (this.#state !== 'new') throw new RingmanError('SOURCE_FAILED', `this source is ${this.#state}`)
    this.#state = 'starting'
    await Promise.resolve()
    if (signal.aborted || this.#isStopped) {
      this.#end()
      throw new RingmanError('SOURCE_FAILED', 'the source was stopped before it had started')
    }
    this.#state = 'running'
    this.#set.publish(this.#initial)
  }

  leave(): Promise<void> {
    this.calls.push('leave')
    if (this.#state !== 'running') return Promise.resolve()
    this.#state = 'left'
    this.#set.publish(
      this.members.map((member) =>
        member.name === this.selfName ? { ...member, state: 'left' as const } : member,
      ),
    )
    return Promise.resolve()
  }

  stop(): Promise<void> {
    this.calls.push('stop')
    this.#end()
    return Promise.resolve()
  }

  subscribe(listener: (members: readonly Member[]) => void): () => void {
    return this.#set.subscribe(listener)
  }

  health(): SourceHealth {
    return this.healthNow
  }

  statistics(): SourceStatistics {
    return this.statisticsNow
  }

  /** A getter, so that the checker does not take an earlier look for this one. */
  get #isStopped(): boolean {
    return this.#state === 'stopped'
  }

  #end(): void {
    this.#state = 'stopped'
    this.#set.close()
    this.#settle.resolve()
  }
}
