import { randomUUID } from 'node:crypto'
import { existsSync, lstatSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { holdingClock, sleep, type Clock } from '../clock.ts'
import type { DoctorConfig } from '../config/client-settings.ts'
import { configInvalid } from '../errors.ts'
import { printable } from '../printable.ts'
import { readVersion } from '../telemetry/version.ts'
import type { Finding, FindingCode } from './doctor-finding.ts'
import { diagnose } from './doctor-findings.ts'
import { survey, type Survey } from './doctor-survey.ts'
import type { ExitCode } from './exit-code.ts'
import { counted } from '../counted.ts'
import { renderJson, whyUnwritten, type CommandInput, type Terminal } from './terminal.ts'

/** What is looked at twice, so long apart in milliseconds: a change may be under way, or a member may stand still for a moment. */
const PASSING: readonly FindingCode[] = ['RINGS_DIFFER', 'NOT_REACHED', 'TCP_BLOCKED', 'UDP_BLOCKED']
const SETTLE_MS = 2000

/** The clock is for the wait before the second look. */
type DoctorInput = CommandInput<DoctorConfig> & { readonly clock?: Clock }

/**
 * `ringman doctor`: asks every member that anybody knows, and says what is wrong, the most important first.
 *
 * @returns 0 when nothing is, 6 when something is; notes count for nothing.
 * @throws {RingmanError} `UNREACHABLE`, `TIMEOUT`, `RESPONSE_INVALID` when no member answered.
 */
export async function runDoctor(input: DoctorInput): Promise<ExitCode> {
  const { kube, url, only } = input.config
  if (kube === undefined) return examine(input, url, !only)
  const { findPods, withForwards } = await import('./port-forward.ts')
  const [namespace, release] = kube.split('/')
  const place = { namespace, release }
  return withForwards(place, await findPods(place), 'adminPort', (urls) => examine(input, urls, false))
}

async function examine(
  { config: { bundle, timeoutMs }, terminal, json, clock = holdingClock }: DoctorInput,
  urls: readonly string[],
  follow: boolean,
): Promise<ExitCode> {
  let found = await survey({ urls, follow, timeoutMs })
  if (diagnose(found).some(({ code }) => PASSING.includes(code))) {
    await sleep(clock, SETTLE_MS)
    found = await survey({ urls, follow, timeoutMs })
  }
  const findings = diagnose(found)
  terminal.out(json ? renderJson(answerOf(found, findings)) : render(found, findings, terminal))
  if (bundle !== undefined) {
    writeBundle(bundle, { ringman: readVersion(), time: new Date().toISOString(), findings, ...found })
    terminal.err(`ringman: wrote ${printable(bundle)}: names and addresses, and no secrets\n`)
  }
  return findings.some(({ severity }) => severity !== 'note') ? 6 : 0
}

function answerOf({ members, silent, mute }: Survey, findings: readonly Finding[]) {
  return {
    findings,
    members: members.map(({ url, report: { name, version, digest, condition, ready } }) => {
      return { name, url, version, digest, condition, ready }
    }),
    silent,
    mute,
  }
}

/** Replaces a file, whole or not at all. @throws {RingmanError} `CONFIG_INVALID`. */
function writeBundle(path: string, bundle: object): void {
  const part = `${path}.${randomUUID().slice(0, 8)}`
  try {
    // What is there is never opened: a pipe that nobody reads would hold us for ever.
    if (lstatSync(path, { throwIfNoEntry: false })?.isFile() === false) throw new Error('it is no plain file')
    // It may hold what its owner shows to nobody by accident.
    writeFileSync(part, renderJson(bundle), { mode: 0o600, flag: 'wx', flush: true })
    renameSync(part, path)
  } catch (error) {
    if (existsSync(part)) unlinkSync(part)
    throw configInvalid(`the bundle ${path} cannot be written: ${whyUnwritten(error)}`, { cause: error })
  }
}

const COLOURS = { critical: 'red', warning: 'yellow', note: 'dim' } as const

function render({ members, mute }: Survey, findings: readonly Finding[], terminal: Terminal): string {
  const blocks = findings.map(({ code, severity, summary, meaning, advice, runbook }) =>
    [
      `${terminal.style(COLOURS[severity], `${severity} ${code}`)}: ${terminal.style('bold', printable(summary))}`,
      ...[meaning, advice, ...(runbook === undefined ? [] : [runbook])].map((text) => `  ${printable(text)}`),
      '',
    ].join('\n'),
  )
  const asked = `${counted(members.length, 'member')} answered`
  const unasked =
    mute.length === 0
      ? ''
      : `; ${mute.length} that they know told no admin port (Go members, or older ones) and were not asked`
  const wrong = findings.filter(({ severity }) => severity !== 'note').length
  const sum = wrong === 0 ? 'nothing is wrong' : `${wrong} thing${wrong === 1 ? ' is' : 's are'} wrong`
  return `${blocks.join('\n')}${blocks.length > 0 ? '\n' : ''}${asked}${unasked}; ${sum}\n`
}
