import { getOrMake } from '../get-or-make.ts'
import { formatHostPort } from '../addresses.ts'
import {
  found,
  list,
  mostFrequent,
  namesOf,
  quote,
  say,
  unlike,
  type Finding,
  type FindingCode,
} from './doctor-finding.ts'
import type { MemberReport, SurveyedMember } from './doctor-survey.ts'

export function sameNames(members: readonly SurveyedMember[]): Finding[] {
  const places = new Map<string, Set<string>>()
  const note = (name: string, place: string) => getOrMake(places, name, () => new Set()).add(place)
  for (const { report, url } of members) note(report.name, placeOf(report) ?? url)
  for (const { name, place } of contestedIn(members)) note(name, place)
  return [...places]
    .filter(([, at]) => at.size > 1)
    .flatMap(([name, at]) =>
      found('NAME_TWICE', 'critical', [name], {
        summary: `Two processes have the name ${quote(name)}: at ${list([...at], ' and at ')}.`,
        meaning:
          'The ring has one place for a name, and each of the two takes itself for the owner of its keys.',
        advice: 'Stop one of them, or give it another --name.',
      }),
    )
}

/** Each name that members know to be used twice, with each of its places. */
export function contestedIn(members: readonly SurveyedMember[]) {
  const contested = gossipsOf(members).flatMap(({ gossip }) => gossip.contested)
  return contested.flatMap(({ name, places }) => places.map((place) => ({ name, place })))
}

export function plainAmongKeyed(members: readonly SurveyedMember[]): Finding[] {
  const gossiping = gossipsOf(members)
  const plain = gossiping.filter(({ gossip }) => gossip.keys.length === 0)
  if (plain.length === gossiping.length) return []
  const names = namesOf(plain)
  return found('PLAIN_AMONG_KEYED', 'critical', names, {
    summary: `${say(names, 'has', 'have')} no keys, and the others encrypt their gossip.`,
    meaning: 'They do not hear each other, and make rings of their own.',
    advice: `Give ${names.length > 1 ? 'them' : 'it'} the keyring of the others by --keyring-file; docs/memberlist.md says how to introduce encryption.`,
  })
}

export function otherKeys(members: readonly SurveyedMember[]): Finding[] {
  const keyed = gossipsOf(members).filter(({ gossip }) => gossip.keys.length > 0)
  const { odd, usual } = apart(keyed, keysOf)
  const names = namesOf(odd)
  const theirs = [...new Set(odd.flatMap(({ gossip }) => gossip.keys.slice(0, 1)))]
  return found('KEYS_DIFFER', 'critical', names, {
    summary: `${say(names, 'encrypts', 'encrypt')} with the key ${list(theirs)}, and most others with ${usual}: not all of them can read that.`,
    meaning: 'Members that cannot read each other make rings of their own.',
    advice:
      'Put both keys into every keyring file first, and only then make the new one the first; `ringman reload` takes it up at once.',
  })
}

type Gossip = NonNullable<MemberReport['gossip']>
type Gossiping = { readonly name: string; readonly gossip: Gossip }

export function gossipsOf(members: readonly SurveyedMember[]): Gossiping[] {
  return members.flatMap(({ report: { name, gossip } }) => (gossip === null ? [] : [{ name, gossip }]))
}

/** What a member takes of others, the one that it sends itself first. */
type Accepted = (gossip: Gossip) => readonly string[]

const labelsOf: Accepted = ({ label, otherLabels }) => [label, ...otherLabels]
const keysOf: Accepted = ({ keys }) => keys

/** Members that do not accept what most send, or send what not all of those accept that do. */
function apart(all: readonly Gossiping[], acceptedBy: Accepted) {
  const sentBy = ({ gossip }: Gossiping) => acceptedBy(gossip)[0] ?? ''
  const accepts = ({ gossip }: Gossiping, word: string) => acceptedBy(gossip).includes(word)
  const usual = mostFrequent(all.map(sentBy))
  const rest = all.filter((one) => accepts(one, usual))
  const odd = all.filter((one) => !accepts(one, usual) || !rest.every((other) => accepts(other, sentBy(one))))
  return { odd, usual }
}

export function differentLabels(members: readonly SurveyedMember[]): Finding[] {
  const all = gossipsOf(members)
  const isChanging = all.some(({ gossip }) => labelsOf(gossip).length > 1)
  const advice = isChanging
    ? 'Put both labels into every label file first, and only then make the new one the first; `ringman reload` takes it up at once.'
    : 'Start all members of one ring with the same --label; docs/memberlist.md says how to change it while they run.'
  return deafTo('LABELS_DIFFER', 'label', ({ gossip }) => gossip.label, apart(all, labelsOf), advice)
}

export function otherClusterNames(members: readonly SurveyedMember[]): Finding[] {
  const nameOf = ({ gossip }: Gossiping) => gossip.clusterName ?? ''
  const advice = 'Start all members of one ring with the same --cluster-name.'
  return deafTo('CLUSTER_NAMES_DIFFER', 'cluster name', nameOf, unlike(gossipsOf(members), nameOf), advice)
}

/** Members that have another word than most, and do not hear them for it. */
function deafTo(
  code: FindingCode,
  what: string,
  wordOf: (member: Gossiping) => string,
  { odd, usual }: { readonly odd: readonly Gossiping[]; readonly usual: string },
  advice: string,
): Finding[] {
  const names = namesOf(odd)
  const theirs = [...new Set(odd.map((member) => orNone(wordOf(member))))]
  return found(code, 'critical', names, {
    summary: `${say(names, 'has', 'have')} the ${what} ${list(theirs)}, and most others ${orNone(usual)}.`,
    meaning: 'They do not hear each other, and make rings of their own.',
    advice,
  })
}

/** Changes of the label and of the key that are half done, where all hear each other. */
export function changesUnderWay(members: readonly SurveyedMember[], causes: readonly Finding[]): Finding[] {
  const all = gossipsOf(members)
  const isCaused = (...codes: readonly string[]) => causes.some(({ code }) => codes.includes(code))
  return [
    ...(isCaused('LABELS_DIFFER') ? [] : changeUnderWay(all, LABEL_CHANGE)),
    ...(isCaused('KEYS_DIFFER', 'PLAIN_AMONG_KEYED') ? [] : changeUnderWay(all, KEY_CHANGE)),
  ]
}

const LABEL_CHANGE = {
  code: 'LABEL_CHANGING',
  what: 'label',
  file: 'label file',
  acceptedBy: labelsOf,
  show: orNone,
  accepts: ['does not accept', 'do not accept', 'accept'],
  send: 'send',
} as const

const KEY_CHANGE = {
  code: 'KEY_CHANGING',
  what: 'key',
  file: 'keyring file',
  acceptedBy: keysOf,
  show: (id: string) => id,
  accepts: ['does not have', 'do not have', 'have'],
  send: 'encrypt with',
} as const

function changeUnderWay(
  all: readonly Gossiping[],
  change: typeof LABEL_CHANGE | typeof KEY_CHANGE,
): Finding[] {
  const { code, what, file, acceptedBy, show, accepts, send } = change
  const changing = all.filter(({ gossip }) => acceptedBy(gossip).length > 1)
  if (changing.length === 0) return []
  const accepted = [...new Set(all.flatMap(({ gossip }) => acceptedBy(gossip)))]
  const sent = [...new Set(all.map(({ gossip }) => acceptedBy(gossip)[0] ?? ''))]
  const lacking = namesOf(
    all.filter(({ gossip }) => accepted.some((one) => !acceptedBy(gossip).includes(one))),
  )
  const [doesNot, doNot, doAll] = accepts
  const words = list(accepted.map(show), ' and ')
  const sends = `${sent.length > 1 ? 'some' : 'all'} ${send} ${list(sent.map(show), ` and some ${send} `)}`
  const ofAll =
    lacking.length > 0 ? `${say(lacking, doesNot, doNot)} all of ${words}` : `all ${doAll} ${words}`
  const advice =
    sent.length > 1
      ? `Make the new ${what} the first in every ${file}; then take out the old one.`
      : lacking.length > 0
        ? `Give all members the same ${file}. None may use a ${what} that another does not have in its file.`
        : `If they still use the old ${what}, make the new one the first in every ${file}; otherwise take out the old one.`
  return found(code, 'note', namesOf(changing), {
    summary: `The ${what} is being changed: ${sends}, and ${ofAll}.`,
    meaning: `They are one ring. Until the change is done, whoever has any of these ${what}s is let in.`,
    advice,
  })
}

function orNone(word: string): string {
  return word === '' ? 'none' : quote(word)
}

export function otherRingKeys(members: readonly SurveyedMember[]): Finding[] {
  const { odd, usual } = unlike(members, ({ report }) => report.ringKey)
  const names = namesOf(odd)
  return found('RING_KEYS_DIFFER', 'critical', names, {
    summary: `${say(names, 'hashes', 'hash')} the ${odd[0]?.report.ringKey} of each node, and most others the ${usual}.`,
    meaning: 'They know the same members and name other owners.',
    advice: 'Start all members with the same --ring-key.',
  })
}

/** Where the gossip of a member comes from: `ADDRESS:PORT`. */
export function placeOf({ gossip }: MemberReport): string | undefined {
  const { address = null, port = null } = gossip ?? {}
  return address === null || port === null ? undefined : formatHostPort({ address, port })
}
