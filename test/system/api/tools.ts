import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from '../../support/cache-folder.ts'

const run = promisify(execFile)
const HERE = import.meta.dirname
const INSTALL_DEADLINE_MS = 300_000

/**
 * The folder of the programs that `requirements.txt` names, in a Python environment of their own, which is made in the
 * cache folder the first time.
 *
 * @throws {Error} where Python 3.10 or newer, its `venv` or a package cannot be had.
 */
export async function pythonPrograms(): Promise<string> {
  const requirements = join(HERE, 'requirements.txt')
  const folder = await installOnce('api-python', requirements, async (target) => {
    await run('python3', ['-m', 'venv', target])
    await run(join(target, 'bin/pip'), ['install', '--quiet', '--requirement', requirements], {
      timeout: INSTALL_DEADLINE_MS,
    })
  })
  return join(folder, 'bin')
}

/**
 * A folder with the packages of `typescript/package-lock.json`, installed in the cache folder the first time.
 *
 * @throws {Error} where npm cannot install them.
 */
export function typescriptPackages(): Promise<string> {
  const source = join(HERE, 'typescript')
  return installOnce('api-typescript', join(source, 'package-lock.json'), async (target) => {
    await mkdir(target, { recursive: true })
    for (const name of ['package.json', 'package-lock.json']) await cp(join(source, name), join(target, name))
    await run('npm', ['ci', '--silent'], { cwd: target, timeout: INSTALL_DEADLINE_MS })
  })
}

/** What is installed is named by the list it comes from; one that was cut off half-way has no mark, and starts again. */
async function installOnce(
  name: string,
  list: string,
  install: (target: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256')
    .update(await readFile(list))
    .digest('hex')
  // Programs of a Python environment name its folder: it cannot be renamed into place, so a mark says that it is whole.
  const folder = resolve(cacheFolder(), `${name}-${hash.slice(0, 16)}`)
  const mark = join(folder, '.whole')
  try {
    await access(mark)
  } catch {
    await rm(folder, { recursive: true, force: true })
    await install(folder)
    await writeFile(`${mark}.new`, '')
    await rename(`${mark}.new`, mark)
  }
  return folder
}
