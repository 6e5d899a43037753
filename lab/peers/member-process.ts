import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'
import { parseMemberLine, type Answer, type MemberLine, type Notice } from './member-protocol.ts'
import { ShownMembers } from './shown-members.ts'

/** How long a command's answer may take, in milliseconds. */
const ANSWER_DEADLINE_MS = 60_000
/** How long a program may take from its start to `ready`, in milliseconds; slow when a hundred start at once. */
const READY_DEADLINE_MS = 60_000
/** How long a program may take to end once its input is closed, before it is killed, in milliseconds. */
const END_DEADLINE_MS = 2000
/** How much of standard error is kept for a failure's message, in characters. */
const STDERR_LIMIT = 8192

/** What to run. The settings are added as the last argument, in JSON. */
export interface MemberCommand {
  readonly command: string
  readonly args: readonly string[]
  readonly settings: { readonly name: string }
}

/**
 * A member program under test, driven over its standard input and output. It ends when its input is closed, so
 * that it cannot outlive this process.
 */
export class MemberProcess implements AsyncDisposable {
  readonly name: string
  readonly view = new ShownMembers()
  /** Every view event and notice so far, oldest first; answers are not among them. */
  readonly lines: Exclude<MemberLine, Answer>[] = []
  readonly #child: ChildProcessWithoutNullStreams
  readonly #answers = new Map<number, (answer: Answer) => void>()
  readonly #listeners = new Set<(line: MemberLine) => void>()
  readonly #waiters = new Set<() => void>()
  /** Resolves when the program has ended, for whatever reason. */
  readonly ended: Promise<void>
  #lastId = 0
  #stderr = ''
  #failure: Error | undefined

  private constructor(command: MemberCommand) {
    this.name = command.settings.name
    this.#child = spawn(command.command, [...command.args, JSON.stringify(command.settings)])
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_LIMIT)
    })
    this.#child.stdin.on('error', () => {
      // The program has gone while it was spoken to: its end is told by `exit`.
    })
    createInterface({ input: this.#child.stdout }).on('line', (text) => {
      this.#take(text)
    })
    this.ended = new Promise((resolve) => {
      this.#child.on('error', (error) => {
        this.#fail(error.message)
        resolve()
      })
      this.#child.on('close', (code, signal) => {
        this.#fail(`ended with ${signal ?? `status ${code}`}`)
        resolve()
      })
    })
  }

  /** Starts a program without waiting until it is ready; its listeners get every line. */
  static spawn(command: MemberCommand): MemberProcess {
    return new MemberProcess(command)
  }

  /** Starts a program and waits until it is ready. */
  static async start(command: MemberCommand): Promise<MemberProcess> {
    const member = new MemberProcess(command)
    try {
      await member.ready()
    } catch (error) {
      await member.end()
      throw error
    }
    return member
  }

  get pid(): number {
    const { pid } = this.#child
    if (pid === undefined) throw this.explain('has no process')
    return pid
  }

  get running(): boolean {
    return this.#failure === undefined
  }

  get isReady(): boolean {
    return this.lines.some((line) => line.type === 'ready')
  }

  /** What the program said of itself when it was ready. */
  get facts(): Readonly<Record<string, unknown>> {
    const ready = this.lines.find((line): line is Notice => line.type === 'ready')
    if (ready === undefined) throw this.explain('is not ready')
    return ready.fields
  }

  /** `host:port` of its gossip, for others to join. */
  get gossipAddress(): string {
    const { address, port } = this.facts as { address: string; port: number }
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  }

  ready(deadlineMs = READY_DEADLINE_MS): Promise<void> {
    return this.until('ready', () => this.isReady, deadlineMs)
  }

  /** Calls `listener` with every line from now on. */
  subscribe(listener: (line: MemberLine) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /**
   * Carries out a command.
   *
   * @returns The answer's result.
   * @throws {Error} when the program answers with an error, ends, or does not answer in time.
   */
  async command(
    action: string,
    fields: Readonly<Record<string, unknown>> = {},
    deadlineMs = ANSWER_DEADLINE_MS,
  ): Promise<unknown> {
    const id = ++this.#lastId
    let answer: Answer | undefined
    this.#answers.set(id, (given) => {
      answer = given
    })
    this.#child.stdin.write(`${JSON.stringify({ id, do: action, ...fields })}\n`)
    try {
      await this.until(`the answer to ${action}`, () => answer !== undefined, deadlineMs)
    } finally {
      this.#answers.delete(id)
    }
    if (answer?.error !== undefined) throw this.explain(`refused ${action}: ${answer.error}`)
    return answer?.result
  }

  /**
   * Waits until `holds`, which is asked again after each line.
   *
   * @throws {Error} with the end of standard error, when the deadline passes or the program ends first.
   */
  until(what: string, holds: () => boolean, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer)
        this.#waiters.delete(ask)
        settle()
      }
      const ask = () => {
        if (holds()) {
          finish(resolve)
        } else if (this.#failure !== undefined) {
          finish(() => {
            reject(this.explain(`while waiting for ${what}`))
          })
        }
      }
      const timer = setTimeout(() => {
        finish(() => {
          reject(this.explain(`not within ${deadlineMs} ms: ${what}`))
        })
      }, deadlineMs)
      this.#waiters.add(ask)
      ask()
    })
  }

  /** Waits until exactly these members are shown. */
  untilShown(names: readonly string[], deadlineMs: number): Promise<void> {
    const expected = names.toSorted()
    return this.until(`showing ${expected.join(', ')}`, () => this.view.equals(expected), deadlineMs)
  }

  /** Sends a signal; a program that has ended ignores it. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.#child.kill(signal)
  }

  /** Kills the program as a crash would: it tells nobody. */
  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.ended
  }

  /** Ends the program without a word to the other members. Idempotent. */
  async end(): Promise<void> {
    this.#child.stdin.end()
    this.signal('SIGCONT')
    const timer = setTimeout(() => {
      this.signal('SIGKILL')
    }, END_DEADLINE_MS)
    await this.ended
    clearTimeout(timer)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end()
  }

  #take(text: string): void {
    let line: MemberLine
    try {
      line = parseMemberLine(text)
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error))
      this.signal('SIGKILL')
      return
    }
    if (line.type === 'answer') {
      this.#answers.get(line.id)?.(line)
    } else {
      this.lines.push(line)
      this.view.apply(line)
    }
    for (const listener of this.#listeners) listener(line)
    this.#wake()
  }

  #fail(reason: string): void {
    this.#failure ??= new Error(`${this.name} ${reason}`)
    this.#wake()
  }

  #wake(): void {
    for (const ask of this.#waiters) ask()
  }

  /** An error that says `what`, with what this program shows and the end of its standard error. */
  explain(what: string): Error {
    const shown = [...this.view.names].sort().join(', ')
    return new Error(
      `${this.name}: ${what}${this.#failure === undefined ? '' : ` (${this.#failure.message})`}\n` +
        `It shows: ${shown === '' ? 'nobody' : shown}\nThe end of its standard error:\n${this.#stderr}`,
    )
  }
}
