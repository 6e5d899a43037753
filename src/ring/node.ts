import { RingmanError } from '../errors.ts'

/**
 * A member's place on the ring. Only `ringKey` and `weight` decide about points, owners and the digest; the
 * rest is what a caller needs to reach the node, and travels with it.
 */
export interface RingNode {
  /** The string that is hashed; unique on the ring, not empty. */
  readonly ringKey: string
  /** Relative share of the circle, a positive safe integer. */
  readonly weight: number
  /** The member's name. */
  readonly name?: string
  /** IP literal or host name to reach the application at. */
  readonly address?: string
  /** The application's port. */
  readonly port?: number
  /** Failure domain. */
  readonly zone?: string
}

/**
 * Whether a string can be a ring key: not empty, well-formed Unicode (two ill-formed strings may have the same
 * UTF-8 bytes) and without line feeds (they part the lines of the ring's digest).
 */
export function isRingKey(ringKey: string): boolean {
  return ringKey !== '' && ringKey.isWellFormed() && !ringKey.includes('\n')
}

/** Whether a number can be a weight: a positive safe integer. */
export function isNodeWeight(weight: number): boolean {
  return Number.isSafeInteger(weight) && weight >= 1
}

/** @throws {RingmanError} `NODE_INVALID` for what is no ring key, or a weight that is not a positive integer. */
export function checkNode(node: RingNode): void {
  if (!isRingKey(node.ringKey)) {
    throw new RingmanError(
      'NODE_INVALID',
      `a ring key must be well-formed text, not empty and without line feeds, got ${JSON.stringify(node.ringKey)}`,
    )
  }
  if (!isNodeWeight(node.weight)) {
    throw new RingmanError(
      'NODE_INVALID',
      `the weight of a node must be a positive integer, got ${typeof node.weight === 'number' ? node.weight : typeof node.weight}`,
      { detail: { weight: node.weight } },
    )
  }
}

/** Whether two nodes are the same in everything, also in what does not decide about the ring. */
export function sameNode(a: RingNode, b: RingNode): boolean {
  return (
    a.ringKey === b.ringKey &&
    a.weight === b.weight &&
    a.name === b.name &&
    a.address === b.address &&
    a.port === b.port &&
    a.zone === b.zone
  )
}

/**
 * Orders ring keys by their UTF-8 bytes, which is the order of their code points. (JavaScript's own order, by
 * UTF-16 unit, has U+10000 and above before U+E000 to U+FFFF.)
 *
 * @returns Negative, zero or positive, as `Array.prototype.sort` takes it.
 */
export function compareRingKeys(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return x < 0xd800 || y < 0xd800 ? x - y : liftSurrogate(x) - liftSurrogate(y)
  }
  return a.length - b.length
}

/** Puts surrogates above the rest of the 16-bit range, where the code points that they stand for belong. */
function liftSurrogate(unit: number): number {
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}
