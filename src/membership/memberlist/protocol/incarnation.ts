/** Incarnations from here on are refused: no message brings anybody near the end of uint32. */
export const INCARNATION_LIMIT = 2 ** 31

/** A member's incarnation may rise by so much at once, and by so much each second: to the limit it takes four years. */
const BURST = 2 ** 20
const PER_SECOND = 16
/** A member that says less than this below what is held of it can exceed that within seconds, whatever others did before. */
const FALL = 512

/** What is counted of one member's incarnation. */
export interface Rising {
  incarnation: number
  /** How far it has risen, less what time allows, at `risenMs`. */
  risen: number
  risenMs: number
}

/** How far the incarnation of `member` may rise now. @param scale - For this member itself 2: it must outbid what others take. */
export function roomToRise({ risen, risenMs }: Rising, nowMs: number, scale = 1): number {
  return scale * BURST - Math.max(0, risen - ((nowMs - risenMs) * PER_SECOND * scale) / 1000)
}

/** Sets an incarnation; a rise is counted. */
export function raiseTo(member: Rising, incarnation: number, nowMs: number, scale = 1): void {
  const rise = Math.max(0, incarnation - member.incarnation)
  member.risen = scale * BURST - roomToRise(member, nowMs, scale) + rise
  member.risenMs = nowMs
  member.incarnation = incarnation
}

/**
 * Whether only the member itself is believed to have this incarnation: it is above what the member may rise to now, or far
 * below the one known.
 */
export function isBeyond(member: Rising, incarnation: number, nowMs: number): boolean {
  const rise = incarnation - member.incarnation
  return rise > roomToRise(member, nowMs) || rise < -FALL
}

/**
 * Sets the incarnation that a member itself says it has. From there it rises by what time allows alone, in which the member
 * can always exceed what others have been told.
 */
export function correctTo(member: Rising, incarnation: number, nowMs: number): void {
  member.incarnation = incarnation
  member.risen = BURST
  member.risenMs = nowMs
}
