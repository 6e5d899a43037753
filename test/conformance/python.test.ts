import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test("the Python client's own tests", { timeout: 150_000 }, async () => {
  // Python writes what its tests say to standard error; a failure rejects with it.
  const { stderr } = await promisify(execFile)(
    'python3',
    ['-W', 'error', '-m', 'unittest', 'tests.test_ring', 'tests.test_client'],
    {
      cwd: new URL('../../clients/python', import.meta.url).pathname,
      env: { ...process.env, PYTHONPATH: 'src', PYTHONDONTWRITEBYTECODE: '1' },
      timeout: 140_000,
    },
  )
  expect(stderr).toMatch(/Ran [1-9]\d* tests[^]*OK/)
})
