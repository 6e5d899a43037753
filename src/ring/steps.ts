/**
 * Work that may take long, cut into steps of a millisecond or two: whoever shares the thread with others does something else
 * between two of them.
 */
export type Steps<Result> = Generator<undefined, Result, undefined>

/** Small pieces of work that make up one step. */
export const PIECES_PER_STEP = 4096

/** Does all of it at once. */
export function finish<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** The items in order, as `Array.prototype.sort` would bring them; the list itself stays as it is. */
export function* sortInSteps<Item>(
  items: readonly Item[],
  compare: (a: Item, b: Item) => number,
): Steps<Item[]> {
  let sorted: Item[] = []
  for (let at = 0; at < items.length; at += PIECES_PER_STEP) {
    if (at > 0) yield
    sorted.push(...items.slice(at, at + PIECES_PER_STEP).sort(compare))
  }
  for (let run = PIECES_PER_STEP; run < items.length; run *= 2) {
    const merged: Item[] = []
    for (let start = 0; start < sorted.length; start += 2 * run) {
      const middle = Math.min(start + run, sorted.length)
      const end = Math.min(middle + run, sorted.length)
      let [left, right] = [start, middle]
      while (left < middle || right < end) {
        if (merged.length % PIECES_PER_STEP === 0) yield
        const takesLeft = right === end || (left < middle && compare(sorted[left]!, sorted[right]!) <= 0)
        merged.push(sorted[takesLeft ? left++ : right++]!)
      }
    }
    sorted = merged
  }
  return sorted
}
