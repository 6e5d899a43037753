import { parseArgs } from 'node:util'
import type { Environment } from '../config/environment.ts'
import { configInvalid, isRingmanError } from '../errors.ts'
import { printable } from '../printable.ts'
import { exitCodeOf, type ExitCode } from './exit-code.ts'
import { main } from './main.ts'
import { findPods, withForwards, type ForwardablePod, type KubectlPlace } from './port-forward.ts'
import type { Terminal } from './terminal.ts'

/** Which port of which pods each command needs: of any one, of the one that is named, or of all. */
const COMMANDS = {
  get: ['httpPort', 'any'],
  nodes: ['httpPort', 'any'],
  ring: ['httpPort', 'any'],
  rings: ['httpPort', 'any'],
  watch: ['httpPort', 'any'],
  plan: ['httpPort', 'any'],
  agree: ['httpPort', 'all'],
  doctor: ['adminPort', 'all'],
  forget: ['adminPort', 'all'],
  reload: ['adminPort', 'all'],
  evict: ['adminPort', 'another'],
  drain: ['adminPort', 'named'],
  return: ['adminPort', 'named'],
  weight: ['adminPort', 'named'],
} as const

/** Flags of the plugin itself; the others go to the command. */
const FLAGS = {
  namespace: { type: 'string', short: 'n' },
  selector: { type: 'string', short: 'l' },
  release: { type: 'string' },
  pod: { type: 'string' },
  context: { type: 'string' },
  kubeconfig: { type: 'string' },
} as const

const HELP = `Usage: kubectl ringman COMMAND [options]

The commands of ringman for the pods of a cluster; kubectl forwards the ports.

  ${Object.keys(COMMANDS).join(', ')}

Options:
  -n, --namespace NAMESPACE  namespace of the pods (of get: --count is the number of owners)
  --release RELEASE          release of the chart, where a namespace has several
  -l, --selector LABELS      labels of the pods, where the chart did not make them
  --pod POD                  the pod that is to act or to answer
  --context, --kubeconfig    as for kubectl
  The others are those of the command: ringman COMMAND --help

Examples:
  $ kubectl ringman get user:42 -n rings
  $ kubectl ringman doctor -n rings
  $ kubectl ringman drain --pod ringman-2 -n rings --token-file token --dry-run
`

/**
 * Runs `kubectl ringman`: the command with its port of the pods forwarded.
 *
 * @returns The command's exit code.
 */
export async function kubectlMain(
  args: readonly string[],
  env: Environment,
  terminal: Terminal,
): Promise<ExitCode> {
  try {
    return await run(args, env, terminal)
  } catch (error) {
    if (!isRingmanError(error)) throw error
    terminal.err(`kubectl ringman: ${printable(error.message)}\n`)
    return exitCodeOf(error)
  }
}

async function run(args: readonly string[], env: Environment, terminal: Terminal): Promise<ExitCode> {
  const { flags, rest } = readFlags(args)
  const [name = ''] = rest
  if (name === '' || name === '--help' || name === '-h' || name === 'help') {
    terminal.out(HELP)
    return 0
  }
  if (!Object.hasOwn(COMMANDS, name)) {
    throw configInvalid(
      `there is no command ${JSON.stringify(name)} here: ${Object.keys(COMMANDS).join(', ')}`,
    )
  }
  if (rest.includes('--help') || rest.includes('-h')) return main(rest, env, terminal)
  if (rest.some((one) => one === '--url' || one.startsWith('--url='))) {
    throw configInvalid('the pods are found by kubectl: leave out --url')
  }
  const [port, which] = COMMANDS[name as keyof typeof COMMANDS]
  if (which === 'named' && flags.pod === undefined)
    throw configInvalid(`say which pod is to act: ${name} --pod POD`)
  const { context, kubeconfig, ...where } = flags
  const theirs = Object.entries({ context, kubeconfig })
  const given = theirs.flatMap(([flag, value]) => (value === undefined ? [] : [`--${flag}=${value}`]))
  const place: KubectlPlace = { namespace: undefined, ...where, flags: given }
  const pods = choose(await findPods(place), which, rest)
  return withForwards(place, pods, port, (urls) => {
    const more = name === 'agree' ? urls : ['--url', urls.join(',')]
    const only = name === 'doctor' ? ['--only'] : []
    const end = rest.includes('--') ? rest.indexOf('--') : rest.length
    return main([...rest.slice(0, end), ...more, ...only, ...rest.slice(end)], env, terminal)
  })
}

function choose(pods: readonly ForwardablePod[], which: string, rest: readonly string[]): ForwardablePod[] {
  if (which === 'all') return [...pods]
  // Who is to be evicted may hang.
  const chosen = which === 'another' ? (pods.find(({ name }) => !rest.includes(name)) ?? pods[0]) : pods[0]
  return chosen === undefined ? [] : [chosen]
}

/** @throws {RingmanError} `CONFIG_INVALID` for a flag without a value. */
function readFlags(args: readonly string[]) {
  const flags: Partial<Record<keyof typeof FLAGS, string>> = {}
  const taken = new Set<number>()
  for (const token of parseArgs({ args: [...args], options: FLAGS, strict: false, tokens: true }).tokens) {
    if (token.kind !== 'option' || !Object.hasOwn(FLAGS, token.name)) continue
    const { name, rawName, index, value = '', inlineValue } = token
    // A letter within `-ojson` is none of these flags: the command says what it does not know.
    if (args[index]?.startsWith(rawName) !== true) continue
    if (value === '') throw configInvalid(`${rawName} needs a value`)
    // Of `-n=rings`, too.
    flags[name as keyof typeof FLAGS] = rawName === `--${name}` ? value : value.replace(/^=/, '')
    taken.add(index)
    if (!inlineValue) taken.add(index + 1)
  }
  return { flags, rest: args.filter((_, at) => !taken.has(at)) }
}
