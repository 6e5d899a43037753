import { MemberSet } from '../../src/membership/member-set.ts'
import {
  DEFAULT_VERSIONS,
  encodeMetadata,
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
  } = {},
): Member {
  const { servicePort = '8000', state = 'alive', weight, zone } = options
  const metadata = {
    servicePort,
    ...(weight === undefined ? {} : { weight }),
    ...(zone === undefined ? {} : { zone }),
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

/** A source whose members a test sets. It records what was asked of it. */
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
    this.#set = new MemberSet(reject)
  }

  get members(): readonly Member[] {
    return this.#set.current
  }

  set(members: readonly Member[]): void {
    this.#set.publish(members)
  }

  /** Makes a background loop die. */
  die(error: Error): void {
    this.#settle.reject(error)
  }

  start(): Promise<void> {
    this.calls.push('start')
    if (this.startError !== undefined) return Promise.reject(this.startError)
    this.#set.publish(this.#initial)
    return Promise.resolve()
  }

  leave(): Promise<void> {
    this.calls.push('leave')
    this.#set.publish(
      this.members.map((member) =>
        member.name === this.selfName ? { ...member, state: 'left' as const } : member,
      ),
    )
    return Promise.resolve()
  }

  stop(): Promise<void> {
    this.calls.push('stop')
    this.#set.close()
    this.#settle.resolve()
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
}
