/**
 * Work that may take long, cut into steps of a fraction of a millisecond: whoever shares the thread with others does something
 * else between two of them (`turns.ts`).
 */
export type Steps<Result> = Generator<undefined, Result, undefined>

/** Small pieces of work that make up one step. */
export const PIECES_PER_STEP = 128

/** Numbers that one step reads or writes, where that is all there is to it. */
export const NUMBERS_PER_STEP = 4096

/** Counts pieces of work, to tell where a step ends. */
export class Pace {
  readonly #piecesPerStep: number
  #left: number

  constructor(piecesPerStep = PIECES_PER_STEP) {
    this.#piecesPerStep = piecesPerStep
    this.#left = piecesPerStep
  }

  /** Takes so many pieces as done; true where they make the step long enough, so that the next one begins. */
  endsStep(pieces = 1): boolean {
    this.#left -= pieces
    if (this.#left > 0) return false
    this.#left = this.#piecesPerStep
    return true
  }
}

/**
 * Calls `visit` with each item, in steps. It is also quicker than a loop in a generator, which V8 does not optimize while it runs,
 * and which makes an object for each item.
 */
export function* eachInSteps<Item>(
  items: readonly Item[],
  visit: (item: Item, at: number) => void,
): Steps<void> {
  const pace = new Pace()
  for (let at = 0; at < items.length; at++) {
    visit(items[at]!, at)
    if (pace.endsStep()) yield
  }
}

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
  let runs: (readonly Item[])[] = []
  for (let at = 0; at < items.length; at += PIECES_PER_STEP) {
    if (at > 0) yield
    runs.push(items.slice(at, at + PIECES_PER_STEP).sort(compare))
  }
  while (runs.length > 1) {
    const merged: (readonly Item[])[] = []
    for (let i = 0; i < runs.length; i += 2)
      merged.push(yield* mergeInSteps(runs[i]!, runs[i + 1] ?? [], compare))
    runs = merged
  }
  return [...(runs[0] ?? [])]
}

/** Both sorted lists as one; of equal items, those of the first one come first. */
export function* mergeInSteps<Item>(
  first: readonly Item[],
  second: readonly Item[],
  compare: (a: Item, b: Item) => number,
): Steps<readonly Item[]> {
  if (second.length === 0) return first
  const pace = new Pace()
  const merged = Array<Item>(first.length + second.length)
  let i = 0
  let j = 0
  while (i < first.length || j < second.length) {
    const takesFirst = j === second.length || (i < first.length && compare(first[i]!, second[j]!) <= 0)
    merged[i + j] = takesFirst ? first[i]! : second[j]!
    if (takesFirst) i++
    else j++
    if (pace.endsStep()) yield
  }
  return merged
}
