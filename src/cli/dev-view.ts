import type { LogLevel } from '../telemetry/logger.ts'
import { LOG_LEVELS, prettyLine } from '../telemetry/logger.ts'
import type { ClusterChange, ClusterListener, DevCluster } from './dev-cluster.ts'
import { describeEnd, type DevMember, type DevMemberEnd } from './dev-member.ts'
import { counted, renderJson, renderShare, renderTable, type Terminal } from './terminal.ts'

/** How `ringman dev` shows what happens. */
export interface DevView extends ClusterListener {
  starting(size: number, source: string): void
  /** @param shares - By ring key. */
  started(cluster: DevCluster, digest: string, shares: ReadonlyMap<string, number>, tookMs: number): void
  killed(member: DevMember): void
  stopping(): void
  stopped(): void
}

/** Digits of a digest that are shown to people. */
const DIGEST_DIGITS = 8

/** Lines for people. */
export function createTextView(terminal: Terminal, logLevel: LogLevel, seconds: () => number): DevView {
  const line = (text: string) => {
    terminal.out(`${terminal.style('dim', `${seconds().toFixed(1).padStart(6)}s`)}  ${text}\n`)
  }
  const prettify = prettyLine({ ignore: 'member,time,pid' })
  const names = (sign: string, list: readonly string[]) => list.map((name) => `${sign}${name}`)
  return {
    starting(size, source) {
      terminal.out(`Starting ${counted(size, 'member')} (source ${source}) …\n`)
    },
    started(cluster, digest, shares, tookMs) {
      const rows = cluster.members.map((member) => [
        member.name,
        member.ringKey,
        renderShare(shares.get(member.ringKey) ?? 0),
        member.addresses?.url ?? '',
        member.addresses?.adminUrl ?? '',
        String(member.pid ?? ''),
      ])
      const [header = '', ...lines] = renderTable(
        [['MEMBER', 'RING KEY', 'SHARE', 'LOOK-UPS', 'ADMIN', 'PID'], ...rows],
        [2],
      ).split('\n')
      const first = cluster.members[0]?.addresses?.url ?? ''
      terminal.out(
        `\nSee the ring in a browser: ${terminal.style('bold', `${first}/`)}\n\n` +
          `${terminal.style('bold', header)}\n${lines.join('\n')}\n`,
      )
      const command = process.env['npm_lifecycle_event'] === undefined ? 'ringman' : 'npm run -s ringman --'
      const last = cluster.members.at(-1)?.addresses?.url ?? ''
      terminal.out(
        `All hold the same ring, digest ${digest.slice(0, DIGEST_DIGITS)}, after ${(tookMs / 1000).toFixed(1)} s. Ask any of them:\n\n` +
          `  ${command} get user:42 --url ${first}\n` +
          `  curl '${last}/v1/owner?key=user:42'\n\n` +
          'Ctrl-C stops all.\n\n',
      )
    },
    changed({ nodes, added, removed, digest, holders, agreedAfterMs }: ClusterChange) {
      const difference = [
        ...names('+', added).map((name) => terminal.style('green', name)),
        ...names('-', removed).map((name) => terminal.style('red', name)),
      ]
      line(
        `${terminal.style('bold', `ring of ${nodes}`)} ${difference.join(' ')}  ` +
          terminal.style(
            'dim',
            `digest ${digest.slice(0, DIGEST_DIGITS)}, ${holders} of ${holders} agree after ${Math.round(agreedAfterMs)} ms`,
          ),
      )
    },
    disagreed(digests) {
      const held = [...digests].map(([digest, count]) => `${digest.slice(0, DIGEST_DIGITS)} ×${count}`)
      line(terminal.style('yellow', `members hold different rings: ${held.join(', ')}`))
    },
    noticed(member, killed, afterMs) {
      line(`${member.name} noticed the death of ${killed.name} after ${(afterMs / 1000).toFixed(1)} s`)
    },
    killed(member) {
      line(terminal.style('yellow', `killed ${member.name} (pid ${member.pid ?? 'none'})`))
    },
    ended(member, end) {
      if (end.signal !== 'SIGKILL') line(terminal.style('red', `${member.name} ${describeEnd(end)}`))
    },
    logged(member, level, text) {
      if (severity(level) >= severity(logLevel)) terminal.err(`${member.name}: ${prettify(text).trimEnd()}\n`)
    },
    stopping() {
      terminal.out('\nStopping …\n')
    },
    stopped() {
      terminal.out('All members have stopped.\n')
    },
  }
}

/** One JSON object per line, each with `event` and the milliseconds since the start. */
export function createJsonView(terminal: Terminal, logLevel: LogLevel, seconds: () => number): DevView {
  const print = (event: string, fields: Record<string, unknown> = {}) => {
    terminal.out(renderJson({ event, atMs: Math.round(seconds() * 1000), ...fields }, 0))
  }
  return {
    starting(size, source) {
      print('cluster.starting', { size, source })
    },
    started(cluster, digest, shares) {
      const members = cluster.members.map((member) => ({
        name: member.name,
        ringKey: member.ringKey,
        share: shares.get(member.ringKey) ?? 0,
        pid: member.pid,
        ...member.addresses,
      }))
      print('cluster.started', { digest, members })
    },
    changed(change) {
      print('ring.changed', { ...change })
    },
    disagreed(digests) {
      print('ring.disagreed', { digests: Object.fromEntries(digests) })
    },
    noticed(member, killed, afterMs) {
      print('member.noticed', { name: member.name, killed: killed.name, afterMs: Math.round(afterMs) })
    },
    killed(member) {
      print('member.killed', { name: member.name, pid: member.pid })
    },
    ended(member: DevMember, end: DevMemberEnd) {
      print('member.ended', { name: member.name, ...end })
    },
    logged(member, level, text) {
      if (severity(level) >= severity(logLevel))
        print('member.logged', { name: member.name, level, line: text })
    },
    stopping() {
      print('cluster.stopping')
    },
    stopped() {
      print('cluster.stopped')
    },
  }
}

function severity(level: string): number {
  return (LOG_LEVELS as readonly string[]).indexOf(level)
}
