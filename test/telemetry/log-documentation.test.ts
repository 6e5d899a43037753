import { globSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { LOG_LEVELS } from '../../src/telemetry/logger.ts'

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

test('an event is a noun and a past participle', () => {
  const odd = [...events].filter((event) => !/^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*$/.test(event))
  // Scripts and charts wait for this one.
  expect(odd).toEqual(['ready'])
})
