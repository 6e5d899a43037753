/**
 * `npm run test:coverage [-- TEST…]`: runs tests of the default suite and says which lines of `src/` nothing ran. What runs
 * in child processes (the command line, `dev`, tracing) counts too: all of them, and the tests, run the source as it is, so
 * that V8's own coverage (`NODE_V8_COVERAGE`) has the places of the source.
 */
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { takeCoverage } from 'node:v8'

interface ScriptCoverage {
  readonly url: string
  readonly functions: readonly {
    readonly ranges: readonly {
      readonly startOffset: number
      readonly endOffset: number
      readonly count: number
    }[]
  }[]
}

if (process.env['VITEST'] === undefined) {
  measure()
} else {
  // Within a process of tests, which vitest kills before it would write down by itself what it ran.
  const { afterAll } = await import('vitest')
  afterAll(takeCoverage)
}

function measure(): void {
  const folder = mkdtempSync(join(tmpdir(), 'ringman-coverage-'))
  const { status } = spawnSync(
    'vitest',
    [
      'run',
      '--project',
      'default',
      '--experimental.viteModuleRunner=false',
      '--isolate',
      '--pool',
      'forks',
      ...process.argv.slice(2),
    ],
    { stdio: 'inherit', env: { ...process.env, NODE_V8_COVERAGE: folder } },
  )
  const root = join(import.meta.dirname, '..')
  const sources = new Map(
    globSync('src/**/*.ts', { cwd: root })
      .sort()
      .map((path) => {
        const text = readFileSync(join(root, path), 'utf8')
        return [pathToFileURL(join(root, path)).href, { path, text, ran: new Uint8Array(text.length) }]
      }),
  )
  for (const name of readdirSync(folder)) {
    const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as { result: ScriptCoverage[] }
    for (const { url, functions } of result) {
      const source = sources.get(url)
      if (source === undefined) continue
      const ran = new Uint8Array(source.text.length)
      // Outer ranges come before the inner ones, which know better.
      for (const { startOffset, endOffset, count } of functions.flatMap(({ ranges }) => ranges)) {
        ran.fill(Math.min(count, 1), startOffset, endOffset)
      }
      for (const [at, one] of ran.entries()) source.ran[at] = (source.ran[at] ?? 0) | one
    }
  }
  rmSync(folder, { recursive: true })

  let [lines, bare] = [0, 0]
  for (const { path, text, ran } of sources.values()) {
    const missed: number[] = []
    let [at, own] = [0, 0]
    for (const [index, line] of text.split('\n').entries()) {
      const code = line.trim()
      const start = at + line.length - line.trimStart().length
      at += line.length + 1
      if (!/\w/.test(code) || /^(\/\/|\/?\*)/.test(code)) continue
      own += 1
      if (!ran.subarray(start, start + code.length).includes(1)) missed.push(index + 1)
    }
    lines += own
    bare += missed.length
    if (missed.length > 0) {
      console.log(
        `${((1 - missed.length / own) * 100).toFixed(0).padStart(3)}%  ${path}  not run: ${spansOf(missed)}`,
      )
    }
  }
  console.log(`${((1 - bare / lines) * 100).toFixed(1)}% of ${lines} lines of src/ ran`)
  process.exitCode = status ?? 1
}

/** Line numbers with neighbours put together, `3-5, 9`. */
function spansOf(numbers: readonly number[]): string {
  const parts: { from: number; to: number }[] = []
  for (const number of numbers) {
    const last = parts.at(-1)
    if (last?.to === number - 1) last.to = number
    else parts.push({ from: number, to: number })
  }
  return parts.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(', ')
}
