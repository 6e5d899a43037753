import type { Mutant } from './mutants.ts'

/** Mutants that no test can kill, because what the code promises is kept all the same: each was looked at. */
export interface Equivalent {
  /** Path from the root of the checkout. */
  readonly file: string
  /** The line of the mutant, trimmed. */
  readonly code: string
  /** What becomes of what, as the tool prints it. */
  readonly changes: readonly string[]
  readonly why: string
}

export const EQUIVALENT: readonly Equivalent[] = [
  {
    file: 'src/manager/hash-ring-manager.ts',
    code: `return { kind: 'set', nodes: all, sender }`,
    changes: [`'set' → ''`],
    why: 'What is neither added nor removed sets.',
  },
  {
    file: 'src/manager/hash-ring-manager.ts',
    code: `this.#state = 'stopped'`,
    changes: [`'stopped' → ''`],
    why: 'Only the other two states are asked for.',
  },
]

/** Whether an entry means this mutant: by the text of its line, so that it holds while lines move. */
export function matches({ file, code, changes }: Equivalent, mutant: Mutant): boolean {
  return mutant.file === file && mutant.code === code && changes.includes(mutant.change)
}
