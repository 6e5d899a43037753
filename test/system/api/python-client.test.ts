import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { pythonPrograms } from './tools.ts'

const run = promisify(execFile)

const source = new URL('../../../clients/python', import.meta.url).pathname

test('clients/python is typed', async () => {
  const mypy = join(await pythonPrograms(), 'mypy')
  const { stdout } = await run(mypy, ['--cache-dir', '/dev/null'], { cwd: source, timeout: 120_000 })
  expect(stdout).toMatch(/^Success: no issues found in [1-9]\d* source files/)
})

test('clients/python, installed by pip, sends requests to owners by httpx and requests', async () => {
  const programs = await pythonPrograms()
  const folder = await mkdtemp(join(tmpdir(), 'ringman-python-'))
  try {
    await run(join(programs, 'pip'), ['install', '--quiet', '--no-deps', '--target', folder, source])
    const env = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' }
    const program = 'import ringman, sys; sys.stdout.write(ringman.__file__)'
    const { stdout } = await run(join(programs, 'python'), ['-c', program], { env })
    expect(stdout).toBe(join(folder, 'ringman/__init__.py'))
    const { stderr } = await run(join(programs, 'python'), ['-m', 'unittest', 'tests.test_to_owner'], {
      cwd: source,
      env,
      timeout: 60_000,
    })
    expect(stderr).toMatch(/Ran [1-9]\d* tests[^]*OK/)
  } finally {
    await rm(folder, { recursive: true })
  }
})
