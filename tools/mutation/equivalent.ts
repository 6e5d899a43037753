import type { Mutant } from './mutants.ts'

/** Mutants that no test can kill, because what the code promises stays the same: each was looked at. */
export interface Equivalent {
  /** Path from the root of the checkout. */
  readonly file: string
  /** The line of the mutant, trimmed. */
  readonly code: string
  /** What becomes of what, as the tool prints it. */
  readonly changes: readonly string[]
  readonly why: string
}

export const EQUIVALENT: readonly Equivalent[] = []

/** Whether an entry speaks of this mutant: by the text of its line, so that it holds while lines move. */
export function matches({ file, code, changes }: Equivalent, mutant: Mutant): boolean {
  return mutant.file === file && mutant.code === code && changes.includes(mutant.change)
}
