import { expect, test } from 'vitest'
import { runGo } from '../support/go-module.ts'

const folder = new URL('../../clients/go', import.meta.url).pathname

// Where nothing was compiled before, Go compiles its own library first.
test("the Go client's own tests", { timeout: 240_000 }, async () => {
  expect(await runGo(folder, ['test', '-count=1', './...'])).toMatch(/^ok\s+ringman\s/m)
})

test('go vet and gofmt find nothing', { timeout: 240_000 }, async () => {
  await runGo(folder, ['vet', './...'])
  expect(await runGo(folder, ['run', 'cmd/gofmt', '-l', '.'])).toBe('')
})
