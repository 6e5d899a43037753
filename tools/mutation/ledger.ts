import { appendFileSync, readFileSync } from 'node:fs'

/** What one run of the tests is asked for. */
export interface Task {
  /**
   * `reach`: which mutants does each test come by? `try`: each of `tests` over all mutants of `alive` that it comes by.
   * `one`: all of `tests` over each mutant of `alive`, on while everything is imported.
   */
  readonly kind: 'reach' | 'try' | 'one'
  readonly alive: readonly number[]
  /** By the name of a test, the mutants it is to be run over; none are named for `one`. */
  readonly tests: Readonly<Record<string, readonly number[]>>
  /** The most rounds that a loop may take: see `Switch`. */
  readonly roundLimit: number
}

/** What the process that runs the tests tells; written at once, since the next mutant may end it. */
export type Entry =
  /** What was come by before the tests of a file ran. */
  | { readonly kind: 'imported'; readonly reached: readonly number[] }
  | {
      readonly kind: 'ran'
      readonly test: string
      readonly timeMs: number
      readonly reached: readonly number[]
      /** See `Switch`. */
      readonly roundLimit: number
    }
  | { readonly kind: 'begun'; readonly id: number; readonly test: string }
  /** `unmet`: the test does not come by it, though it did without it. `waited`: the test would never end; another may fail. */
  | {
      readonly kind: 'ended'
      readonly id: number
      readonly outcome: 'killed' | 'endless' | 'out of time' | 'unmet' | 'waited'
    }
  /** Of `try`: a test has been run over all; of `one`: no test kills the mutant. */
  | { readonly kind: 'tried'; readonly test: string; readonly id?: number }

/** The file by which the process that runs the tests tells what came of them. */
export class Ledger {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  add(entry: Entry): void {
    appendFileSync(this.path, JSON.stringify(entry) + '\n')
  }

  entries(): Entry[] {
    return readFileSync(this.path, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Entry)
  }
}

/** What the process that runs the tests was started for. */
export function taskOf(environment: Readonly<Record<string, string | undefined>>): Task {
  return JSON.parse(readFileSync(environment['MUTATION_TASK']!, 'utf8')) as Task
}
