import nodeModule from 'node:module'
import { problemOfNode } from '../node-version.ts'

/** Ends a process whose Node.js is too old, before anything is loaded that it does not understand; else has it keep compiled code. */
export function checkNode(): void {
  const problem = problemOfNode()
  if (problem !== undefined) {
    process.stderr.write(`ringman: ${problem}\n`)
    process.exit(2)
  }
  // Commands start in about half the time when their code is compiled already. The cache lies in the system's folder for
  // temporary files; where that cannot be written there is none.
  nodeModule.enableCompileCache()
}
