import { isLiving } from '../../member.ts'
import { ask } from './ask.ts'
import type { Core } from './core.ts'
import type { Endpoint } from './endpoint.ts'
import type { Exchanges } from './exchanges.ts'
import type { MemberRecord } from './members.ts'
import { suspectMessage } from './suspicion.ts'

/** Lost members remembered at most; the oldest make room. */
const LOST_LIMIT = 1024
/** With more lost than a third of the living every interval is used; with fewer, the cluster as a whole tries as often. */
const EAGERNESS = 3
/** Every so many tries a stream is used, for networks that drop UDP. */
const STREAM_EVERY = 4

interface Lost {
  readonly name: string
  readonly endpoint: Endpoint
  readonly atMs: number
}

/**
 * Looking for members that died: the network may have parted us, and each side holds the other for dead. Those
 * that left are let go.
 */
export class Reconnect {
  readonly #core: Core
  readonly #exchanges: Pick<Exchanges, 'start'>
  /** By name, the longest lost first. */
  readonly #lost = new Map<string, Lost>()
  #tries = 0
  #exchanging = false

  constructor(core: Core, exchanges: Pick<Exchanges, 'start'>) {
    this.#core = core
    this.#exchanges = exchanges
  }

  start(): void {
    if (this.#core.settings.reconnectIntervalMs > 0) this.#schedule()
  }

  /** Notes that a member died, or that it left and need not be looked for. */
  note(record: MemberRecord): void {
    this.#lost.delete(record.name)
    if (record.state !== 'dead') return
    this.#lost.set(record.name, { name: record.name, endpoint: record.endpoint, atMs: this.#core.clockMs })
    const [oldest] = this.#lost.keys()
    if (this.#lost.size > LOST_LIMIT && oldest !== undefined) this.#lost.delete(oldest)
  }

  letGo(name: string): void {
    this.#lost.delete(name)
  }

  #schedule(): void {
    const { deadlines, nowMs, settings } = this.#core
    deadlines.set(nowMs + this.#core.jitter(settings.reconnectIntervalMs), () => {
      this.#look()
      this.#schedule()
    })
  }

  #look(): void {
    const core = this.#core
    this.#dropFound()
    if (core.leaving || this.#lost.size === 0) return
    if (core.random() >= (EAGERNESS * this.#lost.size) / core.livingCount) return
    const candidates = [...this.#lost.values()]
    const lost = candidates[Math.floor(core.random() * candidates.length)]
    if (lost === undefined) return
    if (++this.#tries % STREAM_EVERY === 0) this.#exchange(lost)
    else this.#ping(lost)
  }

  #dropFound(): void {
    const { members, clockMs, settings } = this.#core
    for (const lost of this.#lost.values()) {
      const record = members.get(lost.name)
      const found = record !== undefined && (isLiving(record) || record.state === 'left')
      if (found || clockMs - lost.atMs > settings.lostKeptMs) this.#lost.delete(lost.name)
    }
  }

  /** A ping with what we hold against the lost one, that it may refute; if it acks, the states are exchanged. */
  #ping(lost: Lost): void {
    const core = this.#core
    const record = core.members.get(lost.name)
    const say = record === undefined ? [] : suspectMessage(core, record)
    ask(core, { place: lost.endpoint, name: lost.name, say }, (payload) => {
      if (payload !== undefined) this.#exchange(lost)
    })
  }

  #exchange(lost: Lost): void {
    if (this.#exchanging) return
    this.#exchanging = true
    this.#exchanges.start(lost.endpoint, false, () => {
      this.#exchanging = false
    })
  }
}
