import { formatHostPort } from '../seeds/seed.ts'
import { list, mostFrequent, namesOf, quote, say, type Finding } from './doctor-finding.ts'
import type { MemberReport, SurveyedMember } from './doctor-survey.ts'

export function sameNames(members: readonly SurveyedMember[]): Finding[] {
  const places = new Map<string, Set<string>>()
  const note = (name: string, place: string) => {
    places.set(name, (places.get(name) ?? new Set()).add(place))
  }
  for (const { report, url } of members) note(report.name, placeOf(report) ?? url)
  for (const name of new Set(members.flatMap(({ report }) => report.gossip?.contested ?? []))) {
    note(name, 'a place')
    note(name, 'another one')
  }
  return [...places].flatMap(([name, at]) =>
    at.size < 2
      ? []
      : [
          {
            code: 'NAME_TWICE',
            severity: 'critical',
            members: [name],
            summary: `Two processes have the name ${quote(name)}${at.has('a place') ? '' : `: at ${list([...at], ' and at ')}`}.`,
            meaning:
              'The ring has one place for a name, and each of the two takes itself for the owner of its keys.',
            advice: 'Stop one of them, or give it another --name.',
          } as const,
        ],
  )
}

export function plainAmongKeyed(members: readonly SurveyedMember[]): Finding[] {
  const gossiping = members.filter(({ report }) => report.gossip !== null)
  const plain = gossiping.filter(({ report }) => report.gossip?.keys.length === 0)
  if (plain.length === 0 || plain.length === gossiping.length) return []
  const names = namesOf(plain)
  return [
    {
      code: 'PLAIN_AMONG_KEYED',
      severity: 'critical',
      members: names,
      summary: `${say(names, 'has', 'have')} no keys, and the others encrypt their gossip.`,
      meaning: 'They do not hear each other, and make rings of their own.',
      advice: `Give ${names.length > 1 ? 'them' : 'it'} the keyring of the others by --keyring-file; docs/memberlist.md says how to introduce encryption.`,
    },
  ]
}

export function otherKeys(members: readonly SurveyedMember[]): Finding[] {
  const keyed = members.filter(({ report }) => (report.gossip?.keys.length ?? 0) > 0)
  const usual = mostFrequent(keyed.map(({ report }) => report.gossip?.keys[0] ?? ''))
  const rest = keyed.filter(({ report }) => report.gossip?.keys.includes(usual ?? '') === true)
  const odd = keyed.filter(({ report: { gossip } }) => {
    const [first = ''] = gossip?.keys ?? []
    const hears = gossip?.keys.includes(usual ?? '') === true
    return !hears || !rest.every(({ report }) => report.gossip?.keys.includes(first) === true)
  })
  if (odd.length === 0) return []
  const names = namesOf(odd)
  const theirs = new Set(odd.flatMap(({ report }) => report.gossip?.keys.slice(0, 1) ?? []))
  return [
    {
      code: 'KEYS_DIFFER',
      severity: 'critical',
      members: names,
      summary: `${say(names, 'encrypts', 'encrypt')} with the key ${list([...theirs])}, and most others with ${usual}: not all of them can read that.`,
      meaning: 'Members that cannot read each other make rings of their own.',
      advice:
        'Put both keys into every keyring file first, and only then make the new one the first; `ringman reload` takes it up at once.',
    },
  ]
}

type Gossip = NonNullable<MemberReport['gossip']>

function gossipsOf(members: readonly SurveyedMember[]): { name: string; gossip: Gossip }[] {
  return members.flatMap(({ report: { name, gossip } }) => (gossip === null ? [] : [{ name, gossip }]))
}

function heardBy({ label, otherLabels = [] }: Gossip): string[] {
  return [label, ...otherLabels]
}

export function differentLabels(members: readonly SurveyedMember[]): Finding[] {
  const all = gossipsOf(members)
  const usual = mostFrequent(all.map(({ gossip }) => gossip.label)) ?? ''
  const rest = all.filter(({ gossip }) => heardBy(gossip).includes(usual))
  const odd = all.filter(
    ({ gossip }) =>
      !heardBy(gossip).includes(usual) ||
      !rest.every((other) => heardBy(other.gossip).includes(gossip.label)),
  )
  const isChanging = all.some(({ gossip }) => heardBy(gossip).length > 1)
  return deafTo(odd, 'label', ({ label }) => label, usual, {
    code: 'LABELS_DIFFER',
    advice: isChanging
      ? 'Put both labels into every label file first, and only then make the new one the first; `ringman reload` takes it up at once.'
      : 'Start all members of one ring with the same --label; docs/memberlist.md says how to change it while they run.',
  })
}

export function otherClusterNames(members: readonly SurveyedMember[]): Finding[] {
  const all = gossipsOf(members)
  const nameOf = ({ clusterName }: Gossip) => clusterName ?? ''
  const usual = mostFrequent(all.map(({ gossip }) => nameOf(gossip))) ?? ''
  const odd = all.filter(({ gossip }) => nameOf(gossip) !== usual)
  return deafTo(odd, 'cluster name', nameOf, usual, {
    code: 'CLUSTER_NAMES_DIFFER',
    advice: 'Start all members of one ring with the same --cluster-name.',
  })
}

/** Members that have another word than most, and do not hear them for it. */
function deafTo(
  odd: readonly { readonly name: string; readonly gossip: Gossip }[],
  what: string,
  wordOf: (gossip: Gossip) => string,
  usual: string,
  texts: Pick<Finding, 'code' | 'advice'>,
): Finding[] {
  if (odd.length === 0) return []
  const names = [...new Set(odd.map(({ name }) => name))]
  const theirs = [...new Set(odd.map(({ gossip }) => orNone(wordOf(gossip))))]
  return [
    {
      severity: 'critical',
      members: names,
      summary: `${say(names, 'has', 'have')} the ${what} ${list(theirs)}, and most others ${orNone(usual)}.`,
      meaning: 'They do not hear each other, and make rings of their own.',
      ...texts,
    },
  ]
}

/** A change of the label that is half done, where all hear each other. */
export function labelChange(members: readonly SurveyedMember[], causes: readonly Finding[]): Finding[] {
  const all = gossipsOf(members)
  const changing = all.filter(({ gossip }) => heardBy(gossip).length > 1)
  if (changing.length === 0 || causes.some(({ code }) => code === 'LABELS_DIFFER')) return []
  const labels = [...new Set(all.flatMap(({ gossip }) => heardBy(gossip)))]
  const sent = [...new Set(all.map(({ gossip }) => gossip.label))]
  const lacking = all
    .filter(({ gossip }) => labels.some((label) => !heardBy(gossip).includes(label)))
    .map(({ name }) => name)
  const heard = list(labels.map(orNone), ' and ')
  const ofAll =
    lacking.length > 0 ? `${say(lacking, 'does', 'do')} not hear all of ${heard}` : `all hear ${heard}`
  const advice =
    sent.length > 1
      ? 'Make the new label the first in every label file; then take out the old one.'
      : lacking.length > 0
        ? `Give all members the same label file. None may send a label that another does not hear.`
        : 'If they still send the old label, make the new one the first in every label file; otherwise take out the old one.'
  return [
    {
      code: 'LABEL_CHANGING',
      severity: 'note',
      members: changing.map(({ name }) => name),
      summary: `The label is being changed: ${sent.length > 1 ? `${list(sent.map(orNone), ' and ')} are sent` : `all send ${orNone(sent[0] ?? '')}`}, and ${ofAll}.`,
      meaning: 'They are one ring. Until the change is done, members with any of these labels are let in.',
      advice,
    },
  ]
}

function orNone(word: string): string {
  return word === '' ? 'none' : quote(word)
}

export function otherRingKeys(members: readonly SurveyedMember[]): Finding[] {
  const usual = mostFrequent(members.map(({ report }) => report.ringKey))
  const odd = members.filter(({ report }) => report.ringKey !== usual)
  if (odd.length === 0) return []
  const names = namesOf(odd)
  return [
    {
      code: 'RING_KEYS_DIFFER',
      severity: 'critical',
      members: names,
      summary: `${say(names, 'hashes', 'hash')} the ${odd[0]?.report.ringKey} of each node, and most others the ${usual}.`,
      meaning: 'They know the same members and name other owners.',
      advice: 'Start all members with the same --ring-key.',
    },
  ]
}

function placeOf({ gossip }: MemberReport): string | undefined {
  const { address = null, port = null } = gossip ?? {}
  return address === null || port === null ? undefined : formatHostPort({ address, port })
}
