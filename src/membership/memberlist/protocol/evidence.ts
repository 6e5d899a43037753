/** Loss that the sum is made for, of packets in each direction, independent of each other. */
const LOSS_RATE = 0.4
/** A living member is silent to all who count no more often than once in so many inquiries. */
const ONCE_IN = 1e8
/** Pings of the probe that came before. */
const PROBE_PINGS = 3
/** The part of those asked that must have found the suspect silent: others may have gone with it, or their packets be lost. */
const NEEDED_PART = 0.55

/** How a suspect is looked for. */
export interface InquiryPlan {
  /** Witnesses that must say that it was silent. */
  readonly needed: number
  /** Pings of each of them, and of the one who asks. */
  readonly tries: number
}

/** Chance that a ping or its answer is lost. */
export function tryLossRate(lossRate: number): number {
  return 1 - (1 - lossRate) ** 2
}

/**
 * Chance that a living member counts as silent, where packets are lost independently of each other: to the one who asks
 * (`tries` pings, and those of its probe), and to `needed` or more of those asked, with `tries` pings each. Answers through
 * relays and over TCP, refutations, and witnesses whose answer is on its way make it smaller still; they are not counted.
 *
 * @param asked - Witnesses, integer >= 1.
 * @param needed - Those that must have found it silent, 1 to `asked`.
 * @param lossRate - Of packets in each direction, 0 to 1.
 */
export function silenceChance(asked: number, needed: number, tries: number, lossRate: number): number {
  const lost = tryLossRate(lossRate)
  const silent = lost ** tries
  let chance = 0
  for (let k = needed; k <= asked; k++) {
    chance += combinations(asked, k) * silent ** k * (1 - silent) ** (asked - k)
  }
  return chance * lost ** (tries + PROBE_PINGS)
}

/**
 * How many of those asked must find the suspect silent, and how often each of them pings it, so that a living one is
 * silent to all who count once in 10^8 inquiries at 40 % loss in both directions.
 *
 * @param asked - Witnesses, integer >= 1.
 */
export function planInquiry(asked: number): InquiryPlan {
  const needed = Math.ceil(asked * NEEDED_PART)
  let tries = 1
  while (silenceChance(asked, needed, tries, LOSS_RATE) > 1 / ONCE_IN) tries++
  return { needed, tries }
}

function combinations(n: number, k: number): number {
  let count = 1
  for (let i = 1; i <= k; i++) count = (count * (n - k + i)) / i
  return count
}
