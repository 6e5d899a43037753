import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, readdir, readFile, rename } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The peers' sources; they share the package `console`, so that a change anywhere builds all of them again. */
const SOURCES = resolve(import.meta.dirname, 'go')
const CACHE = resolve(import.meta.dirname, '../../.cache/go-peers')
/** A first build fetches and compiles every dependency. */
const BUILD_DEADLINE_MS = 300_000

/** The Go programs of `lab/peers/go`. */
export type GoProgram = 'memberlist-peer' | 'ringman-peer'

/**
 * Builds a Go peer, unless it was built from the same sources by the same Go before.
 *
 * @returns The path of the executable, under `.cache/go-peers`.
 * @throws {Error} that says what to install when there is no Go, or what the compiler said.
 */
export async function buildGoProgram(program: GoProgram): Promise<string> {
  const directory = join(CACHE, `${program}-${await fingerprint()}`)
  const executable = join(directory, program)
  if (await exists(executable)) return executable
  await mkdir(directory, { recursive: true })
  // Another process may build the same at this moment: the last one to rename wins, and both are good.
  const building = `${executable}.${process.pid}`
  try {
    await run('go', ['build', '-trimpath', '-buildvcs=false', '-o', building, '.'], {
      cwd: join(SOURCES, program),
      timeout: BUILD_DEADLINE_MS,
    })
  } catch (error) {
    const { stderr } = error as { stderr?: string }
    throw new Error(`could not build ${program}:\n${stderr ?? ''}`, { cause: error })
  }
  await rename(building, executable)
  return executable
}

async function fingerprint(): Promise<string> {
  const hash = createHash('sha256')
  hash.update(await goVersion())
  const entries = await readdir(SOURCES, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile() && /\.go$|^go\.(mod|sum)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  for (const file of files) hash.update(`\0${relative(SOURCES, file)}\0`).update(await readFile(file))
  return hash.digest('hex').slice(0, 16)
}

async function goVersion(): Promise<string> {
  try {
    const { stdout } = await run('go', ['version'])
    return stdout
  } catch (error) {
    throw new Error('the real peers need Go 1.25 or newer: install it and put `go` on the PATH', {
      cause: error,
    })
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false // not built yet
  }
}
