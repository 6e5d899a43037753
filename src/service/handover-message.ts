import { isWithin } from '../is-within.ts'
import { objectIn } from '../is-object.ts'

/**
 * What the two parties of a move tell each other. The member that moves asks those that gain to `warm` up, and those that
 * lose to `switch`; each answers when it has: `warmed`, `switched`.
 */
export type HandoverStep = 'warm' | 'warmed' | 'switch' | 'switched'

/** One message of a hand-over, from member to member. */
export interface HandoverMessage {
  readonly step: HandoverStep
  /** The name of the member that sends it. */
  readonly from: string
  /** The number of the move, as the member that moves has it in its metadata. */
  readonly number: number
  /** How often it was asked before, from 0. */
  readonly attempt: number
}

const STEPS: readonly unknown[] = ['warm', 'warmed', 'switch', 'switched'] satisfies HandoverStep[]

/** Begins every such message: no application's message begins like this by chance. */
const MAGIC = new TextEncoder().encode('\0ringman handover\u0001')

/** A name has 255 characters at most, each of them six bytes in JSON at most. */
const MAX_BYTES = 2048

/** So often nobody asks. */
const MAX_ATTEMPT = 1_000_000

export function encodeHandoverMessage(message: HandoverMessage): Uint8Array {
  return Buffer.concat([MAGIC, Buffer.from(JSON.stringify(message))])
}

/** @returns undefined for bytes of another kind, or out of form; it never throws. */
export function decodeHandoverMessage(bytes: Uint8Array): HandoverMessage | undefined {
  if (bytes.length > MAX_BYTES || !MAGIC.every((byte, at) => bytes[at] === byte)) return undefined
  const { step, from, number, attempt } = objectIn(bytes.subarray(MAGIC.length)) ?? {}
  if (!STEPS.includes(step) || typeof from !== 'string' || from === '') return undefined
  if (!isWithin(number, 1, 2 ** 32 - 1) || !isWithin(attempt, 0, MAX_ATTEMPT)) return undefined
  return { step: step as HandoverStep, from, number, attempt }
}
