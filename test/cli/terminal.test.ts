import { expect, test } from 'vitest'
import { renderBar, renderShare, renderTable } from '../../src/cli/terminal.ts'

test.each([
  [0, 10, ''],
  [1, 10, '██████████'],
  [0.5, 4, '██'],
  [0.25 / 8, 4, '▏'],
  [0.55, 4, '██▎'],
  [1.5, 4, '████'],
  [-1, 4, ''],
])('a share of %d in %d characters is %j', (fraction, width, bar) => {
  expect(renderBar(fraction, width)).toBe(bar)
})

test('shares have one decimal', () => {
  expect([0, 1 / 3, 1].map(renderShare)).toEqual(['0.0%', '33.3%', '100.0%'])
})

test('columns are as wide as their widest cell', () => {
  const rows = [
    ['NAME', 'N', 'REST'],
    ['a', '10', ''],
    ['long-name', '7', 'x'],
  ]
  expect(renderTable(rows, [1])).toBe('NAME        N  REST\na          10\nlong-name   7  x\n')
  expect(renderTable([])).toBe('')
})
