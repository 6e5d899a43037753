import { LOG_LEVELS, prettyLine, type LogLevel } from '../telemetry/logger.ts'
import { describeEnd, type DevMemberAddresses, type DevMemberEnd } from './dev-member.ts'
import { counted } from '../counted.ts'
import { renderJson, renderShare, renderTable, type Terminal } from './terminal.ts'

/** What happens to a local cluster, as `--json` prints it. Nodes and members have the names of members. */
export interface DevEvents {
  readonly 'cluster.starting': { readonly size: number; readonly source: string }
  readonly 'cluster.started': { readonly digest: string; readonly members: readonly StartedMember[] }
  /** All members have made one change of the ring, or hold the same one again after `ring.disagreed`. */
  readonly 'ring.changed': {
    readonly digest: string
    /** Nodes on the ring. */
    readonly nodes: number
    readonly added: readonly string[]
    readonly removed: readonly string[]
    /** Members that hold it: all that live. */
    readonly holders: number
    /** Whole milliseconds from the first member that had the change until the last one. */
    readonly agreedAfterMs: number
  }
  /** Members have held different rings for longer than a moment: how many hold which digest. */
  readonly 'ring.disagreed': { readonly digests: Readonly<Record<string, number>> }
  /** A member's ring is without the one that was killed. */
  readonly 'member.noticed': { readonly name: string; readonly killed: string; readonly afterMs: number }
  readonly 'member.killed': { readonly name: string; readonly pid: number | undefined }
  readonly 'member.ended': { readonly name: string } & DevMemberEnd
  /** A line of a member's log, or of its standard error (level `error`), as it came. */
  readonly 'member.logged': { readonly name: string; readonly level: string; readonly line: string }
  readonly 'cluster.stopping': object
  readonly 'cluster.stopped': object
}

interface StartedMember extends Partial<DevMemberAddresses> {
  readonly name: string
  readonly ringKey: string
  readonly share: number
  readonly pid: number | undefined
}

/** Hears of what happens. */
export type Tell = <Name extends keyof DevEvents>(event: Name, fields: DevEvents[Name]) => void

/** Digits of a digest that are shown to people. */
const DIGEST_DIGITS = 8

/**
 * Shows what happens: as lines for people, or as JSON.
 *
 * @param logLevel - Least severe level of the members' logs to show.
 * @param seconds - The time since the start.
 */
export function createView(
  terminal: Terminal,
  json: boolean,
  logLevel: LogLevel,
  seconds: () => number,
): Tell {
  const show = (json ? createJsonView : createTextView)(terminal, seconds)
  return (event, fields) => {
    if (!('level' in fields) || severity(fields.level) >= severity(logLevel)) show(event, fields)
  }
}

const severity = (level: string): number => (LOG_LEVELS as readonly string[]).indexOf(level)

/** One JSON object per line, each with `event` and the milliseconds since the start. */
function createJsonView(terminal: Terminal, seconds: () => number): Tell {
  return (event, fields) => {
    terminal.out(renderJson({ event, atMs: Math.round(seconds() * 1000), ...fields }, 0))
  }
}

function createTextView(terminal: Terminal, seconds: () => number): Tell {
  const line = (text: string) => {
    terminal.out(`${terminal.style('dim', `${seconds().toFixed(1).padStart(6)}s`)}  ${text}\n`)
  }
  // Of these it was said already.
  const announced = new Set<string>()
  const prettify = prettyLine({ ignore: 'member,time,pid' })
  const show: { readonly [Name in keyof DevEvents]: (fields: DevEvents[Name]) => void } = {
    'cluster.starting': ({ size, source }) => {
      terminal.out(`Starting ${counted(size, 'member')} (source ${source}) …\n`)
    },
    'cluster.started': ({ digest, members }) => {
      terminal.out(renderStarted(members, digest, seconds(), terminal))
    },
    'ring.changed': ({ nodes, added, removed, digest, holders, agreedAfterMs }) => {
      const ring = [
        terminal.style('bold', `ring of ${nodes}`),
        ...added.map((name) => terminal.style('green', `+${name}`)),
        ...removed.map((name) => terminal.style('red', `-${name}`)),
      ]
      line(
        `${ring.join(' ')}  ` +
          terminal.style(
            'dim',
            `digest ${digest.slice(0, DIGEST_DIGITS)}, ${holders} of ${holders} agree after ${agreedAfterMs} ms`,
          ),
      )
    },
    'ring.disagreed': ({ digests }) => {
      const held = Object.entries(digests).map(([of, count]) => `${of.slice(0, DIGEST_DIGITS)} ×${count}`)
      line(terminal.style('yellow', `members hold different rings: ${held.join(', ')}`))
    },
    'member.noticed': ({ name, killed, afterMs }) => {
      line(`${name} noticed the death of ${killed} after ${(afterMs / 1000).toFixed(1)} s`)
    },
    'member.killed': ({ name, pid = 'none' }) => {
      announced.add(name)
      line(terminal.style('yellow', `killed ${name} (pid ${pid})`))
    },
    'member.ended': ({ name, ...end }) => {
      if (!announced.has(name)) line(terminal.style('red', `${name} ${describeEnd(end)}`))
    },
    'member.logged': ({ name, line: text }) => terminal.err(`${name}: ${prettify(text).trimEnd()}\n`),
    'cluster.stopping': () => terminal.out('\nStopping …\n'),
    'cluster.stopped': () => terminal.out('All members have stopped.\n'),
  }
  return (event, fields) => show[event](fields)
}

function renderStarted(
  members: readonly StartedMember[],
  digest: string,
  seconds: number,
  terminal: Terminal,
): string {
  const rows = members.map(({ name, ringKey, share, url = '', adminUrl = '', pid = '' }) => [
    name,
    ringKey,
    renderShare(share),
    url,
    adminUrl,
    String(pid),
  ])
  const [header = '', ...lines] = renderTable(
    [['MEMBER', 'RING KEY', 'SHARE', 'LOOK-UPS', 'ADMIN', 'PID'], ...rows],
    [2],
  ).split('\n')
  const [first, last] = [members[0]?.url ?? '', members.at(-1)?.url ?? '']
  const command = process.env['npm_lifecycle_event'] === undefined ? 'ringman' : 'npm run -s ringman --'
  return (
    `\nSee the ring in a browser: ${terminal.style('bold', `${first}/`)}\n\n` +
    `${terminal.style('bold', header)}\n${lines.join('\n')}\n` +
    `All hold the same ring, digest ${digest.slice(0, DIGEST_DIGITS)}, after ${seconds.toFixed(1)} s. Ask any of them:\n\n` +
    `  ${command} get user:42 --url ${first}\n` +
    `  curl '${last}/v1/owner?key=user:42'\n\n` +
    'Ctrl-C stops all.\n\n'
  )
}
