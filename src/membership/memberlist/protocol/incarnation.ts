/** Incarnations from here on are refused: no message brings anybody near the end of uint32. */
export const INCARNATION_LIMIT = 2 ** 31

/** A member's incarnation may rise by so much at once, and by so much each second: to the limit it takes four years. */
const BURST = 2 ** 20
const PER_SECOND = 16

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

/** Whether an incarnation is so far from the one known that no honest member came from one to the other. */
export function isFarFrom(a: number, b: number): boolean {
  return Math.abs(a - b) > BURST
}
