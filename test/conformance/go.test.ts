import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

test('a program uses the module from a copy of its folder, as the README says', async () => {
  const readme = await readFile(join(folder, 'README.md'), 'utf8')
  const named = /```\n(require ringman [^]*?)```/.exec(readme)?.[1] ?? ''
  const program = await mkdtemp(join(tmpdir(), 'ringman-go-'))
  try {
    await cp(folder, join(program, 'third_party/ringman'), { recursive: true })
    await writeFile(join(program, 'go.mod'), `module example.com/program\n\ngo 1.25.0\n\n${named}`)
    await writeFile(
      join(program, 'main.go'),
      'package main\n\nimport "ringman"\n\nfunc main() {\n\t_, err := ringman.New(ringman.Options{})\n\tprintln(err.Error())\n}\n',
    )
    await runGo(program, ['build', '-mod=readonly', '-o', 'program', '.'])
    expect(await runGo(program, ['doc', 'ringman.Client.Owner'])).toContain(
      'Owner is the node that owns a key',
    )
  } finally {
    await rm(program, { recursive: true })
  }
})
