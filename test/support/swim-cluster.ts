import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { freePort } from './free-port.ts'
import type {
  SwimProcessCommand,
  SwimProcessOptions,
  SwimProcessReport,
  SwimProcessStats,
} from './swim-process.ts'

const PATIENCE_MS = 60_000

/** A member process and what it last said of the others. */
export class SwimProcess {
  readonly name: string
  /** State of each member by name, as this process sees it. */
  states: Readonly<Record<string, string>> = {}
  left = false
  /** What it wrote to standard error. */
  stderr = ''
  #port = 0
  readonly #child: ChildProcess
  readonly #listeners = new Set<() => void>()

  private constructor(name: string, child: ChildProcess) {
    this.name = name
    this.#child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    child.on('message', (message: SwimProcessReport) => {
      if (message.kind === 'members') this.states = message.states
      else if (message.kind === 'left') this.left = true
      else if (message.kind === 'started') this.#port = message.port
      for (const listener of this.#listeners) listener()
    })
  }

  /** Resolves when it gossips. */
  static async start(options: SwimProcessOptions): Promise<SwimProcess> {
    const child = fork(new URL('swim-process.ts', import.meta.url), [JSON.stringify(options)], {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      execArgv: ['--expose-gc'],
    })
    // Listening from the first moment on: a report that nobody hears is not repeated.
    const member = new SwimProcess(options.name, child)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const unwatch = member.watch(() => {
      if (member.#port !== 0) resolve()
    })
    child.once('exit', () => {
      reject(new Error(`the process of ${options.name} ended before it had started: ${member.stderr}`))
    })
    await promise.finally(unwatch)
    return member
  }

  /** The port it gossips on. */
  get port(): number {
    return this.#port
  }

  send(command: SwimProcessCommand): void {
    this.#child.send(command)
  }

  /** Whether it still runs. */
  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** What it says of its memory and of what it dropped. */
  async stats(): Promise<SwimProcessStats> {
    this.send({ kind: 'stats' })
    for (;;) {
      const [message] = (await once(this.#child, 'message')) as [SwimProcessReport]
      if (message.kind === 'stats') return message.stats
    }
  }

  /** Ends it and waits until it has. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    if (!this.running) return
    const exited = once(this.#child, 'exit')
    this.#child.kill(signal)
    await exited
  }

  /** Calls `listener` at each report. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves once `check` holds; rejects after a minute. */
  until(check: (states: Readonly<Record<string, string>>) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        unwatch()
        finish()
      }
      const look = () => {
        if (check(this.states)) settle(resolve)
      }
      const unwatch = this.watch(look)
      const timer = setTimeout(() => {
        settle(() => {
          reject(new Error(`${this.name} sees after ${PATIENCE_MS} ms: ${JSON.stringify(this.states)}`))
        })
      }, PATIENCE_MS)
      look()
    })
  }

  /** Whether a member is alive or suspect here. */
  sees(name: string): boolean {
    return isLive(this.states[name])
  }
}

export const isLive = (state: string | undefined): boolean => state === 'alive' || state === 'suspect'

/** Starts `m1`, `m2`, … on ports of loopback that they may come back to, and waits until each sees all. */
export async function startSwimCluster(size: number, preset: 'lan' | 'local'): Promise<SwimProcess[]> {
  const first = await SwimProcess.start({ name: 'm1', port: await freePort(), seeds: [], preset })
  const seeds = [`127.0.0.1:${first.port}`]
  const rest = await Promise.all(
    Array.from({ length: size - 1 }, async (_, n) =>
      SwimProcess.start({ name: `m${n + 2}`, port: await freePort(), seeds, preset }),
    ),
  )
  const all = [first, ...rest]
  await seeEachOther(all)
  return all
}

/** Resolves once each of the processes sees exactly these alive. */
export async function seeEachOther(all: readonly SwimProcess[]): Promise<void> {
  const complete = (states: Readonly<Record<string, string>>) =>
    all.every(({ name }) => isLive(states[name])) &&
    Object.values(states).filter(isLive).length === all.length
  await Promise.all(all.map((member) => member.until(complete)))
}
