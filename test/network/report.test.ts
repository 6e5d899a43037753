import { describe, expect, test } from 'vitest'
import { count, median, seconds, table, type Row } from '../../bench/network/report.ts'

describe('median', () => {
  test.each([
    [[3], 3],
    [[5, 1, 3], 3],
    [[4, 1, 2, 3], 2.5],
    [[1, undefined, 2], 2],
    [[1, undefined], undefined],
    [[undefined], undefined],
  ])('of %j is %j: never is the longest', (samples, expected) => {
    expect(median(samples)).toBe(expected)
  })
})

describe('table', () => {
  const row = (
    own: readonly (number | undefined)[],
    go: readonly (number | undefined)[],
    goal?: Row['goal'],
  ): Row => ({
    scenario: 'kill',
    question: 'removed',
    samples: new Map([
      ['ours', own],
      ['go', go],
    ]),
    format: seconds,
    goal,
  })
  const cells = (line: Row) =>
    table([line], ['ours', 'go'], 'go')
      .split('\n')
      .at(-1)
      ?.split('|')
      .slice(3, -1)
      .map((cell) => cell.trim())

  test('shows the median, the extremes and the ratio to the baseline', () => {
    expect(cells(row([1000, 3000, 2000], [4000]))).toEqual(['2.00 s (1.00 s to 3.00 s)', '4.00 s', '0.50'])
    expect(cells(row([1000, undefined, undefined], [undefined]))).toEqual([
      'never (1.00 s to never)',
      'never',
      '',
    ])
  })

  test('has no ratios without the baseline', () => {
    expect(table([row([1], [2])], ['ours'], 'go').split('\n')[0]).toBe('| scenario | measured | ours |')
  })

  test.each<[string, readonly (number | undefined)[], readonly (number | undefined)[], Row['goal'], string]>([
    ['met at the bound', [2000], [4000], { ratio: 0.5 }, 'at most 0.50 of go: met'],
    ['missed above it', [2001], [4000], { ratio: 0.5 }, 'at most 0.50 of go: MISSED'],
    ['met where Go never does', [2000], [undefined], { ratio: 0.5 }, 'at most 0.50 of go: met'],
    ['missed where we never do', [undefined], [undefined], { ratio: 0.5 }, 'at most 0.50 of go: MISSED'],
    ['of a value', [2000], [1], { value: 1000 }, 'at most 1.00 s: MISSED'],
  ])('judges a goal: %s', (_title, own, go, goal, expected) => {
    expect(cells(row(own, go, goal))?.at(-1)).toBe(expected)
  })

  test('none is no more than none', () => {
    const none = { ...row([0], [0], { value: 0, ratio: 1 }), format: count }
    expect(cells(none)?.at(-1)).toBe('at most 0: met; at most 1.00 of go: met')
  })
})
