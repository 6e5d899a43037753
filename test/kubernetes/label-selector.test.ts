import { describe, expect, test } from 'vitest'
import { LABEL_NAME } from '../../src/kubernetes-names.ts'
import { isLabelSelector } from '../../src/kubernetes/label-selector.ts'

describe('isLabelSelector', () => {
  test.each([
    'app=cache',
    'app==cache',
    'app!=cache',
    'app = cache , tier=a',
    'app',
    '!app',
    'app=',
    'app in (a,b)',
    'app in (a, b),tier notin (c)',
    'app.kubernetes.io/name=ring',
    'example.com/a_b.c-d=E.f_g-1',
  ])('takes %j', (text) => {
    expect(isLabelSelector(text)).toBe(true)
  })

  test.each([
    '',
    ',',
    'app=cache,',
    'app=a b',
    'app=-a',
    '=a',
    'a=b=c',
    'app in a,b',
    'app in (a,b',
    'a/b/c=d',
    'UPPER.com/a=b',
    'app={{x}}',
    `app=${'x'.repeat(64)}`,
    `app=a${',app=a'.repeat(400)}`,
  ])('refuses %j', (text) => {
    expect(isLabelSelector(text)).toBe(false)
  })
})

test('names of resources', () => {
  for (const name of ['a', 'ring-0', '0ring', 'x'.repeat(63)]) expect(name).toMatch(LABEL_NAME)
  for (const name of ['', '-a', 'a-', 'A', 'a.b', 'a_b', 'x'.repeat(64)]) expect(name).not.toMatch(LABEL_NAME)
})
