import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, mkdtemp, readFile, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const DOWNLOAD_DEADLINE_MS = 600_000
const INSTALL_GO = 'this suite needs Go 1.25 or newer: install it and put `go` on the PATH'

/** Runs Go's command in a folder with a `go.mod`, and returns what it wrote to standard output. */
export async function runGo(
  folder: string,
  args: readonly string[],
  deadlineMs = DOWNLOAD_DEADLINE_MS,
): Promise<string> {
  try {
    // A workspace above the checkout, if there is one, is not asked. Equal flags share what was compiled before.
    const flags = [process.env['GOFLAGS'] ?? '', '-trimpath', '-buildvcs=false'].join(' ').trim()
    const env = { ...process.env, GOWORK: 'off', GOFLAGS: flags }
    const { stdout } = await run('go', [...args], {
      cwd: folder,
      env,
      timeout: deadlineMs,
      maxBuffer: 64 * 1024 * 1024,
    })
    return stdout
  } catch (error) {
    const { code, stderr, killed } = error as { code?: unknown; stderr?: string; killed?: boolean }
    if (code === 'ENOENT') throw new Error(INSTALL_GO, { cause: error })
    const why = killed === true ? `not within ${deadlineMs / 1000} s` : ''
    throw new Error(`go ${args.join(' ')}: ${why}\n${stderr ?? ''}`, { cause: error })
  }
}

/** The folder with a module's files, fetched into Go's own cache when they are not there. */
export async function goModuleFolder(module: string, version: string, folder: string): Promise<string> {
  const text = await runGo(folder, ['mod', 'download', '-json', `${module}@${version}`])
  const { Dir: found } = JSON.parse(text) as { Dir?: string }
  if (found === undefined) throw new Error(`go mod download told no folder for ${module}@${version}: ${text}`)
  return found
}

/** A fingerprint of all files of a folder and of the version of Go: what is built from them is equal when it is. */
export async function goSourceFingerprint(folder: string): Promise<string> {
  const hash = createHash('sha256').update(await runGo(folder, ['version']))
  const names = await readdir(folder)
  for (const name of names.sort()) hash.update(`\0${name}\0`).update(await readFile(join(folder, name)))
  return hash.digest('hex').slice(0, 16)
}

/**
 * Makes a file or folder of the cache by `make` unless it is there. It is made under a temporary name and renamed
 * when it is whole, so that neither an interrupted run nor two at once leave half of it.
 *
 * @param make - Gets the path to make it at, which does not exist yet, in a folder that does.
 * @returns `path`.
 */
export async function cached(path: string, make: (path: string) => Promise<void>): Promise<string> {
  if (await exists(path)) return path
  await mkdir(dirname(path), { recursive: true })
  const temporary = await mkdtemp(`${path}.making-`)
  try {
    const made = join(temporary, 'made')
    await make(made)
    await rename(made, path)
  } catch (error) {
    // Another process was first: what it made is as good. A folder cannot be renamed over another one.
    if (!(await exists(path))) throw error
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
  return path
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false // not made yet
  }
}
