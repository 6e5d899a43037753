import { describe, expect, test } from 'vitest'
import type { Member, MemberState } from '../../src/membership/member.ts'
import { DeathGathering } from '../../src/service/death-gathering.ts'
import { fakeMember } from '../support/fake-source.ts'

/** Members `a`, `b`, … in these states. */
function members(...states: MemberState[]): Member[] {
  return states.map((state, i) => ({ ...fakeMember('abcdef'[i]!, `10.0.0.${i + 1}`), state }))
}

const statesOf = (list: readonly Member[]) => list.map(({ state }) => state)

describe('deaths', () => {
  test('wait for nothing while nobody else is suspected', () => {
    const gathering = new DeathGathering(1000)
    gathering.take(members('alive', 'alive', 'alive'), 0)
    const all = members('alive', 'dead', 'alive')
    expect(gathering.take(all, 10)).toEqual({ members: all, untilMs: undefined })
  })

  test('wait for the last of the suspects, and all become one', () => {
    const gathering = new DeathGathering(1000)
    gathering.take(members('alive', 'suspect', 'suspect', 'alive'), 0)
    const first = gathering.take(members('alive', 'dead', 'suspect', 'alive'), 100)
    expect(statesOf(first.members)).toEqual(['alive', 'suspect', 'suspect', 'alive'])
    expect(first.untilMs).toBe(1100)
    const last = gathering.take(members('alive', 'dead', 'dead', 'alive'), 400)
    expect(statesOf(last.members)).toEqual(['alive', 'dead', 'dead', 'alive'])
    expect(last.untilMs).toBeUndefined()
  })

  test('wait no longer than the limit from the first of them, whoever is suspected meanwhile', () => {
    const gathering = new DeathGathering(1000)
    gathering.take(members('alive', 'suspect', 'suspect', 'alive'), 0)
    gathering.take(members('alive', 'dead', 'suspect', 'alive'), 100)
    expect(gathering.take(members('alive', 'dead', 'dead', 'suspect'), 900).untilMs).toBe(1100)
    const over = gathering.take(members('alive', 'dead', 'dead', 'suspect'), 1100)
    expect(statesOf(over.members)).toEqual(['alive', 'dead', 'dead', 'suspect'])
    // The next one begins a wait of its own; who was placed as dead stays so.
    expect(statesOf(gathering.take(members('suspect', 'dead', 'dead', 'dead'), 1200).members)).toEqual([
      'suspect',
      'dead',
      'dead',
      'suspect',
    ])
  })

  test('leaves, joins and refutations are not held back, nor is anything with a limit of 0', () => {
    const gathering = new DeathGathering(1000)
    gathering.take(members('alive', 'suspect', 'suspect'), 0)
    const mixed = gathering.take(members('left', 'dead', 'suspect', 'alive'), 100)
    expect(statesOf(mixed.members)).toEqual(['left', 'suspect', 'suspect', 'alive'])
    expect(gathering.take(members('left', 'alive', 'suspect', 'alive'), 200).untilMs).toBeUndefined()
    const off = new DeathGathering(0)
    off.take(members('alive', 'suspect', 'suspect'), 0)
    expect(off.take(members('alive', 'dead', 'suspect'), 1).untilMs).toBeUndefined()
  })

  test('a member that was never placed, or was dead before, is not held back', () => {
    const gathering = new DeathGathering(1000)
    const all = members('suspect', 'dead')
    expect(gathering.take(all, 0)).toEqual({ members: all, untilMs: undefined })
    expect(gathering.take(all, 10)).toEqual({ members: all, untilMs: undefined })
  })
})
