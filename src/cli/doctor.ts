import { writeFileSync } from 'node:fs'
import { holdingClock, sleep } from '../clock.ts'
import type { DoctorConfig } from '../config/client-settings.ts'
import { configInvalid, messageOf } from '../errors.ts'
import { printable } from '../printable.ts'
import { readVersion } from '../telemetry/version.ts'
import type { Finding } from './doctor-finding.ts'
import { diagnose } from './doctor-findings.ts'
import { survey, type Survey } from './doctor-survey.ts'
import type { ExitCode } from './exit-code.ts'
import { counted, renderJson, type CommandInput, type Terminal } from './terminal.ts'

/** How long rings that differ may take to become equal, in milliseconds: a change may be under way. */
const SETTLE_MS = 2000

type DoctorInput = CommandInput<DoctorConfig>

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
  { config, terminal, json }: DoctorInput,
  urls: readonly string[],
  follow: boolean,
): Promise<ExitCode> {
  const options = { urls, follow, timeoutMs: config.timeoutMs }
  let found = await survey(options)
  let findings = diagnose(found)
  if (findings.some(({ code }) => code === 'RINGS_DIFFER')) {
    await sleep(holdingClock, SETTLE_MS)
    found = await survey(options)
    findings = diagnose(found)
  }
  if (config.bundle !== undefined) writeBundle(config.bundle, found, findings)
  terminal.out(json ? renderJson(answerOf(found, findings)) : render(found, findings, terminal))
  if (config.bundle !== undefined)
    terminal.err(`ringman: wrote ${printable(config.bundle)}: names and addresses, and no secrets\n`)
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

/** @throws {RingmanError} `CONFIG_INVALID`. */
function writeBundle(path: string, found: Survey, findings: readonly Finding[]): void {
  const bundle = { ringman: readVersion(), time: new Date().toISOString(), findings, ...found }
  try {
    // It may hold what its owner shows to nobody by accident.
    writeFileSync(path, `${JSON.stringify(bundle, undefined, 2)}\n`, { mode: 0o600 })
  } catch (error) {
    throw configInvalid(`the bundle ${path} cannot be written: ${messageOf(error)}`, { cause: error })
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
