import { CONDITIONS } from '../../membership/condition.ts'
import type { PageData } from './data.ts'
import { counted } from '../../counted.ts'
import { durationText, someOf } from './words.ts'

/** Something that whoever looks should know first. */
export interface Notice {
  readonly level: 'critical' | 'warning' | 'good'
  readonly title: string
  readonly text: string
}

/** How long a death is news, in milliseconds. */
const NEWS_MS = 10 * 60_000

/** What there is to say of the state of a ring, the worst first; one that says that all is well where there is nothing. */
export function noticesOf(data: PageData): Notice[] {
  const notices = [...sourceNotices(data), ...memberNotices(data), ...agreementNotices(data)].sort(
    (a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level),
  )
  return notices.length > 0 ? notices : [allIsWell(data)]
}

const LEVELS: readonly Notice['level'][] = ['critical', 'warning', 'good']

function sourceNotices({ members: { source }, ring }: PageData): Notice[] {
  const row = Object.entries(CONDITIONS).find(([name]) => name === source.condition)?.[1]
  const notices: Notice[] = []
  if (!source.ok) {
    notices.push({
      level: row?.severity === 'critical' ? 'critical' : 'warning',
      title: sentence(source.message),
      text: row?.meaning ?? '',
    })
  }
  if (ring.nodes.length === 0) {
    notices.push({
      level: 'critical',
      title: 'The ring is empty: no key has an owner.',
      text: 'Look-ups fail until a member comes onto the ring.',
    })
  }
  if (ring.unsure === true && source.condition !== 'unsure') {
    notices.push({
      level: 'warning',
      title: 'This member is unsure of its ring.',
      text: 'It was stopped or cut off for a while, so that what it says may be old.',
    })
  }
  return notices
}

/** A notice about some members; nothing where there are none. */
function aboutMembers(
  level: Notice['level'],
  members: readonly { readonly name: string }[],
  says: string,
  text: string,
): Notice[] {
  const names = someOf(members.map(({ name }) => name))
  return members.length === 0
    ? []
    : [{ level, title: `${counted(members.length, 'member')} ${says}: ${names}.`, text }]
}

function memberNotices({ members: { members }, nowMs }: PageData): Notice[] {
  const suspects = members.filter(({ state }) => state === 'suspect')
  const dead = members.filter(({ state, stateSinceMs }) => state === 'dead' && nowMs - stateSinceMs < NEWS_MS)
  const lastMs = Math.max(...dead.map(({ stateSinceMs }) => stateSinceMs))
  const lost = members.filter(
    ({ state, offRingReason }) =>
      (state === 'alive' || state === 'suspect') &&
      offRingReason !== null &&
      offRingReason.code !== 'RING_BEHIND',
  )
  return [
    ...aboutMembers(
      'warning',
      suspects,
      'did not answer lately',
      'A suspect keeps its place on the ring until it is declared dead, or says that it lives.',
    ),
    ...aboutMembers(
      'warning',
      dead,
      'died in the last ten minutes',
      `The last one ${durationText(nowMs - lastMs)} ago. Other members own its keys now.`,
    ),
    ...aboutMembers(
      'warning',
      lost,
      `${lost.length === 1 ? 'lives and is' : 'live and are'} not on the ring`,
      lost[0]?.offRingReason?.message ?? '',
    ),
  ]
}

function agreementNotices({ agreement }: PageData): Notice[] {
  const those = (verdict: string) => agreement?.members.filter((member) => member.verdict === verdict) ?? []
  const have = (members: readonly unknown[]) => (members.length === 1 ? 'has' : 'have')
  const [differing, behind] = [those('differs'), those('behind')]
  return [
    ...aboutMembers(
      'critical',
      differing,
      `${have(differing)} another ring than this one`,
      'For some keys they name other owners. After a change that lasts a second or two; when it stays, members do not hear each other.',
    ),
    ...aboutMembers(
      'warning',
      behind,
      `${have(behind)} an older ring`,
      'News takes a second or two to reach everybody.',
    ),
    ...aboutMembers(
      'warning',
      those('silent'),
      'gave no answer over HTTP',
      'Whether their rings are the same is not known.',
    ),
  ]
}

function allIsWell({ ring, agreement, members: { source } }: PageData): Notice {
  const asked = agreement?.members.filter(({ verdict }) => verdict !== 'not-asked').length ?? 0
  const agree =
    agreement === undefined || asked === 0 || !agreement.agreed
      ? ''
      : asked === 1
        ? ', and the other member has the same ring'
        : `, and the other ${asked} members have the same ring`
  return {
    level: 'good',
    title: 'All is well.',
    text: sentence(`${counted(ring.nodes.length, 'node')} on the ring${agree}. ${source.message}`),
  }
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}
