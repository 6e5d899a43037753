/** `node conformance/run.ts -- PROGRAM ARGUMENTS`: proves a client, see README.md. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Driver } from './driver.ts'
import { VECTORS_FILE, type Vectors } from './make-vectors.ts'
import { Client, SCENARIOS, type Scenario } from './scenarios.ts'

/** How one scenario ended. */
export interface Result {
  readonly name: string
  readonly outcome: 'passed' | 'failed' | 'left out'
  /** Why, unless it passed. */
  readonly why: string
}

export const TYPESCRIPT_DRIVER = [
  process.execPath,
  new URL('typescript-driver.ts', import.meta.url).pathname,
] as const

/** Clients that are proved at the same time: the scenarios mostly wait. */
const AT_ONCE = 6

/**
 * Plays scenarios to a client.
 *
 * @param command - The driver: a program and its arguments.
 * @param options - `only` is a part of the name of the scenarios to play; `report` hears of each as it ends.
 */
export async function runKit(
  command: readonly string[],
  options: { readonly only?: string | undefined; readonly report?: (result: Result) => void } = {},
): Promise<Result[]> {
  const vectors = JSON.parse(readFileSync(VECTORS_FILE, 'utf8')) as Vectors
  const results: Result[] = []
  const left = SCENARIOS.filter(({ name }) => name.includes(options.only ?? ''))
  const work = async () => {
    let driver: Driver | undefined
    for (let scenario = left.shift(); scenario !== undefined; scenario = left.shift()) {
      driver ??= new Driver(command)
      const result = await play(scenario, driver, vectors)
      results.push(result)
      options.report?.(result)
      if (result.outcome !== 'failed') continue
      // It may be in any state.
      await driver[Symbol.asyncDispose]()
      driver = undefined
    }
    await driver?.[Symbol.asyncDispose]()
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, left.length) }, work))
  return results
}

async function play(scenario: Scenario, driver: Driver, vectors: Vectors): Promise<Result> {
  const { name } = scenario
  try {
    const why = await scenario.run(new Client(driver), vectors)
    await driver.ask({ op: 'close' })
    return { name, outcome: why === undefined ? 'passed' : 'left out', why: why ?? '' }
  } catch (error) {
    return { name, outcome: 'failed', why: error instanceof Error ? error.message : String(error) }
  }
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    options: { only: { type: 'string' } },
    allowPositionals: true,
  })
  const command = positionals.length > 0 ? positionals : TYPESCRIPT_DRIVER
  const results = await runKit(command, {
    only: values.only,
    report: ({ name, outcome, why }) => {
      console.log(
        `${outcome.padEnd(8)}  ${name}${why === '' ? '' : `\n          ${why.replaceAll('\n', '\n          ')}`}`,
      )
    },
  })
  const failed = results.filter(({ outcome }) => outcome === 'failed').length
  const passed = results.filter(({ outcome }) => outcome === 'passed').length
  console.log(`\n${passed} passed, ${failed} failed, ${results.length - passed - failed} left out`)
  if (failed > 0 || passed === 0) process.exitCode = 1
}
