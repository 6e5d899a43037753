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

/** @throws {RingmanError} `NODE_INVALID` for an empty ring key or a weight that is not a positive integer. */
export function checkNode(node: RingNode): void {
  if (node.ringKey === '') throw new RingmanError('NODE_INVALID', 'a ring key must not be empty')
  if (!Number.isSafeInteger(node.weight) || node.weight < 1) {
    throw new RingmanError(
      'NODE_INVALID',
      `the weight of a node must be a positive integer, got ${node.weight}`,
      {
        detail: { weight: node.weight },
      },
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
