import { describe, expect, test } from 'vitest'
import {
  correctTo,
  INCARNATION_LIMIT,
  isBeyond,
  raiseTo,
  type Rising,
  roomToRise,
} from '../../../../src/membership/memberlist/protocol/incarnation.ts'

const BURST = 2 ** 20

const rising = (incarnation = 0): Rising => ({ incarnation, risen: 0, risenMs: 0 })

describe('an incarnation', () => {
  test('stays so far below the end of uint32 that it takes years to come there', () => {
    expect(INCARNATION_LIMIT).toBe(2_147_483_648)
  })

  test('may rise by 2^20 at once, and by 16 each second; that of this member itself by twice as much', () => {
    const [other, self] = [rising(5), rising(5)]
    expect([roomToRise(other, 0), roomToRise(self, 0, 2)]).toEqual([BURST, 2 * BURST])
    raiseTo(other, 5 + BURST, 1000)
    raiseTo(self, 5 + 2 * BURST, 1000, 2)
    expect([other.incarnation, self.incarnation]).toEqual([5 + BURST, 5 + 2 * BURST])
    expect([roomToRise(other, 1000), roomToRise(self, 1000, 2)]).toEqual([0, 0])
    expect([roomToRise(other, 1500), roomToRise(self, 1500, 2)]).toEqual([8, 16])
    raiseTo(other, other.incarnation + 3, 1500)
    raiseTo(self, self.incarnation + 3, 1500, 2)
    expect([roomToRise(other, 1500), roomToRise(self, 1500, 2)]).toEqual([5, 13])
    expect([roomToRise(other, 2500), roomToRise(self, 2500, 2)]).toEqual([21, 45])
  })

  test('has no more room than the burst, however long it did not rise', () => {
    const other = rising()
    raiseTo(other, 100, 0)
    expect(roomToRise(other, 1e9)).toBe(BURST)
    raiseTo(other, 101, 1e9)
    expect(roomToRise(other, 1e9)).toBe(BURST - 1)
  })

  test('that falls takes no room, and gives none', () => {
    const other = rising(100)
    raiseTo(other, 110, 0)
    raiseTo(other, 50, 0)
    expect(other.incarnation).toBe(50)
    expect(roomToRise(other, 0)).toBe(BURST - 10)
  })

  test.each([
    [BURST, false],
    [BURST + 1, true],
    [-512, false],
    [-513, true],
  ])('that differs by %i is believed of anybody but the member itself: not %s', (rise, isTooFar) => {
    expect(isBeyond(rising(10_000), 10_000 + rise, 0)).toBe(isTooFar)
  })

  test('that was corrected rises by what time allows alone', () => {
    const other = rising(1000)
    correctTo(other, 7, 2000)
    expect(other.incarnation).toBe(7)
    expect(roomToRise(other, 2000)).toBe(0)
    expect(roomToRise(other, 3000)).toBe(16)
  })
})
