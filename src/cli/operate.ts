import { flag, list, number, object, orNull, text, type Shaped } from '../client/shape.ts'
import { Members, readAnswer } from '../client/members.ts'
import { holdingClock, sleep, type Clock } from '../clock.ts'
import type { OperateConfig } from '../config/client-settings.ts'
import { formatDuration } from '../duration.ts'
import { assertNever, configInvalid, isRingmanError, RingmanError, type ErrorCode } from '../errors.ts'
import { tokenOf } from '../http/acting-guard.ts'
import { isLiving } from '../membership/member.ts'
import { printable } from '../printable.ts'
import type { Action } from '../service/operations.ts'
import { lookUpPortError } from './look-up-port.ts'
import { renderJson, renderMoves, renderShare, type CommandInput, type Terminal } from './terminal.ts'

/** Moves that are printed. */
const MOVES_SHOWN = 20
/** How long after an action the next members may take to hear of it, in milliseconds, and how often each is asked. */
const HEARING_MS = 10_000
const LOOK_MS = 100

export interface OperateInput extends CommandInput<OperateConfig> {
  readonly action: Action
  /** The member to forget or to evict, or the weight. */
  readonly operand: string | undefined
  readonly dryRun: boolean
  /** For the wait until the next member has heard. @default holdingClock */
  readonly clock?: Clock
}

const actionAnswer = object({
  action: text,
  member: text,
  dryRun: flag,
  changed: flag,
  message: text,
  movedShare: number,
  moves: list(object({ from: orNull(text), to: orNull(text), share: number }), 1000),
  details: list(text, 100_000),
})

const listedMember = object({ name: text, state: text, drained: flag }, { weight: orNull(number) })
const membersAnswer = object({ members: list(listedMember, 20_000) })
type ListedMember = Shaped<typeof listedMember>

/** Something that was done, and by what a member is known to have heard of it. */
interface Deed {
  /** The member that it was done to. */
  readonly of: string
  readonly said: string
  /** @param member - As the one that is asked lists it; undefined where it does not. */
  readonly isHeard: (member: ListedMember | undefined) => boolean
}

/**
 * `ringman forget`, `evict`, `drain`, `return`, `weight`, `reload`: has each member act whose admin port was given, one after
 * the other, also when one of them does not. Each decides, and says what moves, by what it knows of the others; so the next one is
 * asked when it has heard of what was done before, and not at all when it does not hear of it in time.
 *
 * @throws {RingmanError} `CONFIG_INVALID`; `ACTION_REFUSED`, `UNAUTHORIZED`, `FORBIDDEN`, `NOT_FOUND`; that a member cannot be
 *   reached: of several that did not act, the code of the first one.
 */
export async function runOperate(input: OperateInput): Promise<void> {
  const { action, operand, config, terminal, json, dryRun, clock = holdingClock } = input
  const headers = { authorization: `Bearer ${readToken(config.tokenFile)}` }
  const members = new Members({ urls: config.url, timeoutMs: config.timeoutMs, headers })
  const fields = {
    ...(action === 'weight' ? { weight: readWeight(operand) } : operand !== undefined && { name: operand }),
    ...(action === 'evict' ? { forMs: config.forMs } : {}),
    ...(config.reason === undefined ? {} : { reason: config.reason }),
    by: config.by,
    dryRun,
  }
  const { urls } = members
  const failed: { readonly place: string; readonly code: ErrorCode }[] = []
  const done: Deed[] = []
  let heardByMs = 0
  if (dryRun && urls.length > 1 && deedOf(action, '', operand) !== undefined)
    terminal.err('ringman: each is tried out by itself, as if the others stayed as they are\n')
  for (const url of urls) {
    const place = new URL(url).host
    try {
      await untilHeard(members, url, done, heardByMs, clock)
      const said = await askAdmin(members, url, `/v1/admin/${action}`, fields)
      const answer = readAnswer(actionAnswer, said, url)
      const deed = dryRun ? undefined : deedOf(action, answer.member, operand)
      if (deed !== undefined) done.push(deed)
      heardByMs = clock.now() + HEARING_MS
      // Of the member to forget or to evict, the answer has the name; of one that acts on itself, its own.
      const who = 'name' in fields ? place : `${answer.member} (${place})`
      if (json) terminal.out(renderJson({ url, ...answer }))
      else terminal.out(`${urls.length > 1 ? `${printable(who)}: ` : ''}${render(answer, terminal)}`)
    } catch (error) {
      if (!isRingmanError(error) || urls.length === 1) throw error
      const { code, message } = error
      failed.push({ place, code })
      if (json) terminal.out(renderJson({ url, error: { code, message } }))
      terminal.err(`ringman: ${place}: ${printable(message)}\n`)
    }
  }
  const [first] = failed
  if (first === undefined) return
  const places = failed.map(({ place }) => place).join(', ')
  throw new RingmanError(first.code, `${failed.length} of ${urls.length} members did not do it: ${places}`)
}

/** What an action does to a member that others decide by; undefined for one that is each member's own business. */
function deedOf(action: Action, of: string, operand: string | undefined): Deed | undefined {
  const name = JSON.stringify(of)
  switch (action) {
    case 'drain':
      return { of, said: `${name} is drained`, isHeard: (member) => member?.drained === true }
    case 'return':
      return { of, said: `${name} is back on the ring`, isHeard: (member) => member?.drained === false }
    case 'weight': {
      const weight = readWeight(operand)
      // One of an older version does not say it.
      const isHeard = (member?: ListedMember) => member !== undefined && (member.weight ?? weight) === weight
      return { of, said: `${name} has the weight ${weight}`, isHeard }
    }
    case 'evict':
      return {
        of,
        said: `${name} is evicted`,
        isHeard: (member) => member === undefined || !isLiving(member),
      }
    case 'forget':
    case 'reload':
      return undefined
    default:
      return assertNever(action)
  }
}

/** @throws {RingmanError} `TIMEOUT` when the member has not heard of it at `heardByMs`; that it does not answer. */
async function untilHeard(
  members: Members,
  url: string,
  deeds: readonly Deed[],
  heardByMs: number,
  clock: Clock,
): Promise<void> {
  if (deeds.length === 0) return
  for (;;) {
    const answer = await askAdmin(members, url, '/v1/report')
    const { members: known } = readAnswer(membersAnswer, answer, url)
    const missed = deeds.find(({ of, isHeard }) => {
      const member = known.find(({ name }) => name === of)
      // Nothing is decided by a member that is over.
      return !isHeard(member) && (member === undefined || isLiving(member))
    })
    if (missed === undefined) return
    if (clock.now() >= heardByMs) {
      const why = `within ${formatDuration(HEARING_MS)} it has not heard that ${missed.said}`
      throw new RingmanError('TIMEOUT', `it was not asked: ${why}; ask it once it has`)
    }
    await sleep(clock, LOOK_MS)
  }
}

async function askAdmin(members: Members, url: string, path: string, fields?: object): Promise<unknown> {
  try {
    return await members.json(
      `${url}${path}`,
      fields && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(fields) },
    )
  } catch (error) {
    if (!isRingmanError(error)) throw error
    throw (await lookUpPortError(error, url, members.timeoutMs)) ?? error
  }
}

function readToken(path: string | undefined): string {
  if (path !== undefined) return tokenOf(path)
  throw configInvalid('members act for whoever has their token: give its file by --token-file')
}

function readWeight(operand = ''): number {
  if (/^\d{1,4}$/.test(operand)) return Number(operand)
  throw configInvalid(`a weight is an integer from 1 to 1000, got ${JSON.stringify(operand)}`)
}

function render(
  { message, dryRun, changed, movedShare, moves, details }: ReturnType<typeof actionAnswer>,
  terminal: Terminal,
): string {
  const would = dryRun && changed ? terminal.style('bold', 'This would be done: ') : ''
  const lines = [`${would}${printable(message)}`, ...details.map((detail) => `- ${printable(detail)}`)]
  if (movedShare > 0) {
    lines.push(
      `${terminal.style('bold', renderShare(movedShare))} of all keys ${dryRun ? 'would move' : 'move'}`,
    )
    lines.push('', renderMoves(moves.slice(0, MOVES_SHOWN)).trimEnd())
    if (moves.length > MOVES_SHOWN) lines.push(`and ${moves.length - MOVES_SHOWN} more`)
  }
  return `${lines.join('\n')}\n`
}
