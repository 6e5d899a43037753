import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pythonPrograms } from './tools.ts'

const run = promisify(execFile)
const source = new URL('../../../clients/python', import.meta.url).pathname

let programs: string
let folder: string
/** What is uploaded to an index: the wheel and the source, as `python -m build` makes them. */
let wheel: string
let sdist: string

beforeAll(async () => {
  programs = await pythonPrograms()
  folder = await mkdtemp(join(tmpdir(), 'ringman-python-'))
  const copy = join(folder, 'source')
  await cp(source, copy, { recursive: true })
  const dist = join(folder, 'dist')
  await run(join(programs, 'python'), ['-m', 'build', '--outdir', dist, copy], { timeout: 200_000 })
  const files = (await readdir(dist)).map((name) => join(dist, name))
  wheel = files.find((name) => name.endsWith('-py3-none-any.whl')) ?? ''
  sdist = files.find((name) => name.endsWith('.tar.gz')) ?? ''
  expect(files.sort()).toEqual([sdist, wheel].sort())
})
afterAll(() => rm(folder, { recursive: true }))

test('clients/python is typed', async () => {
  const { stdout } = await run(join(programs, 'mypy'), ['--cache-dir', '/dev/null'], { cwd: source })
  expect(stdout).toMatch(/^Success: no issues found in [1-9]\d* source files/)
})

test('its wheel and its source may be uploaded as they are, with a description that PyPI can show', async () => {
  const { stdout } = await run(join(programs, 'twine'), ['--no-color', 'check', '--strict', wheel, sdist])
  expect(stdout.match(/PASSED/g)).toHaveLength(2)
})

test('its types are those of whoever installs the wheel', async () => {
  const environment = join(folder, 'environment')
  await run(join(programs, 'python'), ['-m', 'venv', '--without-pip', environment])
  const python = join(environment, 'bin/python')
  const install = ['--python', python, 'install', '--quiet', '--no-deps', '--no-index', wheel]
  await run(join(programs, 'pip'), install)
  const program = 'from ringman import RingClient\nreveal_type(RingClient("http://a").owner("k").port)'
  const options = ['--strict', '--cache-dir', '/dev/null', '--python-executable', python]
  const { stdout } = await run(join(programs, 'mypy'), [...options, '-c', program], { cwd: folder })
  expect(stdout).toContain('Revealed type is "int | None"')
})

test('the wheel sends requests to owners by httpx and requests', async () => {
  const installed = join(folder, 'installed')
  const install = ['install', '--quiet', '--no-deps', '--no-index', '--target', installed, wheel]
  await run(join(programs, 'pip'), install)
  const env = { ...process.env, PYTHONPATH: installed, PYTHONDONTWRITEBYTECODE: '1' }
  const program = 'import ringman, sys; sys.stdout.write(ringman.__file__)'
  const { stdout } = await run(join(programs, 'python'), ['-c', program], { env })
  expect(stdout).toBe(join(installed, 'ringman/__init__.py'))
  const { stderr } = await run(join(programs, 'python'), ['-m', 'unittest', 'tests.test_to_owner'], {
    cwd: source,
    env,
    timeout: 240_000,
  })
  expect(stderr).toMatch(/Ran [1-9]\d* tests[^]*OK/)
})
