import type { Command } from 'commander'
import type { DevEvents } from '../../src/cli/dev-view.ts'
import { EXIT_CODES } from '../../src/cli/exit-code.ts'
import { createProgram } from '../../src/cli/program.ts'
import { SERVE_SETTINGS } from '../../src/config/serve-settings.ts'

/** Headings of what configuration.md says. */
const SETTING_HEADINGS = new Set(Object.values(SERVE_SETTINGS).map(({ category }) => `${category}:`))

/** Width of the help in the documentation, in columns. */
const HELP_COLUMNS = 100

const INTRODUCTION = `# The command line

\`ringman COMMAND\`; in a checkout \`npm run -s ringman -- COMMAND\`. This page is made from the commands' own help.

- \`serve\` runs a member. Its settings are also variables and keys of a file: [configuration.md](configuration.md).
- \`proxy\` runs a member in front of a program in any language: [ownership.md](ownership.md#forward).
- \`dev\` runs a local cluster, to try things out. It takes free ports, its members take no \`RINGMAN_…\` variables, and
  they end with it, however it ends.
- \`get\`, \`nodes\`, \`ring\`, \`rings\`, \`watch\` and \`plan\` ask a running member, any one, at \`--url\` or \`RINGMAN_URL\`.
- \`agree\` asks many members for the same keys and compares. A member that is named by both of its ports counts once, if its admin
  port answers look-ups: with \`--token-file\` and the page (\`--page\`, on by default). Without them that port counts as a member
  that gave no answer. Its \`--timeout\` is for each answer: it asks DNS, then who each member is, then for the keys, of 32 members
  at a time.
- \`doctor\`, \`drain\`, \`return\`, \`weight\`, \`evict\`, \`forget\` and \`reload\` go to admin ports: [operating.md](operating.md).
- \`healthcheck\` asks the member beside it, on this machine, at the admin port of \`RINGMAN_ADMIN_PORT\` or of the
  member's file. The image runs it: [image.md](image.md).

Results go to standard output, errors to standard error, one clear line each; \`--json\` prints the same for scripts.
In what peers have sent, characters that a terminal would act upon are shown as \`\\u{1b}\`.
A key on the command line is text: bytes that are no UTF-8 arrive as U+FFFD, which is another key.
Colours are only used on a terminal, and not with \`NO_COLOR\`.

## Exit codes
`

const LIFECYCLE = `
## The life of \`ringman serve\`

1. It checks its settings and the files of keys, labels and the token. It tells all wrong values in one message, and settings that
   contradict each other once every value is good (exit code 2).
   Then it opens the admin port, then the port for look-ups, so that a port in use is found before any key moves to this
   member and probes get an answer at once. Look-ups wait
   until the ring holds the source's first set of members, for five seconds at most (with Sidecar they do not wait).
2. It starts the source and joins through the seeds. Once it is ready it logs one line with \`"event":"ready"\` and the
   addresses it listens on: \`http\`, \`admin\` (each with \`host\`, \`port\`, \`url\`) \`gossip\` (\`host\`, \`port\`), and
   of a proxy \`proxy\`.
3. On SIGTERM, SIGINT, SIGHUP or SIGQUIT it becomes not ready, leaves the ring and tells the others, goes on answering for \`--drain\`,
   closes, and ends with 0. A second signal ends it at once; a repeat within half a second is ignored: npm sends each Ctrl-C
   a second time.
4. If its source or its ring dies, or on a fault that nobody caught, it logs a \`fatal\` line with the reason and ends
   with 1; it never limps on.

Started with an IPC channel (as \`dev\` and other Node.js programs can), it takes the end of the channel for SIGTERM.

The log goes to standard output, a JSON object per line, or lines for people on a terminal. A log that cannot be written
costs lines, never look-ups.
`

/** What `ringman dev --json` prints. */
const DEV_EVENTS: {
  readonly [Name in keyof DevEvents]: {
    readonly fields: readonly (keyof DevEvents[Name])[]
    readonly meaning: string
  }
} = {
  'cluster.starting': { fields: ['size', 'source'], meaning: 'Members are started.' },
  'cluster.started': {
    fields: ['digest', 'members'],
    meaning:
      'All hold the same ring. Of each member: `name`, `ringKey`, `share`, `pid`, `url` (look-ups), `adminUrl`, `gossip`.',
  },
  'ring.changed': {
    fields: ['digest', 'nodes', 'added', 'removed', 'holders', 'agreedAfterMs'],
    meaning:
      'All that live have made one change, or hold one ring again: how many nodes are on it, names of members, how many hold it, and how long after the first of them the last one did.',
  },
  'ring.disagreed': {
    fields: ['digests'],
    meaning: 'They have held different rings for three seconds: how many hold which digest.',
  },
  'member.noticed': {
    fields: ['name', 'killed', 'afterMs'],
    meaning: "This member's ring is without the one that was killed.",
  },
  'member.killed': { fields: ['name', 'pid'], meaning: '`--kill-one-after` has killed it.' },
  'member.ended': {
    fields: ['name', 'code', 'signal', 'reason'],
    meaning: 'Its process has ended, by itself or by a signal; the last failure that it told, if any.',
  },
  'member.logged': {
    fields: ['name', 'level', 'line'],
    meaning: 'A line of its log as it came, or of its standard error (level `error`).',
  },
  'cluster.stopping': { fields: [], meaning: 'All are asked to stop.' },
  'cluster.stopped': { fields: [], meaning: 'All have stopped.' },
}

/** Items, as tables of such widths are hard to read. */
const DEV_JSON = `
With \`--json\` each line has \`event\`, \`atMs\` (milliseconds since the start) and the fields of its event:

${Object.entries(DEV_EVENTS)
  .map(([event, { fields, meaning }]) => {
    const listed = fields.map((field) => `\`${field}\``).join(', ')
    return `- \`${event}\`${listed === '' ? '' : ` (${listed})`}: ${meaning}`
  })
  .join('\n')}
`

/** The text of `docs/cli.md`. */
export function documentCommandLine(): string {
  const program = createProgram({
    terminal: { out: () => {}, err: () => {}, style: (_, text) => text, columns: HELP_COLUMNS },
    env: {},
    version: '',
    finish: () => {},
  })
  const codes = Object.entries(EXIT_CODES).map(([code, meaning]) => `- \`${code}\`: ${meaning}.`)
  const commands = program.commands.filter((command) => command.name() !== 'help')
  const had = new Map<string, string>()
  return [
    INTRODUCTION,
    `${codes.join('\n')}\n`,
    LIFECYCLE.trimStart(),
    helpOf('ringman', program, had),
    ...commands.map(
      (command) =>
        helpOf(`ringman ${command.name()}`, command, had) + (command.name() === 'dev' ? DEV_JSON : ''),
    ),
  ].join('\n')
}

/**
 * The help of a command. Its settings are left out where they are those of configuration.md, and a part that another command
 * had before is named by that one.
 *
 * @param had - The parts so far, and at which command.
 */
function helpOf(title: string, command: Command, had: Map<string, string>): string {
  let text = ''
  command.configureOutput({ writeOut: (part) => (text += part) })
  command.outputHelp()
  const parts = text
    .trim()
    .split(/\n{2,}/)
    .flatMap((part) => {
      const [heading = '', ...lines] = part.split('\n')
      if (title === 'ringman serve' && SETTING_HEADINGS.has(heading)) return []
      const before = had.get(part)
      if (before !== undefined) return [`${heading} as for ${before}`]
      if (lines.length > 2 && heading.endsWith(':')) had.set(part, title)
      return [part]
    })
  const settings = title === 'ringman serve' ? `Settings: [configuration.md](configuration.md).\n\n` : ''
  return `## \`${title}\`\n\n${settings}\`\`\`text\n${parts.join('\n\n')}\n\`\`\`\n`
}
