import { fork, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import {
  createVitest,
  type PoolOptions,
  type PoolWorker,
  type TestModule,
  type TestSpecification,
  type Vitest,
} from 'vitest/node'
import { Ledger, type Entry, type Task } from './ledger.ts'
import { plantCounters } from './plant.ts'
import { LEAST_ROUND_LIMIT } from './switch.ts'

/** How long one test may take, in milliseconds; many times what the slowest one takes. */
const TEST_LIMIT_MS = 15_000
/** Between two looks at what a process has told. */
const LOOK_MS = 100
/** How many times as long a process may take to begin as it may then tell nothing. */
const START_TIMES = 10
/** A mutant that gathers without end runs out of memory soon, and not when the machine's is used up. */
const HEAP_MIB = 768

/** A warm Vitest that runs tests over sources with mutants in them, one run at a time, each in a new process. */
export class Bench {
  readonly #texts: ReadonlyMap<string, string>
  readonly #folder = mkdtempSync(join(tmpdir(), 'mutation-'))
  readonly #environment = {
    MUTATION_TASK: join(this.#folder, 'task.json'),
    MUTATION_LEDGER: join(this.#folder, 'ledger'),
  }
  readonly #ledger = new Ledger(this.#environment.MUTATION_LEDGER)
  #vitest: Vitest | undefined
  #worker: Worker | undefined

  /** @param texts - By the path of a source, its text with mutants in it. */
  constructor(texts: ReadonlyMap<string, string>) {
    this.#texts = new Map([...texts].map(([path, text]) => [resolve(path), text]))
  }

  /**
   * Runs tests over mutants until each test was run over its mutants, or each mutant had its turn. A mutant that ends the
   * process, or holds it up, is set aside, and another process goes on.
   *
   * @param files - Paths of test files, in the order in which they run.
   * @param limitMs - For how long a process may tell nothing; ten times as long until it tells something, since it has no mutant yet.
   */
  async try(task: Task, files: readonly string[], limitMs: number): Promise<Entry[]> {
    this.#begin(task)
    let known = -1
    for (;;) {
      const { errors, isTimeUp } = await this.#run(files, limitMs)
      const entries = this.#ledger.entries()
      if (isOver(task, entries)) return entries
      if (entries.length === known) throw new Error(`tests fail without a mutant: ${errors.join('\n')}`)
      known = entries.length
      const last = entries.at(-1)
      if (last?.kind !== 'begun') continue
      // Nothing but a lack of memory ends a process by itself.
      this.#ledger.add({ kind: 'ended', id: last.id, outcome: isTimeUp ? 'out of time' : 'endless' })
    }
  }

  /** Runs all tests over the sources as they are, to see what each comes by. */
  async reach(files: readonly string[], limitMs: number): Promise<Entry[]> {
    this.#begin({ kind: 'reach', alive: [], tests: {}, roundLimit: LEAST_ROUND_LIMIT })
    const { errors: all } = await this.#run(files, limitMs)
    // A test that is too slow with so many switches around it is left out.
    const errors = all.filter((error) => !error.includes('timed out in'))
    if (errors.length > 0) throw new Error(`tests fail without a mutant: ${errors.join('\n')}`)
    return this.#ledger.entries()
  }

  async close(): Promise<void> {
    await this.#vitest?.close()
    rmSync(this.#folder, { recursive: true })
  }

  #begin(task: Task): void {
    writeFileSync(this.#environment.MUTATION_TASK, JSON.stringify(task))
    writeFileSync(this.#ledger.path, '')
  }

  async #run(
    files: readonly string[],
    limitMs: number,
  ): Promise<{ readonly errors: string[]; readonly isTimeUp: boolean; readonly killer: string | undefined }> {
    const vitest = (this.#vitest ??= await this.#open())
    let isTimeUp = false
    let size = statSync(this.#ledger.path).size
    let leftMs = START_TIMES * limitMs
    // Counted by looks: time in which the machine stood still is not the mutant's.
    const timer = setInterval(() => {
      const now = statSync(this.#ledger.path).size
      leftMs = now === size ? leftMs - LOOK_MS : limitMs
      size = now
      isTimeUp = leftMs <= 0
      // A process whose event loop is held hears nothing else.
      if (isTimeUp) this.#worker?.kill()
    }, LOOK_MS)
    const specifications = files.map((test) => vitest.projects[0]!.createSpecification(resolve(test)))
    const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications)
    clearInterval(timer)
    return {
      errors: [...unhandledErrors.map((error) => (error as Error).message), ...testModules.flatMap(errorsOf)],
      isTimeUp,
      killer: testModules.find((module) => errorsOf(module).length > 0)?.relativeModuleId,
    }
  }

  #open(): Promise<Vitest> {
    return createVitest(
      'test',
      {
        config: false,
        watch: false,
        // One process for each run, in which the files share what they import.
        pool: {
          name: 'mutants',
          createPoolWorker: (options) => (this.#worker = new Worker(options, this.#environment)),
        },
        execArgv: [`--max-old-space-size=${HEAP_MIB}`],
        isolate: false,
        maxWorkers: 1,
        fsModuleCache: false,
        testTimeout: TEST_LIMIT_MS,
        runner: resolve('tools/mutation/runner.ts'),
        sequence: { sequencer: GivenOrder },
        reporters: [{}],
      },
      {
        plugins: [{ name: 'mutants', enforce: 'pre', load: (id) => this.#texts.get(id) ?? counted(id) }],
        server: { watch: null },
      },
    )
  }
}

/** Whether each test was run over its mutants, or each mutant had its turn. */
function isOver({ kind, alive, tests }: Task, entries: readonly Entry[]): boolean {
  if (kind === 'try') {
    const tried = new Set(entries.flatMap((entry) => (entry.kind === 'tried' ? [entry.test] : [])))
    return Object.keys(tests).every((test) => tried.has(test))
  }
  const over = new Set(
    entries.map((entry) => (entry.kind === 'ended' || entry.kind === 'tried' ? entry.id : undefined)),
  )
  return alive.every((id) => over.has(id))
}

function counted(id: string): string | undefined {
  return id.startsWith(resolve('test')) && id.endsWith('.ts')
    ? plantCounters(readFileSync(id, 'utf8'))
    : undefined
}

/** What came of a mutant. Only a test that failed has killed it, and no time limit. Loops are `endless` by their number of rounds. */
export type Outcome = 'killed' | 'survived' | 'endless' | 'out of time'

type Listener = Parameters<PoolWorker['on']>[1]

/** The process in which Vitest's work is done; it can be killed. */
class Worker implements PoolWorker {
  readonly name = 'mutants'
  readonly cacheFs = true
  readonly #options: PoolOptions
  #process: ChildProcess | undefined

  constructor(options: PoolOptions, environment: Readonly<Record<string, string>>) {
    this.#options = { ...options, env: { ...options.env, ...environment } }
  }

  start(): Promise<void> {
    const { execArgv, env } = this.#options
    const entry = resolve('tools/mutation/worker.ts')
    // What a mutant says is of no use, and may be endless.
    this.#process = fork(entry, [], {
      execArgv,
      env,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
    })
    return Promise.resolve()
  }

  stop(): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
    const exit = Promise.withResolvers<void>()
    child.once('exit', () => {
      exit.resolve()
    })
    this.kill()
    return exit.promise
  }

  kill(): void {
    this.#process?.kill('SIGKILL')
  }

  send(message: Parameters<PoolWorker['send']>[0]): void {
    if (this.#process?.connected === true) this.#process.send(message, () => undefined)
  }

  on(event: string, listener: Listener): void {
    this.#process?.on(event, listener)
  }

  off(event: string, listener: Listener): void {
    this.#process?.off(event, listener)
  }

  deserialize(data: unknown): unknown {
    return data
  }
}

class GivenOrder {
  shard(files: TestSpecification[]): TestSpecification[] {
    return files
  }
  sort(files: TestSpecification[]): TestSpecification[] {
    return files
  }
}

function errorsOf(module: TestModule): string[] {
  const failed = [...module.children.allTests('failed')].flatMap((test) => test.result().errors ?? [])
  return [...module.errors(), ...failed].map((error) => [error.message, error.cause?.message].join(' '))
}
