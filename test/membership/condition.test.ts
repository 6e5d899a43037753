import { expect, test } from 'vitest'
import { CONDITIONS, healthIn, type Condition } from '../../src/membership/condition.ts'

const all = Object.keys(CONDITIONS) as Condition[]
const where = (field: 'readiness' | 'severity', value: string) =>
  all.filter((condition) => CONDITIONS[condition][field] === value).sort()

test('what a condition does to readiness', () => {
  const denied = ['draining', 'pending', 'releasing', 'starting', 'stopped', 'unlisted', 'unreachable']
  expect(where('readiness', 'denied')).toEqual(denied)
  expect(where('readiness', 'kept')).toEqual(['refused', 'unsure'])
  expect(where('readiness', 'allowed')).toHaveLength(all.length - denied.length - 2)
})

test('how bad it is, and the health that it makes', () => {
  expect(where('severity', 'none')).toEqual(['draining', 'pending', 'releasing', 'well'])
  expect(where('severity', 'critical')).toEqual(['braked', 'contested', 'unlisted', 'unreachable'])
  expect(where('severity', 'warning')).toHaveLength(all.length - 8)
  for (const condition of all) {
    const ok = CONDITIONS[condition].severity === 'none'
    const detail = { seeds: 2 }
    expect(healthIn(condition, 'why', detail)).toEqual({ condition, ok, message: 'why', detail })
  }
  expect(healthIn('well', 'why').detail).toEqual({})
})
