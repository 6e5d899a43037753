import { eventually } from './eventually.ts'
import { podman, tryPodman, type CommandResult } from './containers.ts'

/** How long a container gets to do what a test waits for, in milliseconds. */
const PATIENCE_MS = 60_000

/** How often a test looks whether it has, in milliseconds. */
const LOOK_INTERVAL_MS = 30

/** How long a container gets to answer one HTTP request, in milliseconds. */
const ANSWER_DEADLINE_MS = 20_000

/** Label of everything that a lab makes: the process that made it. */
const OWNER_LABEL = 'ringman-test-owner'

/** What `GET /v1/ring` says, as far as tests look at it. */
export interface RingView {
  readonly nodes: readonly { readonly name: string; readonly address: string; readonly ringKey: string }[]
  readonly digest: string
  readonly epoch: number
}

export interface ContainerOptions {
  /** Host name in the network, and so the member's name. */
  readonly name: string
  /** Further names that resolve to it and to others with the same one, as a headless Service does. */
  readonly aliases?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Arguments for `podman run` before the image. */
  readonly podmanArgs?: readonly string[]
  /** Arguments for `ringman`. */
  readonly args?: readonly string[]
}

/** What `podman inspect` says, as far as tests look at it. */
interface Inspected {
  readonly State: {
    readonly Pid: number
    readonly StartedAt: string
    readonly Status: string
    readonly ExitCode: number
    readonly Health: { readonly Status: string }
  }
  readonly NetworkSettings: { readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>> }
}

let lastLab = 0

/**
 * A network of its own with DNS, and containers in it: as an operator would be advised to run them, read-only, without
 * capabilities. Disposing removes all; what a run has left that was killed goes when the next lab opens.
 */
export class ContainerLab implements AsyncDisposable {
  readonly image: string
  /** Name of the network, and the beginning of its containers' names. */
  readonly network: string

  private constructor(image: string, network: string) {
    this.image = image
    this.network = network
  }

  static async open(image: string): Promise<ContainerLab> {
    await removeOrphans()
    const network = `ringman-test-${process.pid}-${++lastLab}`
    await podman(['network', 'create', '--label', `${OWNER_LABEL}=${process.pid}`, network])
    return new ContainerLab(image, network)
  }

  /** Starts a container; its member need not be ready, nor run any more, when this resolves. */
  async start(options: ContainerOptions): Promise<MemberContainer> {
    const { name, aliases = [], env = {}, podmanArgs = [], args = [] } = options
    const container = `${this.network}-${name}`
    await podman([
      'run',
      '--detach',
      '--name',
      container,
      '--hostname',
      name,
      '--label',
      `${OWNER_LABEL}=${process.pid}`,
      '--network',
      this.network,
      ...[name, ...aliases].flatMap((alias) => ['--network-alias', alias]),
      '--read-only',
      '--read-only-tmpfs=false',
      '--cap-drop',
      'all',
      '--security-opt',
      'no-new-privileges',
      ...Object.entries(env).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
      ...podmanArgs,
      this.image,
      ...args,
    ])
    return MemberContainer.of(container, name, this.network)
  }

  /** Runs a command of the image to its end, in the network. */
  command(args: readonly string[], podmanArgs: readonly string[] = []): Promise<CommandResult> {
    return tryPodman([
      'run',
      '--rm',
      '--network',
      this.network,
      '--read-only',
      '--cap-drop',
      'all',
      '--label',
      `${OWNER_LABEL}=${process.pid}`,
      '--no-healthcheck',
      ...podmanArgs,
      this.image,
      ...args,
    ])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await podman(['network', 'rm', '--force', '--time', '0', this.network])
  }
}

/** Removes what was made by processes that are no more. */
async function removeOrphans(): Promise<void> {
  const filter = ['--filter', `label=${OWNER_LABEL}`]
  const containers = await podman([
    'ps',
    '--all',
    ...filter,
    '--format',
    `{{.Names}} {{index .Labels "${OWNER_LABEL}"}}`,
  ])
  const networks = await podman(['network', 'ls', ...filter, '--format', '{{.Name}} {{.Labels}}'])
  const orphans = (text: string) =>
    text
      .split('\n')
      .map((line) => line.split(' '))
      .flatMap(([name = '', owner = '']) => {
        const pid = Number(/\d+$/.exec(owner)?.[0])
        return name === '' || isRunning(pid) ? [] : [name]
      })
  for (const name of orphans(containers)) await podman(['rm', '--force', '--time', '0', name])
  for (const name of orphans(networks)) await podman(['network', 'rm', '--force', '--time', '0', name])
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    // There is no such process.
    return false
  }
}

/** A member in a container. */
export class MemberContainer {
  /** Of the member: the host name. */
  readonly name: string
  readonly container: string
  readonly address: string
  /** Of the member, on this machine. */
  readonly pid: number
  /** Wall clock in milliseconds. */
  readonly startedAtMs: number

  private constructor(
    container: string,
    name: string,
    network: string,
    { State, NetworkSettings }: Inspected,
  ) {
    this.container = container
    this.name = name
    this.address = NetworkSettings.Networks[network]?.IPAddress ?? ''
    this.pid = State.Pid
    this.startedAtMs = Date.parse(State.StartedAt)
  }

  static async of(container: string, name: string, network: string): Promise<MemberContainer> {
    return new MemberContainer(container, name, network, await inspect(container))
  }

  get url(): string {
    return `http://${this.address}:8080`
  }

  get adminUrl(): string {
    return `http://${this.address}:8081`
  }

  /** Asks the look-up port. @throws when it does not answer 200. */
  async ask(path: string, init: RequestInit = {}): Promise<unknown> {
    const response = await fetch(`${this.url}${path}`, {
      ...init,
      signal: AbortSignal.timeout(ANSWER_DEADLINE_MS),
    })
    if (!response.ok) throw new Error(`${this.name}: ${path}: ${response.status} ${await response.text()}`)
    return response.json()
  }

  async ring(): Promise<RingView> {
    return (await this.ask('/v1/ring')) as RingView
  }

  /** Whether it says that it is ready; not reachable is not ready. */
  async isReady(): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(ANSWER_DEADLINE_MS)
      return (await fetch(`${this.adminUrl}/readyz`, { signal })).ok
    } catch {
      // It has not begun to listen, or has ended.
      return false
    }
  }

  async untilReady(): Promise<void> {
    await this.until('ready', () => this.isReady())
  }

  /** Waits until `holds`. @throws with the end of its log when it does not in time. */
  async until(
    what: string,
    holds: () => boolean | Promise<boolean>,
    patienceMs = PATIENCE_MS,
  ): Promise<void> {
    const facts = async () => {
      const { Status } = (await inspect(this.container)).State
      return `${Status}\n${(await this.log()).slice(-3000)}`
    }
    await eventually(`${this.name}: ${what}`, holds, {
      withinMs: patienceMs,
      everyMs: LOOK_INTERVAL_MS,
      facts,
    })
  }

  /** Its standard output and standard error so far. */
  async log(): Promise<string> {
    const { out, err } = await tryPodman(['logs', this.container])
    return out + err
  }

  /** The JSON lines of its log so far. */
  async events(): Promise<Record<string, unknown>[]> {
    const lines = (await this.log()).split('\n').filter((line) => line.startsWith('{'))
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  /** Sends a signal from outside, as the container engine does. */
  async signal(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    await podman(['kill', '--signal', signal, this.container])
  }

  async pause(): Promise<void> {
    await podman(['pause', this.container])
  }

  async unpause(): Promise<void> {
    await podman(['unpause', this.container])
  }

  /** Waits for its end. @returns The exit code; 128 and the signal's number after a signal. */
  async ended(): Promise<number> {
    return Number(await podman(['wait', this.container]))
  }

  /** Asks it to stop and waits for the end, as the kubelet does. @returns The exit code. */
  async stop(): Promise<number> {
    await podman(['stop', '--time', '30', this.container])
    return this.ended()
  }

  /** Removes it, whatever it does; its name and its address are free then. */
  async remove(): Promise<void> {
    await podman(['rm', '--force', '--time', '0', this.container])
  }

  /** Runs a program in it. */
  exec(args: readonly string[]): Promise<CommandResult> {
    return tryPodman(['exec', this.container, ...args])
  }

  /** Runs the image's health check, as the engine does each interval. @returns Its exit code, and the state of health. */
  async checkHealth(): Promise<{ readonly code: number; readonly status: string }> {
    const { code } = await tryPodman(['healthcheck', 'run', this.container])
    return { code, status: (await inspect(this.container)).State.Health.Status }
  }
}

async function inspect(container: string): Promise<Inspected> {
  const [found] = JSON.parse(await podman(['inspect', '--type', 'container', container])) as Inspected[]
  if (found === undefined) throw new Error(`there is no container ${container}`)
  return found
}

/**
 * Waits until these members, and nobody else, are on the ring of each of them, and their digests are equal.
 *
 * @returns The digest, and how long it took in milliseconds.
 */
export async function untilAgreed(
  members: readonly MemberContainer[],
  patienceMs = PATIENCE_MS,
): Promise<{ readonly digest: string; readonly tookMs: number }> {
  const names = members.map(({ name }) => name).sort()
  const startedMs = performance.now()
  let shown: (readonly string[] | undefined)[] = []
  const look = async () => {
    const rings = await Promise.all(members.map((member) => member.ring().catch(() => undefined)))
    shown = rings.map((ring) => ring?.nodes.map(({ name }) => name).sort())
    const [digest, ...others] = new Set(rings.map((ring) => ring?.digest))
    const isAgreed = others.length === 0 && shown.every((held) => held?.join() === names.join())
    return isAgreed && digest
  }
  const digest = await eventually(`agreement on ${names.join(', ')}`, look, {
    withinMs: patienceMs,
    everyMs: LOOK_INTERVAL_MS,
    facts: () => JSON.stringify(shown),
  })
  return { digest, tookMs: performance.now() - startedMs }
}
