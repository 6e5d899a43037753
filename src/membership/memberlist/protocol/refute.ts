import type { Alive, Dead, Suspect } from '../wire/messages.ts'
import { sameBytes } from '../wire/text.ts'
import type { Contests } from './contests.ts'
import type { Core } from './core.ts'
import { type Endpoint, sameEndpoint } from './endpoint.ts'
import { INCARNATION_LIMIT, raiseTo, roomToRise } from './incarnation.ts'
import { viewOf } from './members.ts'

/** This member may rise twice as fast as others take it from it, so that it can answer all that they take. */
const OWN_SCALE = 2
/** Between two messages of an incarnation that cannot be exceeded. */
const INSIST_MS = 10_000
/** Between two answers to another process of our name, at first and at most. */
const CONTEST_MIN_MS = 1000
const CONTEST_MAX_MS = 60_000

/** What others say of this member itself, and its answer: a higher incarnation. */
export class SelfDefence {
  readonly #core: Core
  readonly #contests: Pick<Contests, 'claimed'>
  #contestWaitMs = CONTEST_MIN_MS
  #contestedMs = -Infinity
  #insistedMs = -Infinity

  constructor(core: Core, contests: Pick<Contests, 'claimed'>) {
    this.#core = core
    this.#contests = contests
  }

  /** Somebody holds us for suspect or dead. */
  suspectedOrDead(message: Suspect | Dead): void {
    const { self, leaving } = this.#core
    if (leaving) return
    if (message.kind === 'dead' && message.from !== self.name) {
      this.#core.noteCalledDead(message.incarnation)
    }
    if (message.incarnation < self.incarnation) return
    if (message.kind === 'dead' && message.from !== self.name) {
      this.#core.declaredDead.doubt(this.#core.nowMs)
    }
    if (message.from === self.name) {
      // Our own leaving before a restart, or what a push/pull says, which names no sender.
      this.#core.log('debug', 'Refuted a message about an earlier run of this member', {
        event: 'self.refuted',
        kind: message.kind,
      })
    } else {
      this.#core.logLimited('warn', 'self.refuted', 'Refuted being called suspect or dead', {
        event: 'self.refuted',
        kind: message.kind,
        by: message.from.slice(0, 255),
      })
    }
    this.#refute(message)
  }

  /** Somebody says that we are alive: our own message, one of an earlier life, or one of another process of our name. */
  alive(message: Alive, endpoint: Endpoint): void {
    const { self, leaving } = this.#core
    if (leaving) return
    if (!sameEndpoint(endpoint, self.endpoint)) {
      this.#contest(message, endpoint)
      return
    }
    if (message.incarnation < self.incarnation) return
    const isAsOurs = sameBytes(message.meta, self.meta) && sameBytes(message.vsn, self.vsn)
    if (message.incarnation === self.incarnation && isAsOurs) return
    this.#refute(message)
  }

  /**
   * Our name lives elsewhere: it is what we were before we moved, or a second process of our name. Either way the
   * others learn where we are; but two such processes must not outbid each other without end.
   */
  #contest(message: Alive, endpoint: Endpoint): void {
    const core = this.#core
    const sinceMs = core.clockMs - this.#contestedMs
    if (sinceMs < this.#contestWaitMs) return
    this.#contestWaitMs =
      sinceMs > 2 * CONTEST_MAX_MS ? CONTEST_MIN_MS : Math.min(CONTEST_MAX_MS, this.#contestWaitMs * 2)
    this.#contestedMs = core.clockMs
    core.emit({ kind: 'conflict-found', known: viewOf(core.self), claimedBy: endpoint })
    core.logLimited('warn', 'self.contested', 'Another address goes by the name of this member', {
      event: 'conflict.found',
      claimedByAddress: endpoint.address,
      claimedByPort: endpoint.port,
    })
    this.#contests.claimed(core.self, message, endpoint)
    this.#outbid(message)
  }

  #refute(message: Alive | Suspect | Dead): void {
    if (!this.#outbid(message)) return
    this.#core.counters.refutations++
    this.#core.awareness.adjust(1)
  }

  /** Says our own incarnation again: who holds a forged one far above it asks us then. */
  #insist(incarnation: number): void {
    const core = this.#core
    if (core.nowMs - this.#insistedMs < INSIST_MS) return
    this.#insistedMs = core.nowMs
    core.announceSelf()
    core.logLimited(
      'warn',
      'self.outbid',
      'Somebody sends an incarnation of this member far above its own; Go members that believed it take this member only under another name',
      { event: 'self.outbid', incarnation, own: core.self.incarnation },
    )
  }

  #outbid(message: Alive | Suspect | Dead): boolean {
    const core = this.#core
    const next = Math.max(core.self.incarnation, message.incarnation) + 1
    const room = roomToRise(core.self, core.nowMs, OWN_SCALE)
    if (next >= INCARNATION_LIMIT || next - core.self.incarnation > room) {
      core.refuse('incarnation-out-of-range', { kind: message.kind })
      this.#insist(message.incarnation)
      return false
    }
    raiseTo(core.self, next, core.nowMs, OWN_SCALE)
    core.announceSelf()
    return true
  }
}
