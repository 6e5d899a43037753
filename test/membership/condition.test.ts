import { expect, test } from 'vitest'
import { CONDITIONS, healthIn, type Condition } from '../../src/membership/condition.ts'

const where = (field: 'readiness' | 'severity', value: string) =>
  (Object.keys(CONDITIONS) as Condition[])
    .filter((condition) => CONDITIONS[condition][field] === value)
    .sort()

test('what begins, ends or has ended is not ready; refused by the others, a member becomes nothing new', () => {
  expect(where('readiness', 'denied')).toEqual(['draining', 'starting', 'stopped'])
  expect(where('readiness', 'kept')).toEqual(['refused'])
  expect([...where('readiness', 'allowed')]).toHaveLength(Object.keys(CONDITIONS).length - 4)
})

test('a source trusts its members when it is well, or leaves; two of one name are the worst', () => {
  expect(where('severity', 'none')).toEqual(['draining', 'well'])
  expect(where('severity', 'critical')).toEqual(['contested'])
  expect(where('severity', 'warning')).toHaveLength(Object.keys(CONDITIONS).length - 3)
  for (const condition of Object.keys(CONDITIONS) as Condition[]) {
    expect(healthIn(condition, 'why', { seeds: 2 })).toEqual({
      condition,
      ok: CONDITIONS[condition].severity === 'none',
      message: 'why',
      detail: { seeds: 2 },
    })
  }
  expect(healthIn('well', 'why').detail).toEqual({})
})
