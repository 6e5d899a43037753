import { Command, Help } from 'commander'
import {
  AGREE_SETTINGS,
  CLIENT_SETTINGS,
  DOCTOR_SETTINGS,
  GET_SETTINGS,
  KEYGEN_SETTINGS,
  OPERATE_SETTINGS,
  PLAN_SETTINGS,
  RINGS_SETTINGS,
  WATCH_SETTINGS,
} from '../config/client-settings.ts'
import { DEV_SETTINGS } from '../config/dev-settings.ts'
import type { Environment } from '../config/environment.ts'
import { loadCommandConfig } from '../config/load.ts'
import type { SettingTable, ValuesOf } from '../config/setting.ts'
import { HEALTHCHECK_SETTINGS, SERVE_SETTINGS } from '../config/serve-settings.ts'
import { printable } from '../printable.ts'
import type { Action } from '../service/operations.ts'
import { withAdvice } from './advice.ts'
import type { ExitCode } from './exit-code.ts'
import { addSettingOptions, givenFlags, unknownArguments } from './setting-options.ts'
import type { CommandInput, Terminal } from './terminal.ts'

/** What the commands run in. */
export interface ProgramContext {
  readonly terminal: Terminal
  readonly env: Environment
  readonly version: string
  /** Takes the exit code of the command that ran. */
  readonly finish: (code: ExitCode) => void
}

/**
 * The command line `ringman`, ready to parse. Each command loads its parts when it runs, so that a look-up does not wait
 * for the server's code. What a command cannot do it throws.
 */
export function createProgram(context: ProgramContext): Command {
  const { terminal, env, finish } = context
  const program = new Command('ringman')
    .description('Which instance owns this key? A gossiped consistent hash ring.')
    .version(context.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [COMMAND]', 'print the help of a command')
    .configureOutput({
      writeOut: terminal.out,
      writeErr: terminal.err,
      getOutHelpWidth: () => terminal.columns,
      getErrHelpWidth: () => terminal.columns,
      outputError: (text, write) => write(inOurWords(text).split('\n').map(printable).join('\n')),
    })
    .configureHelp({ styleTitle: (title) => terminal.style('bold', title), subcommandTerm: commandTerm })
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText('after', examples(['ringman dev', 'ringman get user:42', 'ringman serve --print-config']))

  /** A command that runs one member. */
  function member(
    command: Command,
    lines: readonly string[],
    { needs = [], shown }: { needs?: readonly 'upstream'[]; shown?: readonly string[] } = {},
  ): void {
    command
      .option('--print-config', 'Print every setting with its origin, and end')
      .option('--json', 'With --print-config: as JSON')
      .allowUnknownOption()
      .allowExcessArguments()
    addSettingOptions(command, SERVE_SETTINGS, shown)
      .addHelpText(
        'after',
        `${shown === undefined ? '' : '\nEvery setting of `ringman serve` is one of this command, too.\n'}\nEvery setting is also a variable, RINGMAN_HTTP_PORT for --http-port, and a key of the file.\n`,
      )
      .addHelpText('after', examples(lines))
      .action(async () => {
        const { runServe } = await import('./serve.ts')
        type Switches = { printConfig?: boolean; json?: boolean }
        const { printConfig = false, json = false } = command.opts<Switches>()
        if (json && !printConfig) command.error("error: option '--json' goes with '--print-config'")
        const flags = givenFlags(command, SERVE_SETTINGS, unknownArguments(command.args))
        finish(await runServe({ flags, env, terminal, version: context.version, needs, printConfig, json }))
      })
  }

  member(define(program, 'serve', 'Run one member: gossip, ring, look-ups over HTTP'), [
    'ringman serve --seeds dns:ringman-gossip.default.svc --min-members 3',
    'ringman serve --seeds a:7946,b:7946 --label prod/ring --keyring-file /etc/ringman/keyring',
    'ringman serve --source static --static-members 10.0.0.1:8000,10.0.0.2:8000=3',
    'ringman serve --config /etc/ringman.yaml --print-config',
  ])
  member(
    define(
      program,
      'proxy',
      'Run one member in front of a program, and send each request to the owner of its key',
    ),
    [
      'ringman proxy --upstream http://127.0.0.1:3000 --key-header x-user --service-port 8000 --forward-networks 10.0.0.0/8',
      'ringman proxy --upstream http://127.0.0.1:3000 --route-key path:/rooms/{key} --keyring-file /etc/ringman/keyring',
    ],
    { needs: ['upstream'], shown: ['Forwarding'] },
  )

  /**
   * A command with the settings of a table.
   *
   * @param work - Gives the exit code; 0 where it gives none.
   * @param variables - What of the environment concerns it.
   */
  function run<Table extends SettingTable>(
    command: Command,
    table: Table,
    lines: readonly string[],
    work: (input: CommandInput<ValuesOf<Table>>, operand: unknown) => Promise<ExitCode | void>,
    variables = env,
  ): void {
    addSettingOptions(command, table)
      .addHelpText('after', examples(lines))
      .action(async (operand: unknown) => {
        const { values: config } = loadCommandConfig(table, givenFlags(command, table), variables)
        const { json = false } = command.opts<{ json?: boolean }>()
        try {
          finish((await work({ config, terminal, json }, operand)) ?? 0)
        } catch (error) {
          throw withAdvice(error, table, config)
        }
      })
  }

  run(
    define(program, 'dev', 'Run a local cluster on free ports, to try things out').option(
      '--json',
      'Print one JSON object per line',
    ),
    DEV_SETTINGS,
    ['ringman dev', 'ringman dev --nodes 5 --kill-one-after 10s'],
    async (input) => (await import('./dev.ts')).runDev({ ...input, env }),
    {},
  )
  run(
    withJson(define(program, 'get', 'Print who owns a key')).argument(
      'KEY',
      'any text; if it begins with a dash, put -- before it, and the flags before that',
    ),
    GET_SETTINGS,
    [
      'ringman get user:42',
      'ringman get user:42 -n 3 --json',
      'ringman get --url http://10.0.0.1:8080 -- -key',
    ],
    async (input, key) => (await import('./queries.ts')).runGet({ ...input, key: String(key) }),
  )
  run(
    withJson(define(program, 'nodes', 'List the members and their states')),
    CLIENT_SETTINGS,
    ['ringman nodes --url http://10.0.0.1:8080'],
    async (input) => (await import('./queries.ts')).runNodes(input),
  )
  run(
    withJson(define(program, 'ring', 'Show the nodes of the ring with their shares as bars')),
    CLIENT_SETTINGS,
    ['ringman ring', "ringman ring --json | jq -r '.digest'"],
    async (input) => (await import('./queries.ts')).runRing(input),
  )
  run(
    withJson(define(program, 'rings', 'List the rings of HashRings')),
    RINGS_SETTINGS,
    ['ringman rings --url http://ringman.rings.svc:8080', 'ringman get user:42 --ring shop/cache'],
    async (input) => (await import('./queries.ts')).runRings(input),
  )
  run(
    define(program, 'watch', 'Print a line at each change of the ring, until Ctrl-C').option(
      '--json',
      'Print the whole ring at each change, or the stretches of --node, one JSON object per line',
    ),
    WATCH_SETTINGS,
    [
      'ringman watch',
      'ringman watch --url http://a:8080,http://b:8080',
      'ringman watch --node cache-1 --json | jq .lost',
    ],
    async (input) => (await import('./queries.ts')).runWatch(input),
  )
  run(
    withJson(define(program, 'plan', 'Show which share of the keys would move, and to whom')),
    PLAN_SETTINGS,
    ['ringman plan --leave 10.0.0.1:8000', 'ringman plan --join 10.0.0.9:8000=2 --weight 10.0.0.1:8000=3'],
    async (input) => (await import('./queries.ts')).runPlan(input),
  )
  run(
    withJson(define(program, 'agree', 'Ask every member for the same keys and compare the answers')).argument(
      'MEMBER...',
      'HOST[:PORT], a URL, dns:NAME[:PORT] for all addresses that DNS has (not the hosts file), or srv:NAME',
    ),
    AGREE_SETTINGS,
    [
      'ringman agree 10.0.0.1 10.0.0.2 10.0.0.3',
      'ringman agree dns:ringman-gossip.default.svc --expect 3 --wait 30s',
    ],
    async (input, members) =>
      (await import('./agree.ts')).runAgree({ ...input, members: (members as readonly string[]).join(',') }),
  )

  /** A command that has members act. */
  function operate(
    action: Action,
    summary: string,
    lines: readonly string[],
    operand?: { readonly name: string; readonly help: string },
  ): void {
    const { forMs: _, ...others } = OPERATE_SETTINGS
    const command = withJson(define(program, action, summary)).option(
      '--dry-run',
      'Print what would be done and what would move, and do nothing',
    )
    if (operand !== undefined) command.argument(operand.name, operand.help)
    run(command, action === 'evict' ? OPERATE_SETTINGS : others, lines, async (input, given) => {
      const { runOperate } = await import('./operate.ts')
      const { dryRun = false } = command.opts<{ dryRun?: boolean }>()
      await runOperate({ ...input, action, dryRun, operand: typeof given === 'string' ? given : undefined })
    })
  }
  const memberName = { name: 'MEMBER', help: 'its name, as `ringman nodes` lists it' }
  operate('drain', 'Take a member off the ring; it gossips on and answers look-ups', [
    'ringman drain --url 10.0.0.1 --token-file token --dry-run',
    'ringman drain --reason "disk is full"',
  ])
  operate('return', 'Take a drained member back onto the ring', ['ringman return --token-file token'])
  operate(
    'weight',
    "Change a member's share until it is restarted",
    ['ringman weight 3 --url 10.0.0.1 --dry-run'],
    { name: 'WEIGHT', help: '1 to 1000' },
  )
  operate(
    'evict',
    'Make a living member leave; the others refuse it until --for is over',
    ['ringman evict cache-3 --url 10.0.0.1 --for 1h --reason "answers, but with errors"'],
    memberName,
  )
  operate('forget', 'Take a dead member off the list', ['ringman forget cache-3 --url 10.0.0.1'], memberName)
  operate('reload', 'Read the keyring file and the label file again', [
    'ringman reload --url 10.0.0.1,10.0.0.2',
  ])

  run(
    withJson(define(program, 'doctor', 'Ask every member, and say what is wrong and what to do')),
    DOCTOR_SETTINGS,
    ['ringman doctor --url 10.0.0.1', 'ringman doctor --bundle report.json'],
    async (input) => (await import('./doctor.ts')).runDoctor(input),
  )
  const healthcheck = define(
    program,
    'healthcheck',
    'Ask the member of this machine whether it is alive, for containers',
  ).option('--ready', 'Ask whether it is ready for look-ups instead')
  run(
    healthcheck,
    HEALTHCHECK_SETTINGS,
    ['ringman healthcheck', 'ringman healthcheck --ready --admin-port 9081'],
    async ({ config }) => {
      const { ready = false } = healthcheck.opts<{ ready?: boolean }>()
      return (await import('./healthcheck.ts')).runHealthcheck({ config, terminal, ready })
    },
  )
  run(
    define(program, 'keygen', 'Print a new key for the keyring file, in base64'),
    KEYGEN_SETTINGS,
    ['ringman keygen > keyring', 'ringman keygen --bytes 16'],
    async ({ config }) => {
      const { generateKey } = await import('../membership/memberlist/keyring.ts')
      terminal.out(`${generateKey(Number(config.bytes))}\n`)
    },
    {},
  )
  return program
}

/** What commander says, as ringman says it. */
function inOurWords(text: string): string {
  const [, flag, value = ''] =
    /^error: option '(?:-\w, )?(--[\w-]+) <([^,>]+).*' argument missing/.exec(text) ?? []
  if (flag === undefined) return text.replace(/^error: /, 'ringman: ')
  return `ringman: ${flag} needs ${/^([AEIO]|N$)/.test(value) ? 'an' : 'a'} ${value}\n`
}

/** A subcommand; it gets what its parent was configured with. */
function define(program: Command, name: string, summary: string): Command {
  return program.command(name).description(summary).helpOption('-h, --help', 'Print this help')
}

function withJson(command: Command): Command {
  return command.option('--json', 'Print JSON')
}

/** The list of commands shows names and operands, not `[options]` each time. */
function commandTerm(this: void, command: Command): string {
  return new Help().subcommandTerm(command).replace(' [options]', '')
}

function examples(lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}\n`).join('')}`
}
