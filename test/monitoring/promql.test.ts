import { expect, test } from 'vitest'
import { readExpression } from './promql.ts'

const metricsOf = (expression: string) => readExpression(expression).selectors.map(({ metric }) => metric)

test('finds each metric, and none of the functions, keywords and labels around them', () => {
  expect(
    metricsOf(
      'count by (namespace, release) (count by (digest) (a_info)) > bool 1 and on (namespace) (b offset 5m) unless c',
    ),
  ).toEqual(['a_info', 'b', 'c'])
  expect(metricsOf('sum(rate(a_total[5m])) by (le) / scalar(max(b))')).toEqual(['a_total', 'b'])
  expect(metricsOf('histogram_quantile(0.99, sum by (le) (rate(a_bucket[$__rate_interval]))) * 1e3')).toEqual(
    ['a_bucket'],
  )
  expect(metricsOf('max_over_time((count(up == 1))[10m:30s]) @ end()')).toEqual(['up'])
  expect(metricsOf('label_replace(a, "to", "$1", "from", "(.*)") * on (pod) group_left (release) b')).toEqual(
    ['a', 'b'],
  )
})

test('finds a metric that is named like a function or a keyword', () => {
  expect(metricsOf('sum(count) + by')).toEqual(['count'])
})

test('reads the matchers of each selector, with every operator and quote', () => {
  expect(readExpression(`a{b="c",d!='e', f=~"g|\\"h", i!~\`j\`} + k`).selectors).toEqual([
    {
      metric: 'a',
      matchers: [
        { label: 'b', operator: '=', value: 'c' },
        { label: 'd', operator: '!=', value: 'e' },
        { label: 'f', operator: '=~', value: 'g|"h' },
        { label: 'i', operator: '!~', value: 'j' },
      ],
    },
    { metric: 'k', matchers: [] },
  ])
})

test('reads the labels that results are grouped and joined by', () => {
  expect(
    readExpression('sum by (a, b) (x) * on (c,) group_left (d) y / ignoring (e) sum without (f) (z)')
      .groupingLabels,
  ).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
})

test.each(['a{b="c"', 'sum by (a', 'a{b}', 'a{b="c}', 'a ; b', 'a{"b"="c"}'])('refuses %s', (expression) => {
  expect(() => readExpression(expression)).toThrow(SyntaxError)
})
