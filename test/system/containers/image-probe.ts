/** Runs inside the image, as its user: says what lies there, as one JSON object on standard output. */
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** What lies in the image below `/opt/ringman`. */
export interface ImageContents {
  readonly uid: number | undefined
  /** Absolute paths. */
  readonly files: string[]
  /** Package folders, as a lock file names them. */
  readonly packages: string[]
  /** Direct dependencies that could be imported. */
  readonly imported: string[]
  /** Files that a package says are loaded and that are not there; dependencies that could not be imported. */
  readonly missing: string[]
  /** Paths that the user of the image may write to. */
  readonly writable: string[]
}

interface Manifest {
  readonly main?: string
  readonly exports?: unknown
  readonly types?: string
  readonly dependencies?: Readonly<Record<string, string>>
}

const ROOT = '/opt/ringman'

/** Conditions of `exports` that Node.js never takes. */
const OTHER_RUNTIMES = /^(?:types|browser|react-native|bare|deno|bun|worker|workerd|edge-light|esnext)/

const contents: ImageContents = {
  uid: process.getuid?.(),
  files: [],
  packages: [],
  imported: [],
  missing: [],
  writable: [],
}

function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, 'utf8')) as Manifest
}

function walk(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (!entry.isSymbolicLink() && isWritable(path)) contents.writable.push(path)
    if (entry.isDirectory()) {
      walk(path)
    } else {
      contents.files.push(path)
      if (/node_modules\/(?:@[^/]+\/)?[^/@][^/]*\/package\.json$/.test(path)) checkPackage(path)
    }
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    // As it should be.
    return false
  }
}

function checkPackage(path: string): void {
  const folder = dirname(path)
  contents.packages.push(folder.slice(ROOT.length + 1))
  const { main, exports, types } = readManifest(path)
  // A package of type declarations has nothing to load.
  if (main === undefined && exports === undefined && types !== undefined) return
  for (const entry of exports === undefined ? [main ?? './index.js'] : targetsOf(exports)) {
    if (entry.includes('*') || /\.(?:[cm]?ts|md)$/.test(entry)) continue
    const places = ['', '.js', '.json', '/index.js'].map((end) => join(folder, entry) + end)
    if (!places.some((place) => existsSync(place))) contents.missing.push(join(folder, entry))
  }
}

/** The files that an `exports` names for Node.js. */
function targetsOf(exports: unknown): string[] {
  if (typeof exports === 'string') return [exports]
  if (typeof exports !== 'object' || exports === null) return []
  return Object.entries(exports)
    .filter(([condition]) => !OTHER_RUNTIMES.test(condition))
    .flatMap(([, inner]) => targetsOf(inner))
}

walk(ROOT)
const { dependencies = {} } = readManifest(join(ROOT, 'package.json'))
for (const name of Object.keys(dependencies)) {
  if (name.startsWith('@types/')) continue
  try {
    await import(import.meta.resolve(name, `file://${ROOT}/dist/cli.js`))
    contents.imported.push(name)
  } catch (error) {
    contents.missing.push(`${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
process.stdout.write(`${JSON.stringify(contents)}\n`)
