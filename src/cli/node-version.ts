import nodeModule from 'node:module'

/** Ends a process whose Node.js is too old, before anything is loaded that it does not understand; else has it keep compiled code. */
export function checkNode(): void {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 22 || (major === 22 && minor < 19)) {
    process.stderr.write(`ringman: Node.js 22.19 or newer is needed, this is ${process.versions.node}\n`)
    process.exit(2)
  }
  // Commands start in about half the time when their code is compiled already. The cache lies in the system's folder for
  // temporary files; where that cannot be written there is none.
  nodeModule.enableCompileCache()
}
