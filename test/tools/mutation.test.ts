import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { Bench } from '../../tools/mutation/bench.ts'
import { EQUIVALENT, matches } from '../../tools/mutation/equivalent.ts'
import { ENDLESS, mutantsOf, plant } from '../../tools/mutation/mutants.ts'

/** The changes to the body of a function, without that of the whole body and its value. */
const changesOf = (body: string) =>
  mutantsOf('a.ts', `function f(a: number) {\n${body}\nlast()\n}`)
    .filter(({ line }) => line === 2)
    .map(({ change }) => change)

test.each([
  ['return a', ['a → undefined']],
  ['go(a < b)', ['go(a < b) → ;', 'a < b → a <= b', 'a < b → a >= b', 'a < b → true', 'a < b → false']],
  ['if (a) go()', ['a → true', 'a → false', 'go() → ;']],
  ['while (a < b) { go() }', ['a < b → a <= b', 'a < b → a >= b', 'a < b → false']],
  ['x = a ?? 5', ['x = a ?? 5 → ;', 'a ?? 5 → a', 'a ?? 5 → 5', '5 → (5 + 1)']],
  ['a?.go()', ['a?.go() → ;', '?. → .']],
  ['x += -a', ['x += -a → ;', 'x += -a → x -= -a', '-a → a']],
  ['const x = [1n, `b`, true, {}]', ['[1n, `b`, true, {}] → []', '`b` → ``', 'true → false']],
  ["throw new Error('what went wrong')", []],
  ["const x: 'a' | 'b' = 'a' as 'b'", ["'a' → ''"]],
  ['const x = Math.min(a.filter(go))', ['min → max', 'a.filter(go) → a']],
  ['x = 1; y = 2; z = 3', []],
])('%s', (body, changes) => {
  expect(changesOf(body).sort()).toEqual(changes.sort())
})

test('a loop that does not end is ended, and says so; one that ends is as it was', () => {
  const source = 'let n = 0; for (const x of [1, 2]) while (n < x * 10) n++; return n'
  const run = (text: string) => runInNewContext(`(() => {${text}})()`) as number
  expect(run(plant(source))).toBe(20)
  expect(() => run(plant(source.replace('n++', 'n += 0')))).toThrow(ENDLESS)
})

test('what is listed as equivalent exists', () => {
  const files = [...new Set(EQUIVALENT.map(({ file }) => file))]
  const mutants = files.flatMap((file) => mutantsOf(file, readFileSync(file, 'utf8')))
  for (const entry of EQUIVALENT) {
    for (const change of entry.changes) {
      const found = mutants.filter((mutant) => matches({ ...entry, changes: [change] }, mutant))
      expect(found, `${entry.file}: ${entry.code}: ${change}`).not.toEqual([])
    }
  }
})

test(
  'tests that never come back are ended, and the next mutant is planted',
  { timeout: 60_000 },
  async () => {
    const file = 'test/tools/mutation/step.ts'
    const source = readFileSync(file, 'utf8')
    const planted = (change: string) => mutantsOf(file, source).find((mutant) => mutant.change === change)!
    const bench = new Bench()
    try {
      // The loop that does not end is in the test, where nothing counts its rounds.
      const tests = ['test/tools/mutation/step.tests.ts']
      expect(await bench.run(planted('at + 1 → at - 1'), source, tests, 2000)).toBe('out of time')
      expect(await bench.run(planted('1 → (1 + 1)'), source, tests, 50_000)).toBe('killed')
      expect(await bench.run(planted('at < 10 → at <= 10'), source, tests, 50_000)).toBe('survived')
    } finally {
      await bench.close()
    }
  },
)
