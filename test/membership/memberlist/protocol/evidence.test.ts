import { describe, expect, test } from 'vitest'
import { seededRandom } from '../../../../lab/sim/seeded-random.ts'
import {
  planInquiry,
  silenceChance,
  tryLossRate,
} from '../../../../src/membership/memberlist/protocol/evidence.ts'

describe('the sum', () => {
  test('a ping is answered when both of its packets come through', () => {
    expect(tryLossRate(0.4)).toBeCloseTo(0.64)
    expect(tryLossRate(0)).toBe(0)
    expect(tryLossRate(1)).toBe(1)
  })

  test('with all needed, the chances of all pings multiply', () => {
    expect(silenceChance(8, 8, 5, 0.4)).toBeCloseTo(0.64 ** (8 * 5 + 5 + 3), 15)
    expect(silenceChance(1, 1, 2, 0.25)).toBeCloseTo(0.4375 ** 7, 12)
    expect(silenceChance(5, 3, 4, 0)).toBe(0)
    expect(silenceChance(5, 3, 4, 1)).toBeCloseTo(1)
  })

  test('is what happens when packets are lost by chance', () => {
    const random = seededRandom(5)
    const [asked, needed, tries, lossRate] = [4, 2, 1, 0.5]
    const isSilent = (count: number) =>
      Array.from({ length: count }, () => random() < lossRate || random() < lossRate).every(Boolean)
    let silent = 0
    for (let i = 0; i < 20_000; i++) {
      const witnesses = Array.from({ length: asked }, () => isSilent(tries)).filter(Boolean).length
      if (witnesses >= needed && isSilent(tries + 3)) silent++
    }
    expect(silent / 20_000).toBeCloseTo(silenceChance(asked, needed, tries, lossRate), 2)
  })

  test('a plan keeps it below one in 10^8 at 40 % loss, with more than half of those asked, and no ping too many', () => {
    for (let asked = 1; asked <= 12; asked++) {
      const { needed, tries } = planInquiry(asked)
      expect(needed).toBeGreaterThan(asked / 2)
      expect(needed).toBeLessThanOrEqual(asked)
      expect(silenceChance(asked, needed, tries, 0.4)).toBeLessThanOrEqual(1e-8)
      expect(silenceChance(asked, needed, tries - 1, 0.4)).toBeGreaterThan(1e-8)
    }
    expect(planInquiry(8)).toEqual({ needed: 5, tries: 8 })
    expect(planInquiry(12)).toEqual({ needed: 7, tries: 7 })
  })
})
