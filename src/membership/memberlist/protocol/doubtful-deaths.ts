import { isLiving } from '../../member.ts'
import type { Dead, Suspect } from '../wire/messages.ts'
import type { Core } from './core.ts'
import type { MemberRecord } from './members.ts'

/** Where a name was before it was taken over, while others may still tell of it. */
export function previousOf(core: Core, record: MemberRecord): MemberRecord['previous'] {
  const { previous } = record
  if (previous !== undefined && core.nowMs - previous.untilMs >= core.settings.deadKeptMs)
    record.previous = undefined
  return record.previous
}

/** Whether this is news of the place where a name was before it was taken over, whose incarnations are above those of the new one. */
export function isStale(core: Core, record: MemberRecord, message: Suspect | Dead): boolean {
  const { incarnation } = record
  const previous = previousOf(core, record)
  return (
    isLiving(record) &&
    previous !== undefined &&
    message.incarnation > incarnation &&
    message.incarnation <= previous.incarnation
  )
}

/**
 * Whether news of a death may still be about the place where a name was before it was taken over: such news goes round for a
 * while, and both places may have reached the same incarnation. Nobody can have suspected the new place for long enough yet;
 * if it does die so soon, we find that ourselves.
 */
export function isLate(core: Core, record: MemberRecord, { incarnation, from }: Dead): boolean {
  const { previous } = record
  if (previous === undefined || !isLiving(record) || from === core.self.name) return false
  const { suspicionMult, probeIntervalMs } = core.settings
  const isRecent = core.nowMs - previous.untilMs < suspicionMult * probeIntervalMs
  return isRecent && incarnation === previous.incarnation
}

/**
 * Whether news of a death comes from a member that we hold for dead: it was most likely cut off, and took its own
 * silence for that of others.
 */
export function isDoubtful(core: Core, record: MemberRecord, { from }: Dead): boolean {
  if (!isLiving(record)) return false
  // Of two processes of one name either may have said it.
  if (record.rival !== undefined && from !== core.self.name) return true
  return core.settings.checkSuspects && core.members.get(from)?.state === 'dead'
}
