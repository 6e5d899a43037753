import { flag, list, number, object, orNull, text } from '../client/shape.ts'
import { Members, readAnswer } from '../client/members.ts'
import type { OperateConfig } from '../config/client-settings.ts'
import { isRingmanError, RingmanError, type ErrorCode } from '../errors.ts'
import { tokenOf } from '../http/acting-guard.ts'
import { printable } from '../printable.ts'
import type { Action } from '../service/operations.ts'
import { renderJson, renderMoves, renderShare, type CommandInput, type Terminal } from './terminal.ts'

/** Moves that are printed. */
const MOVES_SHOWN = 20

export interface OperateInput extends CommandInput<OperateConfig> {
  readonly action: Action
  /** The member to forget or to evict, or the weight. */
  readonly operand: string | undefined
  readonly dryRun: boolean
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

/**
 * `ringman forget`, `evict`, `drain`, `return`, `weight`, `reload`: has each member act whose admin port was given, one after
 * the other, also when one of them does not.
 *
 * @throws {RingmanError} `CONFIG_INVALID`; `ACTION_REFUSED`, `UNAUTHORIZED`, `FORBIDDEN`, `NOT_FOUND`; that a member cannot be
 *   reached: of several that did not act, the code of the first one.
 */
export async function runOperate(input: OperateInput): Promise<void> {
  const { action, operand, config, terminal, json, dryRun } = input
  const headers = { authorization: `Bearer ${readToken(config.tokenFile)}` }
  const members = new Members({ urls: config.url, timeoutMs: config.timeoutMs, headers })
  const fields = {
    ...(action === 'weight'
      ? { weight: readWeight(operand) }
      : operand === undefined
        ? {}
        : { name: operand }),
    ...(action === 'evict' ? { forMs: config.forMs } : {}),
    ...(config.reason === undefined ? {} : { reason: config.reason }),
    by: config.by,
    dryRun,
  }
  const { urls } = members
  const failed: { readonly place: string; readonly code: ErrorCode }[] = []
  for (const url of urls) {
    const place = new URL(url).host
    try {
      const answer = readAnswer(actionAnswer, await ask(members, `${url}/v1/admin/${action}`, fields), url)
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

async function ask(members: Members, url: string, fields: object): Promise<unknown> {
  try {
    return await members.json(url, {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(fields),
    })
  } catch (error) {
    if (isRingmanError(error) && error.code === 'NOT_FOUND' && error.message.startsWith('there is nothing')) {
      throw new RingmanError('NOT_FOUND', `${error.message}: is ${new URL(url).host} an admin port?`, {
        cause: error,
      })
    }
    throw error
  }
}

function readToken(path: string | undefined): string {
  if (path === undefined) {
    throw new RingmanError(
      'CONFIG_INVALID',
      'members act for whoever has their token: give its file by --token-file',
    )
  }
  return tokenOf(path)
}

function readWeight(operand = ''): number {
  if (/^\d{1,4}$/.test(operand)) return Number(operand)
  throw new RingmanError(
    'CONFIG_INVALID',
    `a weight is an integer from 1 to 1000, got ${JSON.stringify(operand)}`,
  )
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
