import { fork, type ChildProcess } from 'node:child_process'
import { resolve } from 'node:path'
import {
  createVitest,
  type PoolOptions,
  type PoolWorker,
  type TestModule,
  type TestSpecification,
  type Vitest,
} from 'vitest/node'
import { ENDLESS, plant, type Mutant } from './mutants.ts'

/** What came of a mutant. Only a test that failed has killed it, and no time limit. Loops are `endless` by their number of rounds. */
export type Outcome = 'killed' | 'survived' | 'endless' | 'out of time'

/** How long one test may take, in milliseconds; many times what the slowest one takes. */
const TEST_LIMIT_MS = 15_000
/** A mutant that gathers without end runs out of memory soon, and not when the machine's is used up. */
const HEAP_MIB = 768

/** A warm Vitest that runs tests over a source with a mutant in it, one run at a time, each in a new process. */
export class Bench {
  #vitest: Vitest | undefined
  #worker: Worker | undefined
  #planted: { readonly path: string; readonly text: string } | undefined

  /**
   * Runs tests with a mutant in a file until one fails.
   *
   * @param source - The text of the mutant's file.
   * @param tests - Paths of test files, in the order in which they run.
   * @param limitMs - How long they may take all together, for those that never come back.
   */
  async run(mutant: Mutant, source: string, tests: readonly string[], limitMs: number): Promise<Outcome> {
    this.#plant(resolve(mutant.file), plant(source, mutant))
    let isTimeUp = false
    const timer = setInterval(() => {
      isTimeUp = true
      // A process whose event loop is held hears nothing else.
      this.#worker?.kill()
    }, limitMs)
    const result = await this.#run(tests)
    clearInterval(timer)
    if (isTimeUp) return 'out of time'
    const said = (what: RegExp) => result.errors.some((error) => what.test(error))
    if (said(ENDLESS) || said(/Worker .*(exited|terminated)/)) return 'endless'
    if (said(/timed out in/)) return 'out of time'
    return result.errors.length > 0 ? 'killed' : 'survived'
  }

  /** The test file that failed in the last run, if one did. */
  killer: string | undefined

  /** Runs tests over the sources as they are, and gives what went wrong and the milliseconds that each file took. */
  measure(
    tests: readonly string[],
  ): Promise<{ readonly errors: string[]; readonly times: ReadonlyMap<string, number> }> {
    const planted = this.#planted?.path
    this.#planted = undefined
    if (planted !== undefined) this.#vitest?.invalidateFile(planted)
    return this.#run(tests)
  }

  async #run(
    tests: readonly string[],
  ): Promise<{ readonly errors: string[]; readonly times: ReadonlyMap<string, number> }> {
    const vitest = (this.#vitest ??= await this.#open())
    const specifications = tests.map((test) => vitest.projects[0]!.createSpecification(resolve(test)))
    const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications)
    this.killer = testModules.find((module) => errorsOf(module).length > 0)?.relativeModuleId
    return {
      errors: [...unhandledErrors.map((error) => (error as Error).message), ...testModules.flatMap(errorsOf)],
      times: new Map(testModules.map((module) => [module.relativeModuleId, module.diagnostic().duration])),
    }
  }

  async close(): Promise<void> {
    const vitest = this.#vitest
    this.#vitest = undefined
    await vitest?.close()
  }

  #open(): Promise<Vitest> {
    return createVitest(
      'test',
      {
        config: false,
        watch: false,
        // One process for each run, in which the files share what they import. Several mutants in one would be
        // quicker, but what one leaves behind could make tests of the next one fail.
        pool: { name: 'mutants', createPoolWorker: (options) => (this.#worker = new Worker(options)) },
        execArgv: [`--max-old-space-size=${HEAP_MIB}`],
        isolate: false,
        maxWorkers: 1,
        fsModuleCache: false,
        bail: 1,
        testTimeout: TEST_LIMIT_MS,
        setupFiles: [resolve('tools/mutation/setup.ts')],
        sequence: { sequencer: GivenOrder },
        reporters: [{}],
      },
      {
        plugins: [
          {
            name: 'mutant',
            enforce: 'pre',
            load: (id) => (id === this.#planted?.path ? this.#planted.text : undefined),
          },
        ],
        server: { watch: null },
      },
    )
  }

  #plant(path: string, text: string): void {
    const before = this.#planted?.path
    this.#planted = { path, text }
    for (const changed of new Set([before ?? path, path])) this.#vitest?.invalidateFile(changed)
  }
}

type Listener = Parameters<PoolWorker['on']>[1]

/** The process of Vitest's pool `forks`, which can be killed, and is where its work is done. */
class Worker implements PoolWorker {
  readonly name = 'mutants'
  readonly cacheFs = true
  readonly #options: PoolOptions
  #process: ChildProcess | undefined

  constructor(options: PoolOptions) {
    this.#options = options
  }

  start(): Promise<void> {
    const { distPath, execArgv, env } = this.#options
    const entry = resolve(distPath, 'workers/forks.js')
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
