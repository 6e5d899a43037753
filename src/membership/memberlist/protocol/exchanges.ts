import { MAX_EVICTION_MS } from '../../member.ts'
import type { PushPull, PushPullNode } from '../wire/messages.ts'
import { STATE_NUMBERS, type Core } from './core.ts'
import type { Refusal } from './counters.ts'
import type { Deadline } from './deadlines.ts'
import type { ExchangeFailure, MemberView } from './effects.ts'
import { type Endpoint, formatAddress, sameEndpoint } from './endpoint.ts'
import { type MemberRecord, understandEachOther, versionsOf } from './members.ts'
import type { Merge, Origin } from './merge.ts'

/** How an exchange that we began ended: undefined when the peer's state was merged, else why not. */
export type ExchangeEnd = (failure: ExchangeFailure | undefined) => void

/** What a connection for a state sends us at the least, with what TCP adds. */
const CONNECTION_BYTES = 1000
/** Why a member and its peer do not take each other's state, whichever of them refuses: to stand behind the address of the peer. */
export const MISMATCHES = {
  'cluster-name-differs': 'has another cluster name (--cluster-name)',
  'version-incompatible': 'speaks no version of the protocol that this member speaks',
  'too-many-members': 'and this member do not come together: that would be more members than are allowed',
  'delegate-refused': 'and this member do not come together: the application of one of them refuses',
  evicted: 'does not take it back: an operator evicted this member',
} satisfies Partial<Record<Refusal, string>>
type Mismatch = keyof typeof MISMATCHES
/** Our own end of an exchange that the shell does not end: this many times its timeout. */
const OVERDUE = 2

/** An exchange that we began. */
interface Running {
  readonly to: Endpoint
  readonly join: boolean
  readonly end: ExchangeEnd
  readonly overdue: Deadline
}

/** Push/pulls: sending and taking whole states, begun by us or by peers. */
export class Exchanges {
  readonly #core: Core
  readonly #merge: Pick<Merge, 'state' | 'isEvicted' | 'evicted' | 'learnEvicted'>
  readonly #running = new Map<number, Running>()
  #nextId = 0

  constructor(core: Core, merge: Pick<Merge, 'state' | 'isEvicted' | 'evicted' | 'learnEvicted'>) {
    this.#core = core
    this.#merge = merge
  }

  start(to: Endpoint, join: boolean, end: ExchangeEnd): void {
    const core = this.#core
    const isEvicted = (one: MemberRecord) => sameEndpoint(one.endpoint, to) && this.#merge.isEvicted(one.name)
    // It would take the members of our state for its ring. A member of another name may have its place by now.
    if (core.members.livingAt(to) === undefined && core.members.fallen.some(isEvicted))
      return end({ outcome: 'failed', message: 'an operator evicted the member there' })
    const exchange = ++this.#nextId
    const timeoutMs = core.settings.streamTimeoutMs
    core.counters.pushPullsStarted++
    const overdue = core.deadlines.set(core.nowMs + OVERDUE * timeoutMs, () => {
      this.failed(exchange, 'failed', `no answer within ${OVERDUE * timeoutMs} ms`)
    })
    this.#running.set(exchange, { to, join, end, overdue })
    core.emit({ kind: 'start-push-pull', exchange, to, state: core.localState(join), timeoutMs })
  }

  answered(exchange: number, state: PushPull): void {
    const running = this.#close(exchange)
    if (running === undefined) return
    const refusal = this.#refusal(state, running.join, running.to, true)
    if (refusal !== undefined) {
      this.#core.refuse(refusal.reason, { from: running.to.address, ...refusal.fields })
      this.#end(running, { outcome: 'rejected', message: MISMATCHES[refusal.reason] })
      return
    }
    this.#noteAnswer(running.to, state)
    // Only what we asked for, with a key: a recorded state that is sent to us again must evict nobody.
    if (this.#core.settings.keyed) this.#merge.learnEvicted(state.evicted ?? [], running.to)
    const { counters } = this.#core
    counters.pushPullsCompleted++
    if (running.join) counters.joinsCompleted++
    const incarnation = this.#core.self.incarnation
    const seed = running.join || this.#core.seeds.some((place) => sameEndpoint(place, running.to))
    this.#take(state, running.join, { by: 'asked', seed, place: running.to }, () => {
      // The peer held us for dead, and would not gossip to us: it has to hear it from us.
      if (this.#core.self.incarnation !== incarnation) this.#core.send(running.to, [])
      running.end(undefined)
    })
  }

  /** Who connects from an address is there: it can be asked, however many others have to be. */
  #creditPeer(from: Endpoint, { nodes }: PushPull): void {
    const [own] = entriesAt(from, nodes, false)
    if (own === undefined) return
    const place = { address: from.address, port: own.port }
    this.#core.contacts.received(place, CONNECTION_BYTES, this.#core.nowMs)
  }

  /** Who answered at this place is the member that its own state has there. */
  #noteAnswer(place: Endpoint, { nodes }: PushPull): void {
    const [peer] = entriesAt(place, nodes, true)
    if (peer !== undefined) this.#core.contacts.answered(place, peer.name, this.#core.nowMs)
  }

  failed(exchange: number, outcome: ExchangeFailure['outcome'], message: string): void {
    const running = this.#close(exchange)
    if (running !== undefined) this.#end(running, { outcome, message })
  }

  #close(exchange: number): Running | undefined {
    const running = this.#running.get(exchange)
    this.#running.delete(exchange)
    this.#core.deadlines.cancel(running?.overdue)
    return running
  }

  #end({ join, end }: Running, failure: ExchangeFailure): void {
    const { counters } = this.#core
    counters.pushPullsFailed++
    if (join && failure.outcome === 'rejected') counters.joinsRefused++
    else if (join) counters.joinsFailed++
    end(failure)
  }

  /** A peer began an exchange: our state goes back as it was before the peer's is merged. */
  received(stream: number, from: Endpoint, state: PushPull): void {
    const core = this.#core
    const refusal = this.#refusal(state, state.join, from, false)
    if (refusal !== undefined) {
      core.refuse(refusal.reason, { from: from.address, ...refusal.fields })
      core.emit({ kind: 'refuse-stream', stream, reason: refusal.reason })
      return
    }
    core.counters.pushPullsAnswered++
    this.#creditPeer(from, state)
    const evicted = core.settings.keyed ? this.#merge.evicted() : []
    const told = evicted.length === 0 ? {} : { evicted }
    core.emit({ kind: 'answer-push-pull', stream, state: { ...core.localState(false), ...told } })
    this.#take(state, state.join, undefined, () => {})
  }

  #take(state: PushPull, join: boolean, origin: Origin | undefined, end: () => void): void {
    this.#merge.state(state, origin, () => {
      const { userState: payload } = state
      if (payload.length > 0) this.#core.emit({ kind: 'remote-state', payload, join })
      end()
    })
  }

  #refusal(
    state: PushPull,
    join: boolean,
    peer: Endpoint,
    asked: boolean,
  ): { readonly reason: Mismatch; readonly fields: Readonly<Record<string, string | number>> } | undefined {
    const core = this.#core
    if (!core.isOurCluster(state)) {
      const theirs = (state.clusterName ?? '').slice(0, 64)
      return { reason: 'cluster-name-differs', fields: { ours: core.settings.clusterName as string, theirs } }
    }
    if (state.nodes.length > core.settings.maxMembers) {
      return { reason: 'too-many-members', fields: { members: state.nodes.length } }
    }
    // One that has left follows the others on, for its look-ups.
    if (asked && core.settings.keyed && !core.leaving) {
      const own = state.evicted?.find(({ name }) => name === core.self.name)
      core.evictedUntilMs = core.nowMs + Math.min(own?.forMs ?? -Infinity, MAX_EVICTION_MS)
      if (own !== undefined) return { reason: 'evicted', fields: { peer: own.name } }
    }
    const newcomer = join && !asked ? onlyLiving(state.nodes) : undefined
    if (newcomer !== undefined && this.#merge.isEvicted(newcomer.name)) {
      return { reason: 'evicted', fields: { peer: newcomer.name.slice(0, 255) } }
    }
    const incompatible = this.#incompatible(state.nodes, peer, asked)
    if (incompatible !== undefined)
      return { reason: 'version-incompatible', fields: { peer: incompatible.name.slice(0, 255) } }
    const reason = core.delegate.refuseMerge?.(viewsOf(state.nodes, core.clockMs), join)
    return reason === undefined ? undefined : { reason: 'delegate-refused', fields: { because: reason } }
  }

  /**
   * The peer's own entry in its state, if we and it do not understand each other: the one at the address that we asked, or
   * all at the address that it comes from. What it says of others is judged entry by entry.
   */
  #incompatible(nodes: readonly PushPullNode[], peer: Endpoint, asked: boolean): PushPullNode | undefined {
    const own = entriesAt(peer, nodes, asked)
    return own.some(({ vsn }) => understandEachOther(vsn, this.#core.self.vsn)) ? undefined : own[0]
  }
}

/** What a state lists at an address, or at the very place. */
function entriesAt(place: Endpoint, nodes: readonly PushPullNode[], isPlace: boolean): PushPullNode[] {
  return nodes.filter(
    ({ address, port }) => (!isPlace || port === place.port) && formatAddress(address) === place.address,
  )
}

/** Who lists nobody else that lives speaks of itself. */
function onlyLiving(nodes: readonly PushPullNode[]): PushPullNode | undefined {
  const living = nodes.filter(({ state }) => state === STATE_NUMBERS.alive || state === STATE_NUMBERS.suspect)
  return living.length === 1 ? living[0] : undefined
}

function viewsOf(nodes: readonly PushPullNode[], clockMs: number): MemberView[] {
  const states = ['alive', 'suspect', 'dead', 'left'] as const
  return nodes.flatMap((node) => {
    const address = formatAddress(node.address)
    const state = states[node.state]
    if (address === undefined || state === undefined) return []
    const { name, port, meta, vsn, incarnation } = node
    const view = { name, endpoint: { address, port }, state, stateSinceMs: clockMs, incarnation, meta }
    return [{ ...view, versions: versionsOf(vsn), rival: undefined }]
  })
}
