import { setImmediate } from 'node:timers/promises'
import { configureGlobal } from 'fast-check'
import {
  TestRunner,
  vi,
  type RunnerTask,
  type RunnerTestCase,
  type RunnerTestFile,
  type RunnerTestSuite,
} from 'vitest'
import { Ledger, taskOf } from './ledger.ts'

// The same values for each mutant, and no search for the smallest counterexample: one that fails is enough.
configureGlobal({ seed: 1, endOnFailure: true })

const task = taskOf(process.env)
const ledger = new Ledger(process.env['MUTATION_LEDGER']!)
const { mutation } = globalThis
const alive = new Set(task.alive)
const done = new Set<string>()
/** What was begun by the process before this one, which did not end it: never again. */
const begun = new Map<string, Set<number>>()
for (const entry of ledger.entries()) {
  if (entry.kind === 'tried') done.add(entry.test)
  else if (entry.kind === 'begun') {
    const of = begun.get(entry.test) ?? new Set()
    begun.set(entry.test, of.add(entry.id))
  } else if (entry.kind === 'ended' && entry.outcome !== 'waited') alive.delete(entry.id)
}

/** Runs each test over many mutants, one after the other, in one process. */
// oxlint-disable-next-line import/no-default-export -- what Vitest takes as its runner
export default class MutationRunner extends TestRunner {
  override async onBeforeRunTask(test: RunnerTask): Promise<void> {
    if (task.kind === 'reach') {
      const reached = mutation.takeReached()
      if (reached.length > 0) ledger.add({ kind: 'imported', reached })
    }
    if (task.kind !== 'reach' && (task.tests[nameOf(test)] === undefined || done.has(nameOf(test))))
      test.mode = 'skip'
    await super.onBeforeRunTask(test)
  }

  onCollected(files: readonly RunnerTestFile[]): void {
    // With the mutant a file cannot even be imported.
    const broken = files.find(({ result }) => result?.state === 'fail')
    if (broken !== undefined) mutation.failedTest ??= broken.name
  }

  async runTask(test: RunnerTestCase): Promise<void> {
    const run = TestRunner.getTestFn(test)
    const name = nameOf(test)
    if (task.kind === 'one') {
      if (mutation.failedTest !== undefined) return
      try {
        await run()
      } catch (error) {
        mutation.failedTest = name
        mutation.isOutOfTime = isTimeLimit(messageOf(error))
      }
      return
    }
    const startedMs = performance.now()
    await run()
    const timeMs = performance.now() - startedMs
    if (task.kind === 'reach') {
      ledger.add({
        kind: 'ran',
        test: name,
        timeMs,
        reached: mutation.takeReached(),
        roundLimit: mutation.roundLimit,
      })
      return
    }
    const before = begun.get(name)
    for (const id of task.tests[name]!) {
      if (!alive.has(id) || before?.has(id) === true) continue
      // The process hears Vitest only between tests.
      await setImmediate()
      ledger.add({ kind: 'begun', id, test: name })
      mutation.set(id)
      const failure = await failureOf(test)
      const { isMet, isEndless, isTestEndless } = mutation
      mutation.set(-1)
      if (isEndless) {
        this.#end(id, 'endless')
      } else if (isTestEndless) {
        // Another test may notice it all the same.
        ledger.add({ kind: 'ended', id, outcome: 'waited' })
      } else if (failure !== undefined && isTimeLimit(failure)) {
        this.#end(id, 'out of time')
        // What still runs would run into the next mutant.
        process.kill(process.pid, 'SIGKILL')
      } else if (failure === undefined) {
        if (!isMet) this.#end(id, 'unmet')
      } else {
        this.#end(id, 'killed')
        // What a mutant leaves behind must not kill the next one.
        if ((await failureOf(test)) !== undefined) process.kill(process.pid, 'SIGKILL')
      }
    }
    ledger.add({ kind: 'tried', test: name })
  }

  #end(id: number, outcome: 'killed' | 'endless' | 'out of time' | 'unmet'): void {
    alive.delete(id)
    ledger.add({ kind: 'ended', id, outcome })
  }
}

/** Runs a test once more, with what stands before and after each test of its suites; the message where it fails. */
async function failureOf(test: RunnerTestCase): Promise<string | undefined> {
  const suites: RunnerTestSuite[] = []
  for (
    let suite: RunnerTestSuite | undefined = test.suite ?? test.file;
    suite !== undefined;
    suite = suite.suite
  )
    suites.unshift(suite)
  const hooks = (name: 'beforeEach' | 'afterEach') =>
    suites.flatMap((suite) => TestRunner.getSuiteHooks(suite)[name].map((hook) => [hook, suite] as const))
  try {
    for (const [hook, suite] of hooks('beforeEach')) await hook(test.context, suite)
    await TestRunner.getTestFn(test)()
    for (const [hook, suite] of hooks('afterEach')) await hook(test.context, suite)
    return undefined
  } catch (error) {
    return messageOf(error)
  } finally {
    vi.restoreAllMocks()
  }
}

/** The name of a test, with its file and its suites. Tests of one name count as one. */
function nameOf(test: RunnerTask): string {
  const parts: string[] = []
  for (let part: RunnerTask | undefined = test; part !== undefined; part = part.suite)
    parts.unshift(part.name)
  return [test.file.name, ...parts].join(' > ')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.message} ${String(error.cause)}` : String(error)
}

function isTimeLimit(message: string): boolean {
  return message.includes('timed out in')
}
