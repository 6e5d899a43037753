import { isIP } from 'node:net'
import { atOnce } from '../at-once.ts'
import { systemClock } from '../clock.ts'
import { Members, readAnswer } from '../client/members.ts'
import { flag, list, number, object, orNull, text, type Shape, type Shaped } from '../client/shape.ts'
import { isRingmanError, RingmanError, type ErrorCode } from '../errors.ts'
import { formatHostPort } from '../addresses.ts'
import { lookUpPortError } from './look-up-port.ts'

/** Members that are asked at the same time, and in all. */
const AT_ONCE = 32
const MAX_MEMBERS = 5000
/** Up to so many members each asks all others over UDP and TCP; above, each asks some. */
const ALL_PAIRS = 50
const SAMPLE = 10
const MAX_LISTED = 20_000

/** An object of any fields. */
const record: Shape<Readonly<Record<string, unknown>>> = (value, place) => ({
  ...object({})(value, place),
  ...(value as Record<string, unknown>),
})

const report = object({
  name: text,
  version: text,
  node: text,
  timeMs: number,
  uptimeMs: number,
  source: text,
  condition: text,
  ok: flag,
  message: text,
  ready: flag,
  failing: list(text, 100),
  digest: text,
  nodes: number,
  ringKey: text,
  settings: record,
  unusableFiles: list(object({ what: text, reason: text }), 100),
  gossip: orNull(
    object({
      address: orNull(text),
      port: orNull(number),
      label: text,
      otherLabels: list(text, 100),
      clusterName: orNull(text),
      keys: list(text, 100),
      requireEncryption: flag,
      drops: record,
      lastDrops: list(object({ reason: text, from: text, agoMs: number }), 100),
      contested: list(object({ name: text, places: list(text, 2) }), MAX_LISTED),
      seedAddresses: list(text, MAX_LISTED),
      seedRefusals: list(text, MAX_LISTED),
      seedFailures: list(object({ seed: text, reason: text }), MAX_LISTED),
      evicted: list(object({ name: text, forMs: number }), MAX_LISTED),
    }),
  ),
  members: list(
    object({
      name: text,
      address: text,
      port: number,
      state: text,
      httpPort: orNull(number),
      adminPort: orNull(number),
      level: number,
      drained: flag,
      weight: orNull(number),
    }),
    MAX_LISTED,
  ),
})
/** What a member says of itself at `/v1/report`. */
export type MemberReport = Shaped<typeof report>

const reachAnswer = object({ peers: list(object({ name: text, udp: orNull(flag), tcp: flag }), 100) })

/** A member that answered. */
export interface SurveyedMember {
  readonly url: string
  readonly report: MemberReport
  /** How far its clock is ahead of ours, in milliseconds; right by half of the time that the answer took. */
  readonly aheadMs: number
  readonly tookMs: number
  /** By which ways it reaches others; undefined where it did not say. */
  readonly reach: Shaped<typeof reachAnswer>['peers'] | undefined
}

/** A member that should have answered. */
export interface SilentMember {
  readonly url: string
  /** Undefined for a URL that was given and that no member is known to have. */
  readonly name: string | undefined
  readonly error: { readonly code: ErrorCode; readonly message: string }
}

/** All that was found out about a ring. */
export interface Survey {
  readonly members: readonly SurveyedMember[]
  readonly silent: readonly SilentMember[]
  /** Living members that others know and that have no admin port to ask. */
  readonly mute: readonly string[]
}

export interface SurveyOptions {
  /** Admin ports to begin with. */
  readonly urls: readonly string[]
  /** Whether to ask the members that those know, too, at the addresses that these say. */
  readonly follow: boolean
  readonly timeoutMs: number
}

/**
 * Asks members at their admin ports, then those that they know, and so on; then has each of them ask others over UDP and TCP.
 *
 * @throws {RingmanError} `UNREACHABLE` and other codes of the first answer when no member answered.
 */
export async function survey({ urls, follow, timeoutMs }: SurveyOptions): Promise<Survey> {
  // By URL, who is known to be there.
  const seen = new Map<string, string | undefined>(urls.map((url) => [url, undefined]))
  const places = new Set<string>()
  const members: SurveyedMember[] = []
  const failed: Omit<SilentMember, 'name'>[] = []
  const mute = new Set<string>()
  const unasked: { readonly url: string; readonly name: string }[] = []
  let next = urls
  while (next.length > 0) {
    const askOne = async (url: string) => ({ url, ...(await ask(url, timeoutMs)) })
    const answers = await atOnce(AT_ONCE, next, askOne)
    for (const answer of answers) {
      if ('error' in answer) failed.push({ url: answer.url, error: answer.error })
      else {
        members.push({ ...answer, reach: undefined })
        places.add(placeOf(answer.report))
      }
    }
    const found: string[] = []
    for (const known of answers.flatMap((answer) => ('report' in answer ? answer.report.members : []))) {
      const { name, address, port, adminPort, state } = known
      const place = `${name} ${address} ${port}`
      if (state === 'left' || places.has(place) || seen.size >= MAX_MEMBERS) continue
      places.add(place)
      // Members have addresses; a name could be that of anything that this machine reaches.
      if (adminPort === null || isIP(address) === 0) {
        mute.add(name)
        continue
      }
      const url = `http://${formatHostPort({ address, port: adminPort })}`
      const isNew = !seen.has(url)
      seen.set(url, seen.get(url) ?? name)
      if (isNew && follow) found.push(url)
      else if (isNew) unasked.push({ url, name })
    }
    next = found
  }
  if (members.length === 0) {
    const { code = 'UNREACHABLE', message = '' } = failed[0]?.error ?? {}
    throw new RingmanError(code, `no member answered: ${message}`)
  }
  // Where only some are asked, by ways of their own, those that the others know and that did not answer are the silent ones.
  const unanswered = unasked.filter(({ name }) => !members.some(({ report: { name: own } }) => own === name))
  const named = failed.map((one) => ({ ...one, name: seen.get(one.url) }))
  const nameless = named.find(({ name }) => name === undefined)
  const behind = nameless === undefined ? [] : unanswered.map((one) => ({ ...one, error: nameless.error }))
  const silent = [...named.filter(({ name }) => name !== undefined || behind.length === 0), ...behind]
  const peers = members.length > ALL_PAIRS ? SAMPLE : ALL_PAIRS
  const reached = await atOnce(AT_ONCE, members, async (member) => ({
    ...member,
    reach: member.report.gossip === null ? undefined : await askReach(member.url, peers, timeoutMs),
  }))
  return { members: reached, silent, mute: [...mute] }
}

async function ask(url: string, timeoutMs: number) {
  const startedMs = systemClock.now()
  try {
    const answer = await new Members({ url, timeoutMs }).json(`${url}/v1/report`)
    const tookMs = systemClock.now() - startedMs
    const read = readAnswer(report, answer, url)
    return { report: read, tookMs, aheadMs: read.timeMs - (systemClock.wallNow() - tookMs / 2) }
  } catch (error) {
    if (!isRingmanError(error)) throw error
    const { code, message } = (await lookUpPortError(error, url, timeoutMs)) ?? error
    return { error: { code, message } }
  }
}

async function askReach(url: string, peers: number, timeoutMs: number) {
  try {
    const answer = await new Members({ url, timeoutMs }).json(`${url}/v1/reach?peers=${peers}`)
    return readAnswer(reachAnswer, answer, url).peers
  } catch (error) {
    if (!isRingmanError(error)) throw error
    return undefined
  }
}

function placeOf({ name, gossip, members }: MemberReport): string {
  const own = members.find((member) => member.name === name)
  return `${name} ${gossip?.address ?? own?.address ?? ''} ${gossip?.port ?? own?.port ?? 0}`
}
