/** What mutants are planted into: one step further, up to ten. */
export function step(at: number): number {
  return at < 10 ? at + 1 : 11
}

/** Holds the thread for so many milliseconds; not at all where it is a minute. */
export function hold(timeMs: number): void {
  if (timeMs < 60_000) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, timeMs)
}
