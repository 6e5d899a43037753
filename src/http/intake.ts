/** What one turn may cost, in units: a small request is one, some 40 µs of processor time. */
const UNITS_PER_TURN = 64

/** What a look-up costs that the fast path answers. */
export const FAST_LOOK_UP_COST = 1 / 8

/** Bytes of a body that cost as much as a small request, and bytes of an answer. */
const BODY_BYTES_PER_UNIT = 16 * 1024
const ANSWER_BYTES_PER_UNIT = 2 * 1024

/** Heads and lines after which a piece ends. Each line may be a chunk of a body, which costs some 5 µs. */
const HEADS_PER_PIECE = 4
const LINES_PER_PIECE = 256
const LINES_PER_UNIT = 16

const LINE_FEED = 0x0a

/** The first bytes of what came in, as many as are taken at once, and what they cost in units. */
export interface Piece {
  readonly bytes: number
  readonly cost: number
}

/**
 * How much of what clients send is taken in one turn of the event loop, over all connections and ports. Without this a crowd
 * of connections, or one that sends thousands of requests at once, would hold the loop until all of them are answered.
 */
export class Intake {
  #left = UNITS_PER_TURN
  #scheduled = false
  readonly #waiting: (() => void)[] = []

  /** Whether what comes now has to wait: enough was taken in this turn, or others came first. */
  get full(): boolean {
    return this.#left <= 0 || this.#waiting.length > 0
  }

  charge(units: number): void {
    this.#left -= units
    // A turn's account need not be opened while little is taken in it.
    if (this.#left <= UNITS_PER_TURN / 2) this.#schedule()
  }

  /** What an answer of so many bytes costs beyond its request. */
  chargeAnswer(bytes: number): void {
    if (bytes >= ANSWER_BYTES_PER_UNIT) this.charge(Math.floor(bytes / ANSWER_BYTES_PER_UNIT))
  }

  /** Calls back in a later turn, in the order of the calls. */
  wait(goOn: () => void): void {
    this.#waiting.push(goOn)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#left = UNITS_PER_TURN
      // Whoever waits again stands at the end.
      for (let count = this.#waiting.length; count > 0 && this.#left > 0; count--) this.#waiting.shift()?.()
      if (this.#waiting.length > 0) this.#schedule()
    })
  }
}

/**
 * How much of these bytes to take at once.
 *
 * @param bodyBytes - So many of the first of them belong to a body whose length is known; its lines cost nothing.
 */
export function firstPiece(part: Buffer, bodyBytes: number): Piece {
  let heads = 0
  let lines = 0
  let lineStart = bodyBytes - 1
  for (let at = part.indexOf(LINE_FEED, bodyBytes); at !== -1; at = part.indexOf(LINE_FEED, at + 1)) {
    lines++
    // An empty line ends a head.
    if (at - lineStart <= 2) heads++
    lineStart = at
    if (heads === HEADS_PER_PIECE || lines === LINES_PER_PIECE) return pieceOf(at + 1, heads, lines)
  }
  return pieceOf(part.length, heads, lines)
}

function pieceOf(bytes: number, heads: number, lines: number): Piece {
  const cost = Math.max(1, heads, Math.floor(lines / LINES_PER_UNIT))
  return { bytes, cost: cost + Math.floor(bytes / BODY_BYTES_PER_UNIT) }
}
