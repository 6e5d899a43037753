import { resolve } from 'node:path'
import { createVitest, type TestModule, type TestSpecification, type Vitest } from 'vitest/node'
import { ENDLESS, plant, type Mutant } from './mutants.ts'

/** What came of a mutant. Only a test that failed has killed it, and no time limit. Loops are `endless` by their number of rounds. */
export type Outcome = 'killed' | 'survived' | 'endless' | 'out of time'

/** How long one test may take, in milliseconds; many times what the slowest one takes. */
const TEST_LIMIT_MS = 15_000
/** How long all tests together may take over one mutant, for those that never come back. */
const RUN_LIMIT_MS = 60_000

/** A warm Vitest that runs tests over a source with a mutant in it, one run at a time. */
export class Bench {
  #vitest: Vitest | undefined
  #planted: { readonly path: string; readonly text: string } | undefined

  /**
   * Runs tests with a mutant in a file until one fails.
   *
   * @param source - The text of the mutant's file.
   * @param tests - Paths of test files, in the order in which they run.
   */
  async run(mutant: Mutant, source: string, tests: readonly string[]): Promise<Outcome> {
    this.#plant(resolve(mutant.file), plant(source, mutant))
    const timeUp = Promise.withResolvers<undefined>()
    const timer = setTimeout(() => {
      timeUp.resolve(undefined)
    }, RUN_LIMIT_MS)
    const result = await Promise.race([this.#run(tests), timeUp.promise])
    clearTimeout(timer)
    if (result === undefined) {
      await this.close()
      return 'out of time'
    }
    const said = (what: RegExp) => result.errors.some((error) => what.test(error))
    if (said(ENDLESS) || said(/Worker .*(exited|terminated)/)) return 'endless'
    if (said(/timed out in/)) return 'out of time'
    return result.errors.length > 0 ? 'killed' : 'survived'
  }

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
        // One process for each run, in which the files share what they import.
        pool: 'forks',
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
