import { atOnce } from '../at-once.ts'
import { holdingClock, sleep, type Clock } from '../clock.ts'
import { compareMembers, type Agreement } from '../client/agreement.ts'
import { membersAnswer } from '../client/answers.ts'
import { Members, readAnswer } from '../client/members.ts'
import type { AgreeConfig } from '../config/client-settings.ts'
import { DEFAULT_HTTP_PORT, memberUrl } from '../config/value-type.ts'
import { counted } from '../counted.ts'
import { configInvalid, isRingmanError, RingmanError } from '../errors.ts'
import { NodeDnsResolver, dnsCodeOf, type DnsResolver } from '../seeds/dns-resolver.ts'
import { formatHostPort } from '../addresses.ts'
import { formatSeed, parseSeed, type Seed, type SeedAddress } from '../seeds/seed.ts'
import { printable } from '../printable.ts'
import { renderJson, renderTable, type CommandInput } from './terminal.ts'

/** Wait between two tries, in milliseconds. */
const RETRY_MS = 1000

/** Of so many URLs at most it is found out which lead to one member. */
const COMPARED_BY_NAME = 100
const AT_ONCE = 32

/** Keys that differ are told up to this number. */
const KEYS_SHOWN = 5

export interface AgreeInput extends CommandInput<AgreeConfig> {
  /** A comma list of URLs and of what seeds may be, `pods:` apart. */
  readonly members: string
  readonly dns?: DnsResolver
  readonly clock?: Clock
}

/**
 * `ringman agree`: asks every member for the same keys and compares, until they agree or the wait is over.
 *
 * @throws {RingmanError} `MEMBERS_DISAGREE` when they do not, after it has printed what each one said; `UNREACHABLE` when nobody
 *   said anything.
 */
export async function runAgree(input: AgreeInput): Promise<void> {
  const { config, terminal, json, clock = holdingClock } = input
  const keys = Array.from({ length: config.keys }, (_, at) => `ringman-agree-${at}`)
  const deadlineMs = clock.now() + config.waitMs
  for (;;) {
    const { agreement, problem, repeated } = await tryOnce(input, keys)
    const done = agreement.agreed && problem === undefined
    if (!done && clock.now() + RETRY_MS <= deadlineMs) {
      await sleep(clock, RETRY_MS)
      continue
    }
    for (const [url, first] of repeated)
      terminal.err(`ringman: ${url} is the same member as ${first}, and counts once\n`)
    terminal.out(json ? renderJson(jsonOf(agreement, done)) : render(agreement, keys.length, done))
    if (done) return
    const isAnswered = agreement.answers.some((answer) => 'digest' in answer)
    const advice =
      isAnswered && agreement.answers.every((answer) => 'digest' in answer)
        ? `; ${config.waitMs === 0 ? 'after a change try --wait 30s, and ' : ''}\`ringman doctor\` finds the cause`
        : ''
    throw new RingmanError(
      isAnswered ? 'MEMBERS_DISAGREE' : 'UNREACHABLE',
      `${problem ?? 'the members do not agree'}${advice}`,
    )
  }
}

/** What one try came to, and why not all agree. */
async function tryOnce({ members, config, dns }: AgreeInput, keys: readonly string[]) {
  const found = await resolveMembers(members, dns ?? new NodeDnsResolver(), config.timeoutMs)
  const repeated = await findRepeated(found.urls, config.timeoutMs)
  const urls = found.urls.filter((url) => !repeated.has(url))
  const agreement = await compareMembers({ urls, ring: config.ring, keys, timeoutMs: config.timeoutMs })
  const tooFew = urls.length < config.expect
  const problem = tooFew
    ? `${counted(urls.length, 'member')} ${urls.length === 1 ? 'was' : 'were'} found, and ${config.expect} are expected`
    : agreement.differingKeys.length > 0
      ? [
          `${agreement.differingKeys.length} of ${keys.length} keys have different owners, such as ${agreement.differingKeys.slice(0, KEYS_SHOWN).join(', ')}`,
          ...agreement.contested
            .slice(0, KEYS_SHOWN)
            .map(
              ({ ringKey, places }) =>
                `${ringKey} is at ${places.join(' for some and at ')} for others: are there two processes of one name?`,
            ),
        ].join('; ')
      : undefined
  const silent = agreement.answers.filter((answer) => 'error' in answer).length
  const unanswered = silent > 0 ? `${silent} of ${counted(urls.length, 'member')} gave no answer` : undefined
  return {
    agreement,
    repeated,
    problem: [found.problem, problem, unanswered].find((one) => one !== undefined),
  }
}

/** URLs that lead to a member that one before them leads to, such as its look-up port and its admin port; each with that one. */
async function findRepeated(urls: readonly string[], timeoutMs: number): Promise<Map<string, string>> {
  const repeated = new Map<string, string>()
  // Longer lists come from DNS, which has each address once; and each answer lists all members.
  if (urls.length < 2 || urls.length > COMPARED_BY_NAME) return repeated
  const asked = await atOnce(AT_ONCE, urls, async (url) => ({ url, who: await whoIs(url, timeoutMs) }))
  const firsts = new Map<string, string>()
  for (const { url, who } of asked) {
    const first = who === undefined ? undefined : firsts.get(who)
    if (first !== undefined) repeated.set(url, first)
    else if (who !== undefined) firsts.set(who, url)
  }
  return repeated
}

/** The member at a URL, by name and place; undefined where it is none, or does not answer. */
async function whoIs(url: string, timeoutMs: number): Promise<string | undefined> {
  try {
    const answer = await new Members({ url, timeoutMs }).json(`${url}/v1/members`)
    const own = readAnswer(membersAnswer, answer, url).members.find(({ self }) => self)
    return own === undefined ? undefined : `${own.name} ${formatHostPort(own)}`
  } catch (error) {
    if (!isRingmanError(error)) throw error
    return undefined
  }
}

async function resolveMembers(members: string, dns: DnsResolver, timeoutMs: number) {
  const urls = new Set<string>()
  let problem: string | undefined
  for (const text of members.split(',').filter((part) => part.trim() !== '')) {
    const member = text.trim()
    if (member.includes('://')) {
      urls.add(readUrl(member))
      continue
    }
    const seed = parseSeed(member)
    try {
      for (const address of await addressesOf(seed, dns, AbortSignal.timeout(timeoutMs))) {
        urls.add(`http://${formatHostPort(address)}`)
      }
    } catch (error) {
      if (isRingmanError(error)) throw error
      const code = dnsCodeOf(error)
      const isUnknown = code === 'ENOTFOUND' || code === 'ENODATA'
      // Such as localhost, and what a hosts file has.
      const advice =
        seed.kind === 'dns' && isUnknown
          ? `: dns: asks DNS alone, not the hosts file; ${formatSeed({ ...seed, kind: 'host' })} asks both`
          : ''
      problem ??= `${formatSeed(seed)} does not resolve (${code})${advice}`
    }
  }
  return { urls: [...urls], problem }
}

function readUrl(text: string): string {
  try {
    return memberUrl.read(text)
  } catch (cause) {
    throw configInvalid(`"${text}" is not a member: ${memberUrl.allowed} is allowed`, { cause })
  }
}

async function addressesOf(member: Seed, dns: DnsResolver, signal: AbortSignal): Promise<SeedAddress[]> {
  if (member.kind === 'pods')
    throw configInvalid(`${formatSeed(member)} cannot be asked: name the pods by DNS`)
  if (member.kind === 'srv') {
    const found: SeedAddress[] = []
    for (const { name, port } of await dns.servicesOf(member.name, signal)) {
      const addresses = await dns.addressesOf(name.endsWith('.') ? name : `${name}.`, signal)
      found.push(...addresses.map((address) => ({ address, port })))
    }
    return found
  }
  const { port = DEFAULT_HTTP_PORT } = member
  if (member.kind === 'address') return [{ address: member.address, port }]
  const { kind, name } = member
  const addresses = await (kind === 'host' ? dns.lookUp(name, signal) : dns.addressesOf(name, signal))
  return addresses.map((address) => ({ address, port }))
}

function jsonOf({ answers, differingKeys, contested }: Agreement, agreed: boolean) {
  return {
    agreed,
    members: answers.map((answer) =>
      'error' in answer
        ? { url: answer.url, error: { code: answer.error.code, message: answer.error.message } }
        : { url: answer.url, digest: answer.digest },
    ),
    differingKeys,
    contested,
  }
}

function render({ answers }: Agreement, keyCount: number, agreed: boolean): string {
  if (agreed) {
    const [first] = answers
    const digest = first !== undefined && 'digest' in first ? first.digest : ''
    return answers.length === 1
      ? `Only one member was asked, so that there is nothing to compare: digest ${printable(digest)}\n`
      : `${answers.length} members agree: digest ${printable(digest)}, the same owner of each of ${keyCount} keys\n`
  }
  const rows = answers.map((answer) => [
    answer.url,
    'error' in answer ? `${answer.error.code}: ${answer.error.message}` : `digest ${answer.digest}`,
  ])
  return rows.length === 0 ? '' : renderTable(rows)
}
