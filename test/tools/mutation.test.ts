import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { Bench } from '../../tools/mutation/bench.ts'
import { EQUIVALENT, matches } from '../../tools/mutation/equivalent.ts'
import { mutantsOf } from '../../tools/mutation/mutants.ts'
import { plantAll } from '../../tools/mutation/plant.ts'
import { Switch } from '../../tools/mutation/switch.ts'

test.each([
  ['--help', 0, /^ {2}npm run test:mutation -- --sample 300/m],
  ['--sampel=3', 2, /^option sampel: there is no such option; did you mean sample\?$/m],
])('the command answers %s', (argument, status, said) => {
  const done = spawnSync(process.execPath, ['tools/mutation/run.ts', argument], { encoding: 'utf8' })
  expect([done.status, `${done.stdout}${done.stderr}`]).toEqual([status, expect.stringMatching(said)])
})

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

/** What a function gives with one of the mutants of its body switched on, and without one. */
function resultsOf(
  body: string,
  ...args: unknown[]
): { readonly without: unknown; readonly by: Map<string, unknown> } {
  const source = `function f(...args) {\n${body}\n}`
  const { text, planted } = plantAll(source, mutantsOf('a.ts', source), 7)
  const mutation = new Switch()
  const context = { mutation, args }
  const result = (id: number): unknown => {
    mutation.set(id)
    try {
      return runInNewContext(`(() => {${text}; return f(...args)})()`, context)
    } catch (error) {
      return (error as Error).message
    }
  }
  return { without: result(-1), by: new Map(planted.map(({ id, change }) => [change, result(id)])) }
}

test('each mutant is on where its number is set, and none otherwise', () => {
  const { without, by } = resultsOf(
    'const [a, b, c] = args\nif (a < b) return c?.d.min ?? [a - b, -a]\nreturn 9',
    1,
    2,
  )
  expect(without).toEqual([-1, -1])
  expect(Object.fromEntries(by)).toMatchObject({
    'a < b → a >= b': 9,
    'a < b → false': 9,
    '?. → .': "Cannot read properties of undefined (reading 'd')",
    'a - b → a + b': [3, -1],
    '-a → a': [-1, 1],
    '[a - b, -a] → []': [],
    '9 → (9 + 1)': [-1, -1],
  })
})

test.each([
  ['a method', 'return Math.min(3, 4)', 3, { 'min → max': 4 }],
  [
    'a link of an optional chain',
    'return args[0]?.b.c',
    undefined,
    { '?. → .': expect.stringMatching('reading') },
  ],
  [
    'a statement behind if',
    'let a = 1\nif (args.length > 0) a = 2\nelse a = 3\nreturn a',
    3,
    { 'a = 3 → ;': 1 },
  ],
  [
    'a block',
    'let a = 1\nfor (const b of [2, 3]) {\na += b\nif (b > 2) break\n}\nreturn a',
    6,
    { 'b > 2 → true': 3 },
  ],
])('%s is switched', (_, body, without, by) => {
  const results = resultsOf(body)
  expect(results.without).toEqual(without)
  expect(Object.fromEntries(results.by)).toMatchObject(by)
})

test('a statement is no call of the one before it, also where nothing but a part of it is switched', () => {
  const source = 'function f() {\nlet a = 1\nconst b = 5\na += b\nreturn a\n}'
  const mutants = mutantsOf('a.ts', source).filter(({ change }) => change === 'a += b → a -= b')
  const { text } = plantAll(source, mutants, 0)
  const mutation = new Switch()
  const result = () => runInNewContext(`(() => {${text}; return f()})()`, { mutation }) as number
  expect(result()).toBe(6)
  mutation.set(0)
  expect(result()).toBe(-4)
})

test('a loop that does not end is ended, and says so; one that ends is as it was', () => {
  const { without, by } = resultsOf('let n = 0\nfor (const x of [1, 2]) while (n < x * 10) n++\nreturn n')
  expect(without).toBe(20)
  expect(by.get('n++ → ;')).toBe('endless loop')
  expect(by.get('n++ → n--')).toBe('endless loop')
})

test('places that are come by are noted while no mutant is on', () => {
  const source = 'function f(a) { return a ? 1 : 2 }'
  const { text, planted } = plantAll(source, mutantsOf('a.ts', source), 0)
  const mutation = new Switch()
  runInNewContext(`{${text}; f(true)}`, { mutation })
  const place = (change: string) => planted.find((mutant) => mutant.change === change)!.place
  const reached = mutation.takeReached()
  expect(reached).toContain(place('1 → (1 + 1)'))
  expect(reached).not.toContain(place('2 → (2 + 1)'))
  expect(mutation.takeReached()).toEqual([])
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
  { timeout: 300_000 },
  async () => {
    const file = 'test/tools/mutation/step.ts'
    const source = readFileSync(file, 'utf8')
    const { text, planted } = plantAll(source, mutantsOf(file, source), 0)
    const mutantOf = (change: string) => planted.find((mutant) => mutant.change === change)!
    const idOf = (change: string) => mutantOf(change).id
    const placeOf = (change: string) => mutantOf(change).place
    const bench = new Bench(new Map([[file, text]]))
    try {
      const tests = ['test/tools/mutation/step.tests.ts']
      const reached = await bench.reach(tests, 30_000)
      const runs = reached.filter((entry) => entry.kind === 'ran')
      expect(runs[0]!.reached).toContain(placeOf('at + 1 → at - 1'))
      expect(runs[0]!.reached).not.toContain(placeOf('timeMs < 60_000 → true'))
      const alive = ['at + 1 → at - 1', '1 → (1 + 1)', 'at < 10 → at <= 10', 'timeMs < 60_000 → true'].map(
        idOf,
      )
      const { roundLimit } = runs[0]!
      const testsOf = Object.fromEntries(
        runs.map((each, i) => [each.test, i === 0 ? alive.slice(0, 3) : alive.slice(3)]),
      )
      const entries = await bench.try({ kind: 'try', alive, tests: testsOf, roundLimit }, tests, 8000)
      const ended = entries.flatMap((entry) => (entry.kind === 'ended' ? [[entry.id, entry.outcome]] : []))
      expect(ended).toEqual([
        [alive[0], 'waited'],
        [alive[1], 'killed'],
        [alive[3], 'out of time'],
      ])
      const imported = await bench.try({ kind: 'one', alive, tests: testsOf, roundLimit }, tests, 8000)
      expect(imported.filter(({ kind }) => kind !== 'begun')).toEqual([
        { kind: 'ended', id: alive[0], outcome: 'out of time' },
        { kind: 'ended', id: alive[1], outcome: 'killed' },
        { kind: 'tried', id: alive[2], test: '' },
        { kind: 'ended', id: alive[3], outcome: 'out of time' },
      ])
      // Tests that are not asked for do not run.
      const unasked = await bench.try({ kind: 'one', alive: [alive[1]!], tests: {}, roundLimit }, tests, 8000)
      expect(unasked.at(-1)).toEqual({ kind: 'tried', id: alive[1], test: '' })
    } finally {
      await bench.close()
    }
  },
)
