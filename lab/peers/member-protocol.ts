/**
 * The protocol that every member program under test speaks, Go's and ours: one JSON object a line. Commands come
 * in on standard input; answers, events and notices go out on standard output. docs/testing.md describes it.
 */

/**
 * A member's state as a program shows it. HashiCorp's library lists the alive and the suspect alike (`listed`)
 * and does not tell the dead from the left (`gone`).
 */
export type ShownState = 'alive' | 'suspect' | 'dead' | 'left' | 'listed' | 'gone'

/** A member as a program shows it. */
export interface ShownMember {
  readonly name: string
  /** IP literal without brackets. */
  readonly address: string
  /** The gossip port. */
  readonly port: number
  /** Metadata as UTF-8 text. */
  readonly meta: string
  readonly state: ShownState
}

/** How a member enters, leaves or changes in a program's view. `atMs` is wall-clock time. */
export interface ViewEvent {
  readonly type: 'join' | 'leave' | 'update'
  readonly atMs: number
  readonly member: ShownMember
}

/** Anything else that a program says of itself: `ready` when it can be talked to, `message`, `state`, `refused`. */
export interface Notice {
  readonly type: 'ready' | 'message' | 'state' | 'refused'
  readonly atMs: number
  readonly fields: Readonly<Record<string, unknown>>
}

/** The answer to the command with the same `id`; failed when there is an `error`. */
export interface Answer {
  readonly type: 'answer'
  readonly atMs: number
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

export type MemberLine = ViewEvent | Notice | Answer

/** The settings that every member program takes, as its last argument, in JSON. */
export interface MemberSettings {
  readonly name: string
  readonly bindAddress: string
  /** 0 takes a free port, which `ready` tells. */
  readonly bindPort: number
  readonly preset: 'lan' | 'wan' | 'local'
  readonly meta: string
  /** `host:port` of members to join before `ready`. */
  readonly join?: readonly string[]
}

const TYPES: ReadonlySet<string> = new Set([
  'join',
  'leave',
  'update',
  'ready',
  'message',
  'state',
  'refused',
  'answer',
])

/**
 * Reads one line of a member program.
 *
 * @throws {Error} for a line that is not of the protocol.
 */
export function parseMemberLine(text: string): MemberLine {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new Error(`not a line of the member protocol: ${text.slice(0, 200)}`, { cause: error })
  }
  const { type, atMs } = (value ?? {}) as { type?: unknown; atMs?: unknown }
  if (typeof type !== 'string' || !TYPES.has(type) || typeof atMs !== 'number') {
    throw new Error(`not a line of the member protocol: ${text.slice(0, 200)}`)
  }
  return value as MemberLine
}
