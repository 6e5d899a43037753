import { globSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createLogger, LOG_LEVELS } from '../../src/telemetry/logger.ts'
import { repeatedKeys } from '../support/repeated-keys.ts'

const root = new URL('../../', import.meta.url).pathname
const sources = globSync('src/**/*.ts', { cwd: root }).map((file) => readFileSync(root + file, 'utf8'))

/** Every event that code logs. */
const events = new Set(
  sources.flatMap((text) =>
    [...text.matchAll(/^(?! *[/*]).*\bevent: '([^']*)'/gm)].map(([, name = '']) => name),
  ),
)

describe('docs/logs.md', () => {
  const rows = readFileSync(`${root}docs/logs.md`, 'utf8')
    .split('## Events')[1]
    ?.split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, event = '', levels = '', meaning = '']) => ({
      event: event.replaceAll('`', ''),
      levels: levels.split(', '),
      meaning,
    }))

  test('has a row for every event that is logged, and for no other', () => {
    expect(events.size).toBeGreaterThan(50)
    expect(rows?.map(({ event }) => event).sort()).toEqual([...events].sort())
  })

  test('has its levels and a meaning in each row', () => {
    for (const { event, levels, meaning } of rows ?? []) {
      expect([event, levels.filter((level) => !LOG_LEVELS.some((one) => one === level))]).toEqual([event, []])
      expect(meaning).toMatch(/\.$/)
    }
  })

  test('has the levels with which the code logs an event, where one line of code says both', () => {
    const pairs = sources.flatMap((text) =>
      [...text.matchAll(/\.(trace|debug|info|warn|error|fatal)\(\s*\{\s*event: '([^']*)'/g)].map(
        ([, level = '', event = '']) => ({ level, event }),
      ),
    )
    expect(pairs.length).toBeGreaterThan(30)
    for (const { level, event } of pairs) {
      expect([event, rows?.find((row) => row.event === event)?.levels]).toEqual([
        event,
        expect.arrayContaining([level]),
      ])
    }
  })
})

/** The fields that code gives along with an event, as far as they are written beside it. */
function fieldsBeside(text: string, at: number): string[] {
  let literal = text.slice(text.lastIndexOf('{', at) + 1)
  for (let before = ''; before !== literal;) {
    before = literal
    // What is nested has keys of its own.
    literal = literal.replace(/\{[^{}]*\}|\([^()]*\)|\[[^[\]]*\]/g, '')
  }
  const [inside = ''] = literal.split('}', 1)
  return inside.split(',').flatMap((entry) => /^\s*(\w+)/.exec(entry)?.[1] ?? [])
}

/** The fields that code gives along with each event, wherever it logs it. */
function fieldsOf(event: string): Set<string> {
  return new Set(
    sources.flatMap((text) =>
      [...text.matchAll(/\bevent: '([^']*)'/g)].flatMap(({ 1: name, index }) =>
        name === event ? fieldsBeside(text, index) : [],
      ),
    ),
  )
}

test('docs/logs.md names no field that the code does not give, and its example has all of them', () => {
  const text = readFileSync(`${root}docs/logs.md`, 'utf8')
  const [, example = '{}'] = /```json\n([^]*?)```/.exec(text) ?? []
  const { level, time, member, component, msg, ...own } = JSON.parse(example) as Record<string, unknown>
  expect([level, time, member, component, msg]).not.toContain(undefined)
  expect(new Set(Object.keys(own))).toEqual(fieldsOf('ring.changed'))
  for (const [, event = '', meaning = ''] of text.matchAll(/^\| `([a-z.-]+)` +\|[^|]*\|(.*)\|$/gm)) {
    const where = sources.filter((source) => source.includes(`event: '${event}'`)).join('\n')
    const named = [...meaning.matchAll(/`([a-z][A-Za-z]*)`/g)].flatMap(([, word = '']) => word)
    // A field that does not stand beside the event is made in the same file; what is no field is a level, or a value.
    const unknown = named.filter(
      (word) =>
        !new RegExp(`\\b${word}\\b`).test(where) && !sources.some((source) => source.includes(`'${word}'`)),
    )
    expect([event, unknown]).toEqual([event, []])
  }
})

test('no line of the real logger has a key twice, whatever is logged', () => {
  const seen = new Set<string>()
  for (const text of sources) {
    for (const { 1: event = '', index } of text.matchAll(/\bevent: '([^']*)'/g)) {
      if (!events.has(event)) continue
      const names = fieldsBeside(text, index)
      expect(names, event).toContain('event')
      const lines: string[] = []
      createLogger({
        level: 'info',
        format: 'json',
        member: 'a',
        destination: { write: (line) => void lines.push(line) },
      })
        .child({ component: 'a part' })
        .info({ ...Object.fromEntries(names.map((name) => [name, 'some value'])), event }, 'Did something')
      expect([event, repeatedKeys(lines[0] ?? '')]).toEqual([event, []])
      expect(JSON.parse(lines[0] ?? '')).toMatchObject({ member: 'a', event })
      seen.add(event)
    }
  }
  expect([...events].filter((event) => !seen.has(event))).toEqual([])
})

test('an event is a noun and a past participle', () => {
  const odd = [...events].filter((event) => !/^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*$/.test(event))
  // Scripts and charts wait for this one.
  expect(odd).toEqual(['ready'])
})
