import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { ERROR_CODES, RingmanError, type ErrorCode } from '../../src/errors.ts'
import { ERROR_STATUSES, problemOf } from '../../src/http/error-body.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

describe('docs/errors.md', () => {
  const rows = read('errors.md')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, code = '', status = '', meaning = '', advice = '']) => ({
      code: code.replaceAll('`', ''),
      status,
      meaning,
      advice,
    }))

  test('documents every code, once, and no other', () => {
    expect(rows.map(({ code }) => code).sort()).toEqual(Object.keys(ERROR_CODES).sort())
  })

  test.each(Object.keys(ERROR_CODES) as ErrorCode[])('%s has its status, a meaning and an advice', (code) => {
    const row = rows.find((each) => each.code === code)
    const status = code === 'INTERNAL' ? 500 : ERROR_STATUSES[code]?.status
    expect(row?.status).toBe(String(status ?? '–'))
    expect(row?.meaning).toMatch(/\.$/)
    expect(row?.advice).toMatch(/\.$/)
  })
})

describe('problemOf', () => {
  test('shows the message of listed codes only', () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const { problem } = problemOf(new RingmanError(code, 'what went wrong'))
      const listed = ERROR_STATUSES[code] !== undefined
      expect(problem.code).toBe(listed ? code : 'INTERNAL')
      expect(problem.status).toBe(ERROR_STATUSES[code]?.status ?? 500)
      expect(problem.detail === 'what went wrong').toBe(listed)
    }
  })

  test.each([new Error('secret'), 'secret', undefined, { code: 'NOT_FOUND', message: 'secret' }])(
    'takes %s for a fault of ours',
    (thrown) => {
      const { problem } = problemOf(thrown)
      expect(problem).toMatchObject({ status: 500, code: 'INTERNAL' })
      expect(JSON.stringify(problem)).not.toContain('secret')
    },
  )

  test('every 503 says when to try again', () => {
    for (const { status, retryAfterSeconds } of Object.values(ERROR_STATUSES)) {
      expect(retryAfterSeconds !== undefined).toBe(status === 503)
    }
  })
})

describe('docs/http.md', () => {
  test('lists every limit with its default', () => {
    const documented = [...read('http.md').matchAll(/^\| `(\w+)` +\| ([\d,]+) /gm)].map(
      ([, name, value = '']) => [name, Number(value.replaceAll(',', ''))] as const,
    )
    expect(Object.fromEntries(documented)).toEqual(DEFAULT_HTTP_LIMITS)
  })
})
