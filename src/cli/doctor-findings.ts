import { isLiving } from '../membership/member.ts'
import { formatHostPort } from '../addresses.ts'
import { shortened } from '../printable.ts'
import {
  changesUnderWay,
  contestedIn,
  gossipsOf,
  otherClusterNames,
  otherKeys,
  differentLabels,
  otherRingKeys,
  placeOf,
  plainAmongKeyed,
  sameNames,
} from './doctor-causes.ts'
import {
  CONDITION_RUNBOOKS,
  finding,
  found,
  list,
  namesOf,
  quote,
  RUNBOOKS,
  say,
  unlike,
  type Finding,
  type Severity,
} from './doctor-finding.ts'
import type { MemberReport, Survey, SurveyedMember } from './doctor-survey.ts'
import { weights } from './doctor-weights.ts'
import { counted } from '../counted.ts'

/** A clock may be off by so much, in milliseconds. */
const CLOCK_MS = 5000
/** A drop is told for so long, in milliseconds: whoever is left out tries its seeds again within 20 s. */
const LATELY_MS = 30_000
/** Settings that members may well have different from each other. Of some there are findings of their own. */
const OWN_SETTINGS: ReadonlySet<string> = new Set([
  'name',
  'label',
  'labelFile',
  'clusterName',
  'ringKey',
  'keyringFile',
  'seeds',
  'servicePort',
  'zone',
  'bind',
  'gossipPort',
  'advertise',
  'advertisePort',
  'httpHost',
  'httpPort',
  'adminPort',
  'weight',
  'upstream',
  'minMembers',
  'logLevel',
  'logFormat',
  'tokenFile',
  'allowedHosts',
  'config',
])

/** What is wrong with a ring, the most important first; causes before what follows from them. */
export function diagnose(survey: Survey): Finding[] {
  const { members } = survey
  const causes = [
    ...sameNames(members),
    ...plainAmongKeyed(members),
    ...otherKeys(members),
    ...differentLabels(members),
    ...otherClusterNames(members),
    ...otherRingKeys(members),
  ]
  // What follows for these from the cause is no finding of its own.
  const blamed = new Set(causes.flatMap((cause) => cause.members))
  const others = members.filter(({ report }) => !blamed.has(report.name))
  const evicted = evictedIn(members)
  const all = [
    ...causes,
    ...silentMembers(survey),
    ...unreached(members, causes),
    ...emptyRing(members),
    ...differentDigests(others, evicted),
    ...strangers(members, causes),
    ...conditions(others, causes),
    ...unusableFiles(members),
    ...staleSeeds(survey),
    ...clocks(members),
    ...settings(members),
    ...weights(members),
    ...changesUnderWay(members, causes),
    ...versions(members),
    ...(isDrainedAway(members) ? [] : drained(members)),
    ...evictions(evicted),
  ]
  const order: readonly Severity[] = ['critical', 'warning', 'note']
  return order.flatMap((severity) => all.filter((one) => one.severity === severity))
}

function silentMembers({ members, silent }: Survey): Finding[] {
  return silent.map(({ name, url, error }) => {
    const isReached = members.some(({ reach = [] }) =>
      reach.some((peer) => peer.name === name && (peer.udp === true || peer.tcp)),
    )
    if (name === undefined || isReached) {
      const who = name === undefined ? `What was given as ${url}` : quote(name)
      return finding('ADMIN_UNREACHABLE', 'warning', name === undefined ? [] : [name], {
        summary: `${who} does not answer at its admin port, ${url}: ${error.message}.`,
        meaning:
          name === undefined
            ? 'Nothing is known of it.'
            : 'The others reach it by gossip. Of its settings, keys and ring nothing is known.',
        advice:
          'Look at --admin-port and --http-host, and whether a firewall or NetworkPolicy lets you pass.',
      })
    }
    const isAlive = members.some(({ report }) =>
      report.members.some((member) => member.name === name && member.state === 'alive'),
    )
    return finding('MEMBER_SILENT', 'critical', [name], {
      summary: `${quote(name)} does not answer, neither at its admin port (${url}) nor to other members.`,
      meaning: isAlive
        ? 'It hangs, is gone or is cut off. Until the others have found that out, keys go to it.'
        : 'It hangs, is gone or is cut off. The others have noticed, or are about to; its keys are with them.',
      advice:
        'Look at its process and its machine; end a process that hangs. One that is gone for good is off the lists after --dead-kept, or at once by `ringman forget`.',
    })
  })
}

type Pair = { readonly from: string; readonly to: string }

/** Of members that drop each other's gossip: pings go unanswered as well then. */
const DEAF = ['PLAIN_AMONG_KEYED', 'KEYS_DIFFER', 'LABELS_DIFFER', 'CLUSTER_NAMES_DIFFER']

function unreached(members: readonly SurveyedMember[], causes: readonly Finding[]): Finding[] {
  const answered = new Set(members.map(({ report }) => report.name))
  const deaf = new Set(causes.flatMap((cause) => (DEAF.includes(cause.code) ? cause.members : [])))
  const pairs = members.flatMap(({ report, reach = [] }) =>
    reach.map(({ name, udp, tcp }) => ({ from: report.name, to: name, udp, tcp })),
  )
  const heard = pairs.filter(({ from, to }) => answered.has(to) && !deaf.has(from) && !deaf.has(to))
  const neither = heard.filter(({ udp, tcp }) => !tcp && udp !== true)
  const noTcp = heard.filter(({ udp, tcp }) => !tcp && udp === true)
  const noUdp = heard.filter(({ udp, tcp }) => tcp && udp === false)
  const namesIn = (of: readonly Pair[]) => [...new Set(of.flatMap(({ from, to }) => [from, to]))]
  return [
    ...found('NOT_REACHED', 'critical', namesIn(neither), {
      summary: `${inWords(neither)}: nothing arrives there, neither over UDP nor over TCP.`,
      meaning:
        'Gossip goes around by others as long as there are some; if all are cut off like this, there are two rings.',
      advice: 'Open the gossip port for UDP and TCP between all members.',
    }),
    ...found('TCP_BLOCKED', 'warning', namesIn(noTcp), {
      summary: `${inWords(noTcp)}: UDP arrives there and TCP does not${isOneWay(noTcp) ? ', in this direction only' : ''}.`,
      meaning:
        'Joins and the exchange of whole states fail between them; what was missed is missed for longer.',
      advice: 'Open the gossip port for TCP between all members, in both directions.',
    }),
    ...found('UDP_BLOCKED', 'warning', namesIn(noUdp), {
      summary: `${inWords(noUdp)}: TCP arrives there and UDP does not.`,
      meaning:
        'Members go on over TCP, slower: dead ones are found later, and busy ones are suspected sooner.',
      advice: 'Open the gossip port for UDP between all members, or set --tcp-only on all of them.',
    }),
  ]
}

function isOneWay(pairs: readonly Pair[]): boolean {
  return !pairs.some(({ from, to }) => pairs.some((other) => other.from === to && other.to === from))
}

function inWords(pairs: readonly Pair[]): string {
  return list(pairs.map(({ from, to }) => `from ${quote(from)} to ${quote(to)}`)).replace(/^f/, 'F')
}

function emptyRing(members: readonly SurveyedMember[]): Finding[] {
  if (members.some(({ report }) => report.nodes > 0)) return []
  const names = namesOf(members.flatMap(({ report }) => [{ name: report.name }, ...livingOf(report)]))
  const isDrained = isDrainedAway(members)
  return found('RING_EMPTY', 'critical', names, {
    summary: `Nobody owns a key: ${isDrained ? 'all members are drained' : 'there is no node on the ring'}.`,
    meaning: `Look-ups fail with 503 (RING_EMPTY)${isDrained ? ', and no member is ready' : ''}.`,
    advice: isDrained
      ? '`ringman return` at the admin port of each that is to own keys brings it back at once.'
      : '`ringman nodes` says of each member why it is not on the ring.',
  })
}

function livingOf({ members }: MemberReport) {
  return members.filter(isLiving)
}

/** Whether the ring is empty because all members were drained. */
function isDrainedAway(members: readonly SurveyedMember[]): boolean {
  return members.every(({ report }) => {
    const living = livingOf(report)
    return report.nodes === 0 && living.length > 0 && living.every(({ drained: isDrained }) => isDrained)
  })
}

/** By name of who is evicted, the members that refuse it, and for how many milliseconds more each does. */
type Evicted = ReadonlyMap<string, readonly { readonly by: string; readonly forMs: number }[]>

function evictedIn(members: readonly SurveyedMember[]): Evicted {
  const refusals = gossipsOf(members).flatMap(({ name: by, gossip }) =>
    gossip.evicted.map(({ name, forMs }) => ({ name, by, forMs })),
  )
  return Map.groupBy(refusals, ({ name }) => name)
}

function differentDigests(all: readonly SurveyedMember[], evicted: Evicted): Finding[] {
  // One that has left, or is not taken back, keeps a ring of its own: it says so itself.
  const hasLeft = ({ condition, name }: MemberReport) => condition === 'draining' || evicted.has(name)
  const members = all.filter(({ report }) => !hasLeft(report))
  const { odd, usual } = unlike(members, ({ report }) => report.digest)
  const names = namesOf(odd)
  const most = members.find(({ report }) => report.digest === usual)?.report
  return found('RINGS_DIFFER', 'critical', names, {
    summary: `${say(names, 'has', 'have')} another ring than most: ${counted(odd[0]?.report.nodes ?? 0, 'node')}, and ${most?.nodes} there.`,
    meaning: 'They name different owners for some keys.',
    advice:
      'If it stays so for a minute, compare `ringman nodes` of both; restart the members with the smaller ring.',
  })
}

/** Gossip of somebody who is configured otherwise, which no difference of those that were asked explains. */
function strangers(members: readonly SurveyedMember[], causes: readonly Finding[]): Finding[] {
  const reasons = {
    'label-differs': ['LABELS_DIFFER', 'with another label or none'],
    'cannot-decrypt': ['KEYS_DIFFER', 'with another key'],
    'not-encrypted': ['PLAIN_AMONG_KEYED', 'without encryption'],
    'encrypted-unexpectedly': ['PLAIN_AMONG_KEYED', 'that is encrypted'],
  } as const
  // Labels and keys of those that were asked are compared as they are now: what they sent before tells nothing more.
  const known = new Set(members.map(({ report }) => placeOf(report)))
  const isOld = (reason: string, from: string) =>
    (reason === 'label-differs' || reason === 'cannot-decrypt') && known.has(from)
  return Object.entries(reasons).flatMap(([reason, [cause, how]]): Finding[] => {
    const hits = members.flatMap((member) =>
      (member.report.gossip?.lastDrops ?? [])
        .filter((drop) => drop.reason === reason && drop.agoMs <= LATELY_MS && !isOld(reason, drop.from))
        .map(({ from }) => ({ member, from })),
    )
    if (hits.length === 0 || causes.some(({ code }) => code === cause)) return []
    const names = namesOf(hits.map(({ member }) => member))
    const senders = [...new Set(hits.map(({ from }) => from))]
    return found('STRANGERS', 'warning', names, {
      summary: `${say(names, 'was', 'were')} sent gossip ${how} in the last ${LATELY_MS / 1000} s, from ${list(senders)}.`,
      meaning:
        'A member that should be here cannot join, or another cluster sends to these addresses. If a member there was given the right one just now, this goes away by itself.',
      advice: 'Ask doctor with the URL of the admin port there, too.',
    })
  })
}

function conditions(members: readonly SurveyedMember[], causes: readonly Finding[]): Finding[] {
  return members.flatMap(({ report }): Finding[] => {
    const isDrained = report.members.some(({ name, drained: off }) => name === report.name && off)
    // Of a name that is used twice all members say so.
    const isTold = report.condition === 'contested' && causes.some(({ code }) => code === 'NAME_TWICE')
    if ((report.ok || isTold) && (report.ready || isDrained)) return []
    const code = report.ok ? 'NOT_READY' : 'MEMBER_NOT_WELL'
    return found(code, 'warning', [report.name], {
      summary: `${quote(report.name)} says: ${report.ok ? report.failing.join(' ') : `${report.message}.`}`,
      meaning: report.ready
        ? 'It is ready, and its ring may be out of date.'
        : 'It is not ready for look-ups.',
      advice:
        report.condition === 'draining'
          ? 'If it was evicted, stop it, or start it again once --for is over (at once in a ring without keys). If it is only stopping, do nothing.'
          : 'Mend what it says; /readyz at its admin port has the same sentence. The runbook has the causes.',
      runbook: CONDITION_RUNBOOKS[report.condition] ?? RUNBOOKS[code],
    })
  })
}

function unusableFiles(members: readonly SurveyedMember[]): Finding[] {
  return members.flatMap(({ report: { name, unusableFiles: files } }) =>
    files.flatMap(({ what, reason }) =>
      found('FILE_UNUSABLE', 'warning', [name], {
        summary: `${quote(name)} cannot use its ${what} as it is now: ${reason}.`,
        meaning: 'It goes on with what it read before. If it is restarted, it does not come up.',
        advice: 'Mend the file; it is read again within 5 s, without a restart.',
      }),
    ),
  )
}

function staleSeeds({ members }: Survey): Finding[] {
  const all = gossipsOf(members)
  const seeds = new Set(all.flatMap(({ gossip }) => gossip.seedAddresses))
  const living = members.flatMap(({ report }) => livingOf(report).map(formatHostPort))
  // Somebody is there whom nobody that was asked has heard of: the member's condition says why it is refused.
  const refusing = all.flatMap(({ gossip }) => gossip.seedRefusals)
  const taken = new Set([...living, ...refusing, ...contestedIn(members).map(({ place }) => place)])
  const stale = [...seeds].filter((address) => !taken.has(address))
  const using = all.filter(({ gossip }) => gossip.seedAddresses.some((one) => stale.includes(one)))
  const unresolved = all.filter(({ gossip }) => gossip.seedFailures.length > 0)
  const failures = unresolved.flatMap(({ gossip }) => gossip.seedFailures)
  const reasons = new Map(failures.map(({ seed, reason }) => [seed, `${seed} (${reason})`]))
  return [
    ...found('SEEDS_STALE', 'warning', namesOf(using), {
      summary: `Seeds lead to ${list(stale)}, where no member is.`,
      meaning:
        'DNS, or the list of seeds, is out of date. If all of them are, a member that starts finds nobody and makes a ring of its own.',
      advice: 'Compare --seeds, and what their names resolve to, with the addresses of the members.',
    }),
    ...found('SEEDS_UNRESOLVED', 'warning', namesOf(unresolved), {
      summary: `Seeds do not resolve: ${list([...reasons.values()])}.`,
      meaning: 'A member that starts now finds nobody by them.',
      advice: 'Look at the names in --seeds, and at the DNS of the members.',
    }),
  ]
}

function clocks(members: readonly SurveyedMember[]): Finding[] {
  // Our own clock is one of them.
  const sorted = [0, ...members.map(({ aheadMs }) => aheadMs)].sort((a, b) => a - b)
  const median = sorted[sorted.length >> 1] ?? 0
  return members.flatMap(({ report, aheadMs, tookMs }): Finding[] => {
    const off = aheadMs - median
    if (Math.abs(off) <= CLOCK_MS + tookMs) return []
    return found('CLOCK_OFF', 'warning', [report.name], {
      summary: `The clock of ${quote(report.name)} is ${spanOf(Math.abs(off))} ${off > 0 ? 'ahead' : 'behind'}.`,
      meaning:
        'The ring does not depend on it. The times in its log and in its answers are wrong, and certificates and tokens may be refused.',
      advice: 'Have its machine keep the time (NTP).',
    })
  })
}

function settings(members: readonly SurveyedMember[]): Finding[] {
  const keys = new Set(members.flatMap(({ report }) => Object.keys(report.settings)))
  const differences = [...keys].flatMap((key) => {
    const valueOf = ({ report }: SurveyedMember) => JSON.stringify(report.settings[key]) ?? 'not set'
    const { usual, odd } = unlike(OWN_SETTINGS.has(key) ? [] : members, valueOf)
    return odd.map((member) => {
      const said = `${key} is ${shortened(valueOf(member), 80)}, and ${shortened(usual, 80)} there`
      return { name: member.report.name, said }
    })
  })
  const ofEach = Map.groupBy(differences, ({ name }) => name)
  // Members of one kind, such as those that a rollout has not come to, make one finding.
  const kinds = Map.groupBy(ofEach, ([, all]) => list(all.map(({ said }) => said)))
  return [...kinds].flatMap(([said, alike]) => {
    const names = alike.map(([name]) => name)
    return found('SETTINGS_DIFFER', 'warning', names, {
      summary: `${say(names, 'has', 'have')} other settings than most: ${said}.`,
      meaning: 'Members with other timings judge each other differently; some settings must be the same.',
      advice:
        'Start all members of a ring with the same configuration; a rollout that stopped half-way leaves such members behind.',
    })
  })
}

function versions(members: readonly SurveyedMember[]): Finding[] {
  const { odd, usual } = unlike(members, ({ report }) => report.version)
  const names = namesOf(odd)
  const theirs = [...new Set(odd.map(({ report }) => report.version))]
  return found('VERSIONS_DIFFER', 'note', names, {
    summary: `${say(names, 'runs', 'run')} version ${list(theirs)}, and most others ${usual}.`,
    meaning: 'Versions work together. During a rollout this is as it should be.',
    advice: 'If no rollout is under way, one stopped half-way.',
  })
}

function drained(members: readonly SurveyedMember[]): Finding[] {
  const names = namesOf(members.flatMap(({ report }) => report.members.filter((one) => one.drained)))
  const isOne = names.length === 1
  return found('DRAINED', 'note', names, {
    summary: `${say(names, 'is', 'are')} drained.`,
    meaning: `Somebody took ${isOne ? 'it' : 'them'} off the ring by hand; the others have ${isOne ? 'its' : 'their'} keys.`,
    advice: `\`ringman return\` at ${isOne ? 'its admin port' : 'the admin port of each'} takes it back.`,
  })
}

function evictions(evicted: Evicted): Finding[] {
  const said = Array.from(evicted, ([name, refusals]) => {
    const span = spanOf(Math.max(...refusals.map(({ forMs }) => forMs)))
    return `${quote(name)} is evicted for another ${span}, by ${list(refusals.map(({ by }) => quote(by)))}`
  })
  return found('EVICTED', 'note', [...evicted.keys()], {
    summary: `${list(said, '; ')}.`,
    meaning: 'Somebody had it leave by hand; those members refuse whoever comes by its name until then.',
    advice:
      'Their logs say who did it, and why (`admin.action`), or which member they learned it from (`eviction.learned`). When the time is over, it can join again.',
  })
}

function spanOf(ms: number): string {
  const seconds = Math.round(ms / 1000)
  if (seconds < 120) return `${seconds} s`
  return seconds < 7200 ? `${Math.round(seconds / 60)} minutes` : `${Math.round(seconds / 3600)} hours`
}
