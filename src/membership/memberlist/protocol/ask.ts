import type { Message } from '../wire/messages.ts'
import type { Purpose } from './contacts.ts'
import { type Core, NO_BYTES } from './core.ts'
import type { Deadline } from './deadlines.ts'
import type { Endpoint } from './endpoint.ts'

/** One question: does the member of this name answer at this place? */
export interface Ask {
  readonly place: Endpoint
  readonly name: string
  /** Said along with the ping. */
  readonly say?: readonly Message[]
  /** Whether room in the packets is filled with gossip. @default true */
  readonly fill?: boolean
  /** Whether the ping is sent again at `probeTimeoutMs / 2`, where `repeatPings` is set. */
  readonly repeat?: boolean
  /** Whether a stream is tried as well, at `probeTimeoutMs / 2`. */
  readonly stream?: boolean
  /** How long to wait for an answer, in milliseconds. @default `probeIntervalMs` */
  readonly timeoutMs?: number
  /** On whose account. @default 'probe' */
  readonly purpose?: Purpose
}

/**
 * Pings a place outside the probe rounds.
 *
 * @param end - Called once: with the payload of the ack and all that was in its packet, or with undefined when none came in time.
 */
export function ask(
  core: Core,
  { place, name, say = [], fill = true, repeat = false, stream = false, timeoutMs, purpose = 'probe' }: Ask,
  end: (payload: Uint8Array | undefined, said: readonly Message[]) => void,
): void {
  const { deadlines, nowMs, settings, pending, pendingStreams } = core
  const waitMs = timeoutMs ?? settings.probeIntervalMs
  const seqNo = core.takeSeqNo()
  const set: Deadline[] = []
  const finish = (payload: Uint8Array | undefined, _from?: Endpoint, said: readonly Message[] = []) => {
    if (!pending.delete(seqNo)) return
    pendingStreams.delete(seqNo)
    for (const deadline of set) deadlines.cancel(deadline)
    if (payload !== undefined) core.contacts.answered(place, name, core.nowMs)
    end(payload, said)
  }
  const ping = () => core.send(place, [core.pingFor({ name }, seqNo), ...say], fill, purpose)
  pending.set(seqNo, { acked: finish })
  set.push(deadlines.set(nowMs + waitMs, () => finish(undefined)))
  const soon = (run: () => void) => set.push(deadlines.set(nowMs + settings.probeTimeoutMs / 2, run))
  if (repeat && settings.repeatPings) soon(ping)
  if (stream && settings.streamProbes) {
    soon(() => {
      pendingStreams.set(seqNo, (outcome) => {
        if (outcome === 'acked') finish(NO_BYTES)
      })
      const leftMs = Math.max(1, settings.probeIntervalMs - settings.probeTimeoutMs / 2)
      core.pingOverStream(place, core.pingFor({ name }, seqNo), leftMs, purpose)
    })
  }
  ping()
}
