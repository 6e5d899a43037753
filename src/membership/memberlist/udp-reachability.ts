import type { Clock } from '../../clock.ts'
import { LimitedWarnings } from '../../limited-warnings.ts'
import type { Logger } from '../../logger.ts'
import { formatHostPort } from '../../addresses.ts'
import { isLiving } from '../member.ts'
import type { MemberView, ProbeFinishedEffect } from './protocol/effects.ts'

/** Probes that only TCP answered, with none between that UDP did, before that is called a finding. */
const PROBES_NEEDED = 3

const LOG_EVERY_MS = 60_000

/**
 * Finds members that answer over TCP and never over UDP: a firewall or a policy drops UDP. memberlist goes on
 * working then, badly, and nobody knows why; so it is said plainly.
 */
export class UdpReachability {
  readonly #warnings: LimitedWarnings
  /** Probes that only TCP answered since UDP last did, by member name. */
  readonly #streamOnly = new Map<string, number>()

  constructor(clock: Clock, logger: Logger) {
    this.#warnings = new LimitedWarnings(clock, logger, LOG_EVERY_MS)
  }

  /** Members that answer over TCP alone at present. */
  get blockedCount(): number {
    return [...this.#streamOnly.values()].filter((probes) => probes >= PROBES_NEEDED).length
  }

  add({ member, via }: ProbeFinishedEffect): void {
    if (via === 'direct') this.#streamOnly.delete(member.name)
    // A relay's answer says nothing about UDP from here to there, and silence says nothing at all. The dead are forgotten already.
    if (via !== 'stream' || !isLiving(member)) return
    const probes = (this.#streamOnly.get(member.name) ?? 0) + 1
    this.#streamOnly.set(member.name, probes)
    if (probes >= PROBES_NEEDED) this.#tell(member, probes)
  }

  forget(name: string): void {
    this.#streamOnly.delete(name)
  }

  #tell({ name, endpoint }: MemberView, probes: number): void {
    this.#warnings.warn(
      {
        event: 'udp.blocked',
        peer: name,
        address: formatHostPort(endpoint),
        probes,
        members: this.blockedCount,
      },
      'Reached a member over TCP and not over UDP: UDP is blocked between here and there; open it, or use TCP only',
    )
  }
}
