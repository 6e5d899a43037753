import { expect, test } from 'vitest'
import { unknownsOf } from './known-metrics.ts'

test('takes what ringman serves, with the labels of the targets', () => {
  expect(
    unknownsOf('sum by (pod, le) (rate(ringman_lookup_duration_seconds_bucket{namespace="a"}[5m]))'),
  ).toEqual([])
  expect(unknownsOf('max by (release) (ringman_members{state=~"alive|suspect"})')).toEqual([])
})

test.each([
  ['ringman_member', 'there is no metric ringman_member'],
  ['ringman_lookup_duration_seconds', 'there is no metric ringman_lookup_duration_seconds'],
  ['ringman_members{status="alive"}', 'ringman_members has no label status'],
  ['ringman_members{state="living"}', 'state of ringman_members is never living'],
  ['ringman_members{state=~"alive|living"}', 'state of ringman_members is never living'],
  ['sum by (digest) (ringman_members)', 'no metric has the label digest to group by'],
  ['ringman_ready{le="1"}', 'ringman_ready has no label le'],
])('finds what is wrong with %s', (expression, problem) => {
  expect(unknownsOf(expression)).toEqual([problem])
})
