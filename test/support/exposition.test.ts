import { describe, expect, test } from 'vitest'
import { parseExposition } from './exposition.ts'

const HEAD = '# HELP a_total It counts.\n# TYPE a_total counter\n'

describe('parseExposition', () => {
  test('reads names, labels, escapes and values', () => {
    const text = `${HEAD}a_total{x="1\\"\\\\\\n",y=""} 1.5e3\na_total 2\n`
    expect(parseExposition(text, 'prometheus').get('a_total')?.samples).toEqual([
      { name: 'a_total', labels: { x: '1"\\\n', y: '' }, value: 1500 },
      { name: 'a_total', labels: {}, value: 2 },
    ])
  })

  test('reads exemplars of OpenMetrics', () => {
    const text =
      '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 1 # {trace_id="ab"} 0.5 12.25\nh_bucket{le="+Inf"} 1\nh_sum 0.5\nh_count 1\n# EOF\n'
    expect(parseExposition(text, 'openmetrics').get('h')?.samples[0]?.exemplar).toEqual({
      labels: { trace_id: 'ab' },
      value: 0.5,
      timestamp: 12.25,
    })
    expect(() => parseExposition(text.replace('# EOF\n', ''), 'prometheus')).toThrow(/exemplar/)
  })

  test.each([
    ['no last line feed', `${HEAD}a_total 1`],
    ['the same series twice', `${HEAD}a_total{x="1",y="2"} 1\na_total{y="2",x="1"} 1\n`],
    ['the same metric twice', `${HEAD}a_total 1\n${HEAD}a_total{x="1"} 1\n`],
    ['another metric among its series', `${HEAD}b_total 1\n`],
    ['a value without a type', 'a_total 1\n'],
    ['a type without help', '# TYPE a_total counter\na_total 1\n'],
    ['an unknown escape', `${HEAD}a_total{x="\\t"} 1\n`],
    ['an open label', `${HEAD}a_total{x="1} 1\n`],
    ['no comma', `${HEAD}a_total{x="1"y="2"} 1\n`],
    ['no value', `${HEAD}a_total{x="1"}\n`],
    ['a word as value', `${HEAD}a_total one\n`],
    ['two values', `${HEAD}a_total 1 2 3\n`],
    ['a negative counter', `${HEAD}a_total -1\n`],
    ['NaN in a counter', `${HEAD}a_total NaN\n`],
    ['buckets that fall', hist(['h_bucket{le="1"} 2', 'h_bucket{le="+Inf"} 1', 'h_sum 1', 'h_count 1'])],
    ['no last bucket', hist(['h_bucket{le="1"} 1', 'h_sum 1', 'h_count 1'])],
    ['another count', hist(['h_bucket{le="+Inf"} 1', 'h_sum 1', 'h_count 2'])],
    ['no sum', hist(['h_bucket{le="+Inf"} 1', 'h_count 1'])],
  ])('refuses %s', (_, text) => {
    expect(() => parseExposition(text, 'prometheus')).toThrow(/./)
  })

  test.each([
    ['no end', '# HELP a A.\n# TYPE a counter\na_total 1\n'],
    ['an empty line', '# HELP a A.\n# TYPE a counter\n\na_total 1\n# EOF\n'],
    ['a counter named as a series', `${HEAD}a_total 1\n# EOF\n`],
  ])('refuses OpenMetrics with %s', (_, text) => {
    expect(() => parseExposition(text, 'openmetrics')).toThrow(/./)
  })
})

function hist(lines: readonly string[]): string {
  return `# HELP h H.\n# TYPE h histogram\n${lines.join('\n')}\n`
}
