import { describe, expect, test } from 'vitest'
import {
  isDoubtful,
  isLate,
  isStale,
  previousOf,
} from '../../../../src/membership/memberlist/protocol/doubtful-deaths.ts'
import type { MemberRecord } from '../../../../src/membership/memberlist/protocol/members.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { CoreBench } from './core-bench.ts'
import { dead, endpointOf, suspect } from './machine.ts'

/** `m2`, alive in incarnation 3; at 1 s its name came from elsewhere, where it had come to 5. */
function takenOver(settings: Partial<ProtocolSettings> = {}) {
  const bench = new CoreBench(settings)
  const record = bench.member(2)
  record.incarnation = 3
  record.previous = { endpoint: endpointOf(9), incarnation: 5, untilMs: 1000 }
  return { core: bench.core, record, add: (n: number) => bench.member(n) }
}

test('what a name was before is known as long as the dead are', () => {
  const { core, record } = takenOver()
  core.nowMs = 60_999
  expect(previousOf(core, record)).toMatchObject({ incarnation: 5 })
  core.nowMs = 61_000
  expect(previousOf(core, record)).toBeUndefined()
  expect(record.previous).toBeUndefined()
})

describe('word of what a name was before', () => {
  test.each([
    [3, false],
    [4, true],
    [5, true],
    [6, false],
  ])('in incarnation %i is old: %s', (incarnation, isOld) => {
    for (const message of [suspect(2, incarnation), dead(2, incarnation)]) {
      const { core, record } = takenOver()
      expect(isStale(core, record, message)).toBe(isOld)
      core.nowMs = 61_000
      expect(isStale(core, record, message)).toBe(false)
      const fallen = takenOver()
      fallen.record.state = 'dead'
      expect(isStale(fallen.core, fallen.record, message)).toBe(false)
    }
  })

  test.each<[string, number, number, string, MemberRecord['state'], boolean]>([
    ['at once', 1000, 5, 'm3', 'alive', true],
    ['of a suspect', 1000, 5, 'm3', 'suspect', true],
    ['for the shortest suspicion', 4999, 5, 'm3', 'alive', true],
    ['no longer', 5000, 5, 'm3', 'alive', false],
    ['of its last incarnation there', 1000, 4, 'm3', 'alive', false],
    ['and of no later one', 1000, 6, 'm3', 'alive', false],
    ['unless we find it ourselves', 1000, 5, 'm1', 'alive', false],
    ['or it has fallen', 1000, 5, 'm3', 'left', false],
  ])('of its death is late: %s', (_, nowMs, incarnation, from, state, late) => {
    const { core, record } = takenOver()
    core.nowMs = nowMs
    record.state = state
    expect(isLate(core, record, dead(2, incarnation, from))).toBe(late)
    record.previous = undefined
    expect(isLate(core, record, dead(2, incarnation, from))).toBe(false)
  })
})

describe('word of a death is in doubt', () => {
  test.each<[string, MemberRecord['state'] | undefined, boolean]>([
    ['of one that is dead here', 'dead', true],
    ['not of one that left', 'left', false],
    ['not of a suspect', 'suspect', false],
    ['not of one that lives', 'alive', false],
    ['not of a stranger', undefined, false],
  ])('%s', (_, state, doubtful) => {
    for (const checkSuspects of [true, false]) {
      const { core, record, add } = takenOver({ checkSuspects })
      if (state !== undefined) core.members.setState(add(3), state, 0)
      expect(isDoubtful(core, record, dead(2, 3, 'm3'))).toBe(doubtful && checkSuspects)
      core.members.setState(record, 'dead', 0)
      expect(isDoubtful(core, record, dead(2, 3, 'm3'))).toBe(false)
      // Of itself it says that it leaves, whatever it is here.
      expect(isDoubtful(core, record, dead(2, 3, 'm2'))).toBe(false)
    }
  })

  test('of a contested name, unless it is ours', () => {
    for (const checkSuspects of [true, false]) {
      const { core, record } = takenOver({ checkSuspects })
      record.rival = endpointOf(9)
      expect(['m1', 'm2', 'm3'].map((from) => isDoubtful(core, record, dead(2, 3, from)))).toEqual([
        false,
        true,
        true,
      ])
    }
  })
})
