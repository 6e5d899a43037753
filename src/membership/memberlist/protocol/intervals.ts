/**
 * Time a suspicion lasts when everybody confirms it: `mult * max(1, log10(n)) * probeIntervalMs`.
 *
 * @param mult - `suspicionMult`.
 * @param n - Living members, this one included.
 * @returns Milliseconds.
 * @see SWIM (Das, Gupta, Motivala 2002), section 4.2
 */
export function suspicionTimeoutMs(mult: number, n: number, probeIntervalMs: number): number {
  return mult * Math.max(1, Math.log10(n)) * probeIntervalMs
}

/**
 * Confirmations by others that bring a suspicion down to its shortest time: `mult - 2`, or 0 where fewer than
 * that many others exist (all but this member and the suspect).
 *
 * @param n - Living members, this one and the suspect included.
 */
export function expectedConfirmations(mult: number, n: number): number {
  const k = Math.max(0, mult - 2)
  return n - 2 < k ? 0 : k
}

/**
 * Time a suspicion lasts from its beginning:
 * `max(minMs, maxMs - (maxMs - minMs) * log(c + 1) / log(k + 1))`, and `minMs` when `k` is 0.
 *
 * @param c - Confirmations so far, integer >= 0.
 * @param k - Confirmations that bring it to `minMs`, integer >= 0.
 * @see Lifeguard (arXiv:1707.00788), LHA-Suspicion
 */
export function confirmedTimeoutMs(c: number, k: number, minMs: number, maxMs: number): number {
  if (k < 1) return minMs
  return Math.max(minMs, maxMs - ((maxMs - minMs) * Math.log(c + 1)) / Math.log(k + 1))
}

/**
 * How often one message is sent on by each member: `mult * ceil(log10(n + 1))`, and in clusters below a hundred,
 * where that would let one message in a hundred miss a member, at least `n`, up to `3 * mult`.
 *
 * @param n - Living members, this one included.
 */
export function retransmitLimit(mult: number, n: number): number {
  return Math.max(mult * Math.ceil(Math.log10(n + 1)), Math.min(n, 3 * mult))
}

/** Members up to which push/pull keeps its interval. */
export const PUSH_PULL_SCALE_FROM = 32

/**
 * Time between push/pulls: the interval up to 32 members; above, times `ceil(log2(n) - log2(32)) + 1`.
 *
 * @param n - Living members, this one included.
 */
export function pushPullIntervalMs(intervalMs: number, n: number): number {
  if (n <= PUSH_PULL_SCALE_FROM) return intervalMs
  return intervalMs * (Math.ceil(Math.log2(n) - Math.log2(PUSH_PULL_SCALE_FROM)) + 1)
}

/**
 * No member is found dead by strong evidence of others so soon after its last packet: 2.5 probe intervals, and 2.5 s at the
 * least, so that a stall of two seconds is no death.
 *
 * @returns Milliseconds.
 */
export function quietMs({ probeIntervalMs }: { readonly probeIntervalMs: number }): number {
  return 2.5 * Math.max(1000, probeIntervalMs)
}
