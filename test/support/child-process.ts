import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A port of a member. */
export interface Listener {
  readonly url: string
  readonly host: string
  readonly port: number
}

/** How long a test waits for a process to do something before it fails, in milliseconds: long, for machines that are busy. */
const PATIENCE_MS = 60_000

/** A Node.js process that a test runs, with the lines that it prints. */
export class TestProcess implements AsyncDisposable {
  readonly child: ChildProcess
  readonly outLines: string[] = []
  readonly errLines: string[] = []
  /** Settles when the process is over and all its lines are here. */
  readonly ended: Promise<ProcessEnd>
  #isOver = false
  readonly #waiting = new Set<() => void>()

  /**
   * @param args - Of `node`: a script and its arguments.
   * @param options - `prefix`: a command, and its first arguments, that is to run the program.
   */
  constructor(
    args: readonly string[],
    options: {
      readonly env?: Readonly<Record<string, string>>
      readonly ipc?: boolean
      /** A number is an open file descriptor. */
      readonly stdout?: 'pipe' | 'ignore' | number
      readonly prefix?: readonly string[]
    } = {},
  ) {
    const { env, ipc = false, stdout = 'pipe', prefix = [] } = options
    const inherited = Object.entries(process.env).filter(
      ([name]) => !/^(RINGMAN_|OTEL_|NODE_OPTIONS|VITEST|FORCE_)/.test(name),
    )
    const [command = process.execPath, ...rest] = [...prefix, process.execPath, ...args]
    this.child = spawn(command, rest, {
      stdio: ['ignore', stdout, 'pipe', ...(ipc ? ['ipc' as const] : [])],
      env: { ...Object.fromEntries(inherited), NO_COLOR: '1', ...env },
    })
    const collected = [
      this.#collect(this.child.stdout, this.outLines),
      this.#collect(this.child.stderr, this.errLines),
    ]
    // Not `close`: it does not come once the parent has closed the IPC channel.
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => {
        void Promise.all(collected).then(() => {
          this.#isOver = true
          this.#wake()
          resolve({ code, signal })
        })
      })
    })
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get out(): string {
    return this.outLines.map((line) => `${line}\n`).join('')
  }

  get err(): string {
    return this.errLines.map((line) => `${line}\n`).join('')
  }

  /** The lines of standard output that are JSON objects. */
  get events(): Record<string, unknown>[] {
    return this.outLines.flatMap((line) => {
      try {
        return [JSON.parse(line) as Record<string, unknown>]
      } catch {
        return []
      }
    })
  }

  /** Waits until `find` gives something, looking again at each line. */
  async until<T>(what: string, find: () => T | undefined, patienceMs = PATIENCE_MS): Promise<T> {
    const deadline = AbortSignal.timeout(patienceMs)
    for (;;) {
      const found = find()
      if (found !== undefined) return found
      if (this.#isOver || deadline.aborted) {
        const why = deadline.aborted ? `not within ${patienceMs} ms` : 'the process ended'
        throw new Error(`waited for ${what}: ${why}\n--- stdout\n${this.out}--- stderr\n${this.err}`)
      }
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake)
          deadline.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiting.add(wake)
        deadline.addEventListener('abort', wake)
      })
    }
  }

  /** Waits for a JSON line with this `event`. */
  event(
    name: string,
    matches: (fields: Record<string, unknown>) => boolean = () => true,
  ): Promise<Record<string, unknown>> {
    return this.until(`the event ${name}`, () =>
      this.events.find((fields) => fields['event'] === name && matches(fields)),
    )
  }

  /** Waits until a member is ready. @returns Its ports; those that it does not have are undefined. */
  async ready(): Promise<Readonly<Record<'http' | 'admin' | 'gossip' | 'proxy', Listener>>> {
    return (await this.event('ready')) as Record<'http' | 'admin' | 'gossip' | 'proxy', Listener>
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }

  /** Resolves when the stream is over, also when the test has destroyed it. */
  async #collect(stream: Readable | null, lines: string[]): Promise<void> {
    if (stream === null) return
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      this.#wake()
    })
    await once(stream, 'close')
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}

/** The command `ringman`, run from source. */
export function ringman(
  args: readonly string[],
  options?: ConstructorParameters<typeof TestProcess>[1],
): TestProcess {
  return new TestProcess([new URL('../../src/cli.ts', import.meta.url).pathname, ...args], options)
}

/** Flags of two members that are listed. */
export const STATIC = ['--source', 'static', '--static-members', '10.0.0.1:8000,10.0.0.2:8000']

/** Flags for a free port of gossip on loopback. */
export const GOSSIP_PORT = ['--bind', '127.0.0.1', '--gossip-port', '0']

/** Flags of a member that gossips on loopback. */
export const GOSSIP = [...GOSSIP_PORT, '--preset', 'local']

/** Flags for free ports of HTTP on loopback. */
export const HTTP_PORTS = ['--http-host', '127.0.0.1', '--http-port', '0', '--admin-port', '0']

/** The command `serve` on free ports of loopback, without a drain; flags count over these. */
export function serve(
  args: readonly string[],
  options?: ConstructorParameters<typeof TestProcess>[1],
): TestProcess {
  return ringman(['serve', ...HTTP_PORTS, '--drain', '0', ...args], options)
}
