/** Incarnations from here on are refused: a peer's word cannot bring anybody near the end of uint32. */
export const INCARNATION_LIMIT = 2 ** 31

/** An incarnation so far above what is known of a member is refused: no honest member counts that fast. */
export const INCARNATION_JUMP_LIMIT = 2 ** 20
