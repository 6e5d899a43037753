import { atOnce } from '../at-once.ts'
import type { Clock } from '../clock.ts'
import { isRingmanError, messageOf } from '../errors.ts'
import { getOrMake } from '../get-or-make.ts'
import { httpPeers, type HttpPeer } from '../service/http-peers.ts'
import type { RingService } from '../service/ring-service.ts'
import { TokenBucket } from '../token-bucket.ts'

/** What another member's ring is, beside the one of the member that answers. */
export const AGREEMENT_VERDICTS = {
  agrees: 'It has the same ring.',
  behind: 'It has a ring that this member had before.',
  differs: 'It has another ring.',
  silent: 'It gave no answer.',
  'not-yet-asked': 'It was not asked since the ring of this member changed, or since it came.',
  'not-asked': 'It does not say where it answers, or there was no time to ask it.',
} as const

type AgreementVerdict = keyof typeof AGREEMENT_VERDICTS

/** Milliseconds from the end of one round of questions until the next may begin. */
export const AGREEMENT_INTERVAL_MS = 5000

/** Milliseconds after which a round asks nobody any more. */
const ROUND_MS = 10_000

/** Members that are asked at the same time. */
const AT_ONCE = 32

/** Requests that wait for a round; the others are told of the one before. */
export const MAX_WAITING = 256

/** Questions of all rings together. */
const QUESTIONS = { burst: 2000, perSecond: 200 }

/**
 * Asks a member for the digest of its ring, within a few seconds.
 *
 * @param ring - `NAMESPACE/NAME` of a HashRing. @default the ring of the members themselves
 * @throws {RingmanError} why there is no answer.
 */
export type AskDigest = (url: string, ring: string | undefined) => Promise<string>

/** One member and what became of asking it. */
interface Asked {
  readonly name: string
  readonly url: string | null
  /** When, on the clock of the ring's changes. */
  readonly atMs: number
  readonly digest: string | null
  readonly error: { readonly code: string; readonly message: string } | null
}

interface Round {
  readonly askedAtMs: number
  readonly members: readonly Asked[]
}

interface RingState {
  round: Round | undefined
  endedAtMs: number
  running: Promise<void> | undefined
  waiting: number
}

/** Whether the other members have the same rings. It asks when somebody wants to know, and not too often. */
export class AgreementRounds {
  readonly #own: RingService
  readonly #ask: AskDigest | undefined
  readonly #clock: Clock
  readonly #questions = new TokenBucket(QUESTIONS)
  readonly #states = new WeakMap<RingService, RingState>()

  /**
   * @param own - The ring of the members themselves: these are asked, also for rings that are known by name.
   * @param ask - Undefined where nobody can be asked.
   */
  constructor(own: RingService, deps: { readonly ask: AskDigest | undefined; readonly clock: Clock }) {
    this.#own = own
    this.#ask = deps.ask
    this.#clock = deps.clock
  }

  /** Asks, unless that was just done. */
  ask(ring: RingService, name: string | undefined): void {
    const state = this.#stateOf(ring)
    const nowMs = this.#clock.now()
    const isDue = state.round === undefined || nowMs - state.endedAtMs >= AGREEMENT_INTERVAL_MS
    if (state.running !== undefined || !isDue) return
    const peers = httpPeers(this.#own.source)
    if (state.round !== undefined && !this.#questions.tryTake(nowMs, Math.min(peers.length, 1000))) return
    state.running = this.#round(peers, name).then((round) => {
      state.round = round
      state.endedAtMs = this.#clock.now()
      state.running = undefined
    })
  }

  /** The same, and waits for a round that is under way, unless very many do. It never rejects. */
  async refresh(ring: RingService, name: string | undefined): Promise<void> {
    this.ask(ring, name)
    const state = this.#stateOf(ring)
    if (state.waiting === MAX_WAITING) return
    state.waiting++
    await state.running
    state.waiting--
  }

  /** The last round, of which {@link last} tells: another object each time. */
  roundOf(ring: RingService): unknown {
    return this.#stateOf(ring).round
  }

  /** What the last round found of the members that live now, beside the ring as it is now; undefined before the first one. */
  last(ring: RingService) {
    const { round } = this.#stateOf(ring)
    if (round === undefined) return undefined
    const asked = new Map(round.members.map((one) => [one.name, one]))
    const members = httpPeers(this.#own.source).map((peer) => {
      const { name, url = null } = peer
      const found = asked.get(name)
      const one = found?.url === url ? found : { digest: null, error: null }
      const verdict = one === found ? verdictOn(found, ring) : url === null ? 'not-asked' : 'not-yet-asked'
      return { name, url, verdict, digest: one.digest, error: one.error }
    })
    const agreed = members.every(({ verdict }) => verdict === 'agrees')
    return { agreed, askedAtMs: round.askedAtMs, members }
  }

  #stateOf(ring: RingService): RingState {
    return getOrMake(this.#states, ring, () => {
      return { round: undefined, endedAtMs: 0, running: undefined, waiting: 0 }
    })
  }

  async #round(peers: readonly HttpPeer[], ring: string | undefined): Promise<Round> {
    const endMs = this.#clock.now() + ROUND_MS
    const askedAtMs = this.#clock.wallNow()
    const members = await atOnce(AT_ONCE, peers, (peer) =>
      this.#clock.now() >= endMs ? Promise.resolve(this.#notAsked(peer)) : this.#askOne(peer, ring),
    )
    return { askedAtMs, members }
  }

  async #askOne(peer: HttpPeer, ring: string | undefined): Promise<Asked> {
    const { name, url } = peer
    if (url === undefined || this.#ask === undefined) return this.#notAsked(peer)
    const atMs = this.#clock.now()
    try {
      return { name, url, atMs, digest: await this.#ask(url, ring), error: null }
    } catch (error) {
      const code = isRingmanError(error) ? error.code : 'INTERNAL'
      const message = messageOf(error)
      return { name, url, atMs, digest: null, error: { code, message: message.slice(0, MESSAGE_LIMIT) } }
    }
  }

  #notAsked({ name, url }: HttpPeer): Asked {
    return { name, url: url ?? null, atMs: this.#clock.now(), digest: null, error: null }
  }
}

/** Characters of another member's message that are told. */
const MESSAGE_LIMIT = 300

function verdictOn({ digest, error, atMs }: Asked, { manager }: RingService): AgreementVerdict {
  if (error !== null) return 'silent'
  if (digest === null) return 'not-asked'
  const { digests, snapshot } = manager
  if (digest === digests[0]) return 'agrees'
  if (atMs < snapshot.changedAtMs) return 'not-yet-asked'
  return digests.includes(digest) ? 'behind' : 'differs'
}
