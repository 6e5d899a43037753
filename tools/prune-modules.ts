/**
 * `node tools/prune-modules.ts FOLDER`: removes from a `node_modules` what Node.js never loads, so that the image
 * carries code and licences alone: type declarations, sources and source maps, documentation, what a C compiler reads,
 * native code for runtimes other than Node.js, and packages' tests, benchmarks and examples. Everything else that a
 * program could load (`.js`, `.cjs`, `.mjs`, `.json`, `.node`, `.wasm`, files without ending) stays, needed or not, but
 * for the generated classes of `@kubernetes/client-node`, of which a third is never loaded.
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Endings of what Node.js does not load. It refuses TypeScript below `node_modules`; `.bare` is for the runtime Bare. */
const NEVER_LOADED = /\.(?:[cm]?ts|map|md|markdown|flow|tsbuildinfo|bare|c|cc|cpp|h|gyp|gypi)$/i

/** Folders beside a package's `package.json` that are for those who work on it. */
const NOT_PROGRAM = /^(?:\.github|__tests__|tests?|bench|benchmarks?|docs?|examples?|coverage)$/i

/** Packages without a line of code. */
const TYPES_ONLY = '@types'

/**
 * A package of which little is used: of its own code only what its entry leads to is kept. Not all packages: others
 * load by `require` with computed names.
 */
const REACHED_ONLY = join('@kubernetes', 'client-node')

/** Must stay wherever its code is passed on. */
const LEGAL = /^(?:licen[cs]es?|copying|notice|patents|authors)(?![a-z])/i

/** What was removed. */
export interface Pruned {
  readonly files: number
  readonly bytes: number
}

/** Removes below `folder` what is never loaded, and the folders that are empty then. Links are left alone. */
export function pruneModules(folder: string): Pruned {
  let [files, bytes] = [0, 0]
  const prune = (path: string, all: boolean) => {
    const entries = readdirSync(path, { withFileTypes: true })
    const isPackage = entries.some(({ name }) => name === 'package.json')
    for (const entry of entries) {
      const inner = join(path, entry.name)
      if (entry.isDirectory()) {
        prune(inner, all || entry.name === TYPES_ONLY || (isPackage && NOT_PROGRAM.test(entry.name)))
        if (readdirSync(inner).length === 0) rmdirSync(inner)
      } else if (entry.isFile() && !LEGAL.test(entry.name) && (all || NEVER_LOADED.test(entry.name))) {
        files++
        bytes += statSync(inner).size
        rmSync(inner)
      }
    }
  }
  prune(folder, basename(folder) === TYPES_ONLY)
  const library = join(folder, REACHED_ONLY)
  for (const path of existsSync(library) ? unreached(library) : []) {
    files++
    bytes += statSync(path).size
    rmSync(path)
  }
  return { files, bytes }
}

/** The modules of a package, ES modules throughout, that its `main` imports neither itself nor through others. */
function unreached(library: string): string[] {
  const { main } = JSON.parse(readFileSync(join(library, 'package.json'), 'utf8')) as {
    readonly main: string
  }
  const reached = new Set<string>()
  const follow = (path: string) => {
    if (reached.has(path)) return
    reached.add(path)
    for (const [, name = ''] of readFileSync(path, 'utf8').matchAll(
      /(?:from|import)[ (]*['"](\.[^'"]+)['"]/g,
    )) {
      follow(join(dirname(path), name))
    }
  }
  follow(join(library, main))
  return readdirSync(join(library, dirname(main)), { recursive: true, encoding: 'utf8' })
    .map((name) => join(library, dirname(main), name))
    .filter((path) => path.endsWith('.js') && !reached.has(path))
}

if (import.meta.main) {
  const folder = process.argv[2]
  if (folder === undefined) throw new Error('Usage: node tools/prune-modules.ts FOLDER')
  const { files, bytes } = pruneModules(folder)
  console.log(`Removed ${files} files that are never loaded, ${(bytes / 1e6).toFixed(1)} MB, from ${folder}`)
}
