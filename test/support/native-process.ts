import { spawn, type ChildProcess } from 'node:child_process'

/** How much of a program's output is kept for a failure's message, in characters. */
const OUTPUT_LIMIT = 20_000
const STOP_DEADLINE_MS = 10_000

/**
 * A program that is not Node, run by a test. The kernel kills it when the test's process dies; so nothing is left
 * behind, however a run ends.
 */
export class NativeProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #program: string
  readonly #ended: Promise<void>
  #isOver = false
  #output = ''

  /** @param args - Without the program's name. */
  constructor(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#program = [program, args[0] ?? ''].join(' ')
    this.#child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_LIMIT)
      })
    }
    this.#ended = new Promise((resolve) => {
      const over = () => {
        this.#isOver = true
        resolve()
      }
      this.#child.on('error', (error) => {
        this.#output += `could not be started: ${error.message}\n`
        over()
      })
      this.#child.on('close', over)
    })
  }

  get isOver(): boolean {
    return this.#isOver
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** The end of what it wrote. */
  get output(): string {
    return this.#output
  }

  /** @throws {Error} with the end of its output, when it is over. */
  assertRunning(): void {
    if (this.#isOver) throw new Error(`${this.#program} ended:\n${this.#output}`)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Asks it to end, and kills it when it does not within 10 s. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    // A stopped process does not see the signal before it continues.
    this.#child.kill('SIGCONT')
    const tooLate = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS)
    await this.#ended
    clearTimeout(tooLate)
  }

  /** Kills it, without a chance to say goodbye. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}
