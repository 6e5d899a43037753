import type { IndirectPing } from '../wire/messages.ts'
import { ask } from './ask.ts'
import type { Core } from './core.ts'
import { type Endpoint, sameEndpoint, tryEndpoint } from './endpoint.ts'

/** Part of `probeTimeoutMs` after which the asker is told that the target is silent: before its own time is over. */
const NACK_AFTER = 0.8

/** Probing in the stead of others. */
export class Relays {
  readonly #core: Core
  #runningCount = 0

  constructor(core: Core) {
    this.#core = core
  }

  /** Pings the target that `message` names, and answers `replyTo` with an ack or, where wanted, a nack. */
  relay(message: IndirectPing, replyTo: Endpoint): void {
    const core = this.#core
    const { settings, nowMs, deadlines } = core
    const place = tryEndpoint(message.target, message.port)
    if (place === undefined) {
      core.refuse('malformed', { kind: message.kind, from: replyTo.address })
      return
    }
    if (this.#runningCount >= settings.maxRelays) {
      core.refuse('overloaded', { kind: message.kind, from: replyTo.address })
      return
    }
    this.#runningCount++
    const known = core.members.get(message.node)
    const fill = known !== undefined && sameEndpoint(known.endpoint, place)
    const nack = deadlines.set(nowMs + settings.probeTimeoutMs * NACK_AFTER, () => {
      if (message.nack) core.send(replyTo, [{ kind: 'nack', seqNo: message.seqNo }], fill)
    })
    ask(core, { place, name: message.node, fill, repeat: true, purpose: 'relay' }, (payload) => {
      this.#runningCount--
      deadlines.cancel(nack)
      if (payload !== undefined) core.send(replyTo, [{ kind: 'ack', seqNo: message.seqNo, payload }], fill)
    })
  }
}
