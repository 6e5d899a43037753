import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'
import { asciiJson } from '../src/http/respond.ts'
import type { RingNode } from '../src/ring/node.ts'

/** A key as a driver gets it. */
export type DriverKey = { readonly text: string } | { readonly hex: string }

/** How a driver is to open its client. */
export interface OpenRequest {
  readonly urls: readonly string[]
  /** `NAMESPACE/NAME` of a HashRing. */
  readonly ring?: string
  readonly timeoutMs?: number
  readonly silenceMs?: number
  readonly staleAfterMs?: number
  readonly whenStale?: 'go-on' | 'throw'
  readonly ringFile?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** What a driver may be asked. README.md says what it answers. */
export type DriverRequest =
  | ({ readonly op: 'open' } & OpenRequest)
  | { readonly op: 'ready'; readonly timeoutMs: number }
  | { readonly op: 'owner'; readonly key: DriverKey }
  | { readonly op: 'owners'; readonly keys: readonly DriverKey[]; readonly n: number }
  | { readonly op: 'state' }
  | { readonly op: 'shares' }
  | { readonly op: 'changes' }
  | { readonly op: 'change'; readonly timeoutMs: number }
  | { readonly op: 'moved'; readonly from: readonly RingNode[]; readonly to: readonly RingNode[] }
  | {
      readonly op: 'plan'
      readonly leave: readonly string[]
      readonly join: readonly RingNode[]
      readonly reweight: readonly { readonly ringKey: string; readonly weight: number }[]
    }
  | { readonly op: 'close' }

/** Fields of all answers; each has those of its request. */
export interface DriverAnswer {
  readonly error?: string
  readonly unsupported?: boolean
  readonly ready?: boolean
  readonly node?: RingNode
  readonly owners?: readonly (readonly string[])[]
  readonly digest?: string | null
  readonly ageMs?: number | null
  readonly stale?: boolean
  readonly shares?: Readonly<Record<string, number>>
  readonly timeout?: boolean
  readonly share?: number
  readonly stretches?: readonly (readonly [number, number, string | null, string | null])[]
  readonly after?: string
  readonly movedShare?: number
  readonly moves?: readonly {
    readonly from: string | null
    readonly to: string | null
    readonly share: number
  }[]
}

/** How long a driver may take for an answer, in milliseconds. */
const PATIENCE_MS = 20_000

/** A client in some language, behind the program that drives it. */
export class Driver implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #waiting: {
    readonly resolve: (answer: DriverAnswer) => void
    readonly reject: (error: Error) => void
  }[] = []
  #failure: Error | undefined

  constructor(command: readonly string[]) {
    const [program = '', ...args] = command
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr.pipe(process.stderr, { end: false })
    this.#child.stdin.on('error', () => {
      // It has ended, which is told below.
    })
    this.#child.on('error', (error) => {
      this.#fail(error)
    })
    this.#child.on('exit', (code, signal) => {
      this.#fail(new Error(`the driver ended (${code ?? signal})`))
    })
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      let answer: DriverAnswer
      try {
        answer = JSON.parse(line) as DriverAnswer
      } catch {
        this.#fail(new Error(`the driver printed what is not JSON: ${line.slice(0, 200)}`))
        return
      }
      this.#waiting.shift()?.resolve(answer)
    })
  }

  async ask(request: DriverRequest): Promise<DriverAnswer> {
    if (this.#failure !== undefined) throw this.#failure
    const { promise, resolve, reject } = Promise.withResolvers<DriverAnswer>()
    const timer = setTimeout(() => {
      this.#fail(new Error(`the driver did not answer "${request.op}" within ${PATIENCE_MS / 1000} s`))
    }, PATIENCE_MS)
    this.#waiting.push({ resolve, reject })
    // ASCII, as not every language ends a line at line feeds alone.
    this.#child.stdin.write(`${asciiJson(request)}\n`)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#child.once('exit', () => {
      resolve()
    })
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 2000)
    await promise
    clearTimeout(timer)
  }

  #fail(error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }
}
