import type { IndirectPing } from '../wire/messages.ts'
import type { Core } from './core.ts'
import { type Endpoint, formatAddress, sameEndpoint } from './endpoint.ts'

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
    const address = formatAddress(message.target)
    if (address === undefined || message.port < 1 || message.port > 65_535) {
      core.refuse('malformed', { kind: message.kind, from: replyTo.address })
      return
    }
    if (this.#runningCount >= settings.maxRelays) {
      core.refuse('overloaded', { kind: message.kind, from: replyTo.address })
      return
    }
    this.#runningCount++
    const target: Endpoint = { address, port: message.port }
    const known = core.members.get(message.node)
    const fill = known !== undefined && sameEndpoint(known.endpoint, target)
    const seqNo = core.takeSeqNo()
    let nacked = false
    const ping = () => {
      if (core.pending.has(seqNo)) core.send(target, [core.pingFor({ name: message.node }, seqNo)], fill)
    }
    core.pending.set(seqNo, {
      acked: (payload) => {
        this.#end(seqNo)
        core.send(replyTo, [{ kind: 'ack', seqNo: message.seqNo, payload }], fill)
      },
    })
    ping()
    if (settings.repeatPings) deadlines.set(nowMs + settings.probeTimeoutMs / 2, ping)
    if (message.nack) {
      deadlines.set(nowMs + settings.probeTimeoutMs * NACK_AFTER, () => {
        if (!core.pending.has(seqNo) || nacked) return
        nacked = true
        core.send(replyTo, [{ kind: 'nack', seqNo: message.seqNo }], fill)
      })
    }
    deadlines.set(nowMs + settings.probeIntervalMs, () => {
      this.#end(seqNo)
    })
  }

  #end(seqNo: number): void {
    if (this.#core.pending.delete(seqNo)) this.#runningCount--
  }
}
