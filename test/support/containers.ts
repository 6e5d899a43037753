import { execFile } from 'node:child_process'
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { cacheFolder } from './cache-folder.ts'

/** How long one podman or buildah command may take unless told otherwise, in milliseconds. */
const COMMAND_DEADLINE_MS = 60_000

/** Most of a command's output that is kept, in bytes. */
const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024

/** Programs that the suite needs, and the Debian package that has each. */
const TOOLS: readonly (readonly [program: string, packageName: string])[] = [
  ['podman', 'podman'],
  ['buildah', 'buildah'],
  ['runc', 'runc'],
  ['mmdebstrap', 'mmdebstrap'],
  ['iptables', 'iptables'],
  ['/usr/lib/cni/bridge', 'containernetworking-plugins'],
  ['/usr/lib/cni/dnsname', 'golang-github-containernetworking-plugin-dnsname'],
  ['git', 'git'],
]

/** What a command printed, and how it ended. */
export interface CommandResult {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** The part of the cache folder that is the containers'; it is made when it is missing. */
export function containersFolder(): string {
  const folder = join(cacheFolder(), 'containers')
  mkdirSync(folder, { recursive: true })
  return folder
}

/** @throws {Error} that names everything that is missing, and how to get it. */
export function requireContainerTools(): void {
  if (process.getuid?.() !== 0)
    throw new Error('this suite makes networks and containers, for which it must run as root')
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  const missing = TOOLS.filter(
    ([program]) =>
      !(program.startsWith('/') ? [program] : folders.map((folder) => join(folder, program))).some(isProgram),
  )
  if (missing.length === 0) return
  throw new Error(
    `not on this machine: ${missing.map(([program]) => program).join(', ')}. On Debian: ` +
      `apt-get install --no-install-recommends ${missing.map(([, name]) => name).join(' ')}`,
  )
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    // It is not there, or not for us: the caller looks elsewhere.
    return false
  }
}

/** Runs a program to its end. It never rejects for the program's exit code. */
export function run(
  program: string,
  args: readonly string[],
  options: {
    readonly deadlineMs?: number
    readonly env?: Readonly<Record<string, string>>
    readonly cwd?: string
  } = {},
): Promise<CommandResult> {
  const { deadlineMs = COMMAND_DEADLINE_MS, env, cwd } = options
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      {
        encoding: 'utf8',
        maxBuffer: OUTPUT_LIMIT_BYTES,
        timeout: deadlineMs,
        killSignal: 'SIGKILL',
        env: { ...process.env, ...env },
        ...(cwd === undefined ? {} : { cwd }),
      },
      (error, out, err) => {
        if (error === null) resolve({ code: 0, out, err })
        else if (typeof error.code === 'number') resolve({ code: error.code, out, err })
        else reject(new Error(`${program} ${args.join(' ')}: ${error.message}\n${err}`, { cause: error }))
      },
    )
  })
}

/** Runs a program and returns its standard output. @throws {Error} with its standard error when it fails. */
export async function runChecked(...[program, args, options]: Parameters<typeof run>): Promise<string> {
  const { code, out, err } = await run(program, args, options)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')}: exit code ${code}\n${err}${out}`)
  return out
}

let prepared: Readonly<Record<string, string>> | undefined

/**
 * The environment in which podman and buildah keep everything below the cache folder (images, containers, networks)
 * and read no configuration of the machine, so that the suite neither needs nor changes it.
 */
export function containerEnvironment(): Readonly<Record<string, string>> {
  if (prepared !== undefined) return prepared
  const cache = containersFolder()
  const at = (name: string) => join(cache, name)
  for (const name of ['storage', 'tmp', 'networks']) mkdirSync(at(name), { recursive: true })
  // What does not outlive the machine's uptime.
  const runFolder = '/run/ringman-test-containers'
  mkdirSync(runFolder, { recursive: true })
  writeFileSync(
    at('containers.conf'),
    `[containers]
default_ulimits = ["nofile=10000:10000", "nproc=10000:10000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "${runFolder}/libpod"
image_copy_tmp_dir = "${at('tmp')}"
[network]
network_backend = "cni"
network_config_dir = "${at('networks')}"
`,
  )
  writeFileSync(
    at('storage.conf'),
    `[storage]
driver = "overlay"
graphroot = "${at('storage')}"
runroot = "${runFolder}/storage"
`,
  )
  prepared = {
    CONTAINERS_CONF: at('containers.conf'),
    CONTAINERS_STORAGE_CONF: at('storage.conf'),
    TMPDIR: at('tmp'),
  }
  return prepared
}

/** Runs podman and returns its standard output. @throws {Error} when it fails. */
export function podman(args: readonly string[], deadlineMs?: number): Promise<string> {
  return runChecked('podman', args, podmanOptions(deadlineMs))
}

/** Runs podman and tells how it ended. */
export function tryPodman(args: readonly string[], deadlineMs?: number): Promise<CommandResult> {
  return run('podman', args, podmanOptions(deadlineMs))
}

function podmanOptions(deadlineMs: number | undefined) {
  return { env: containerEnvironment(), ...(deadlineMs === undefined ? {} : { deadlineMs }) }
}
