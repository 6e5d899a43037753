import { printable, shortened } from '../../printable.ts'
import { MISMATCHES } from './protocol/exchanges.ts'
import type { StreamAnswer } from './stream-client.ts'
import type { DropReason } from './wire/drop.ts'

/** Drops that mean that somebody is configured otherwise, rather than a fault on the way. */
export const MISFITS = ['label-differs', 'not-encrypted', 'cannot-decrypt', 'encrypted-unexpectedly'] as const
type Misfit = (typeof MISFITS)[number]

export function isMisfit(reason: DropReason): reason is Misfit {
  return MISFITS.some((misfit) => misfit === reason)
}

/**
 * What a peer whose stream misfits is told: the reason for which its connection is closed, and nothing that it could not
 * find out by that. It is sent in plain, since whoever it is for cannot read anything else.
 */
export function refusalText(reason: string): string {
  return `refused: ${reason}`
}

/** What is wrong with the peer, to stand behind its address. */
const CAUSES = {
  'label-differs': 'has another label (--label)',
  'not-encrypted': 'requires encryption, and this member has no key (--keyring-file)',
  'cannot-decrypt': 'has no key that fits one of this member (--keyring-file)',
  'encrypted-unexpectedly': 'has no key, and this member encrypts (--keyring-file)',
  ...MISMATCHES,
}

/** The same, where it is this member that cannot read the peer's answer. */
const CAUSES_OF_ANSWERS: Readonly<Record<Misfit, string>> = {
  ...CAUSES,
  'not-encrypted': CAUSES['encrypted-unexpectedly'],
  'encrypted-unexpectedly': CAUSES['not-encrypted'],
}

/**
 * Why a peer refuses this member, as a phrase to stand behind its address; undefined where it does not: nobody answered,
 * or something else is wrong.
 *
 * @param closesUnasked - Whether the peer closes a connection on which it is sent nothing just as soon.
 */
export async function causeOfRefusal(
  answer: StreamAnswer,
  closesUnasked: (withinMs: number) => Promise<boolean>,
): Promise<string | undefined> {
  if (answer.outcome === 'answered' && answer.message.kind === 'error') {
    const { text } = answer.message
    const known = Object.entries(CAUSES).find(([reason]) => text === refusalText(reason))
    return known?.[1] ?? `answered: ${printable(shortened(text, 200))}`
  }
  if (answer.outcome !== 'failed') return undefined
  if (answer.dropped !== undefined && isMisfit(answer.dropped)) return CAUSES_OF_ANSWERS[answer.dropped]
  // Go members only close when the label differs. So does a proxy with nobody behind it, but that does not wait for a
  // message.
  if (answer.closedAfterMs === undefined || (await closesUnasked(2 * answer.closedAfterMs + 250))) {
    return undefined
  }
  return 'closes the connection once it has read a message of this member, most likely for another label (--label) or key (--keyring-file)'
}
