import { expect, test } from 'vitest'
import { Awareness } from '../../../../src/membership/memberlist/protocol/awareness.ts'

test.each([
  [8, [0, 1, 3, 7, 7, 6, 0, 0]],
  [2, [0, 1, 1, 1, 1, 0, 0, 0]],
  [1, [0, 0, 0, 0, 0, 0, 0, 0]],
  [0, [0, 0, 0, 0, 0, 0, 0, 0]],
])('with a limit of %i the score goes from 0 to one less, and times grow with it', (limit, scores) => {
  const awareness = new Awareness(limit)
  for (const [i, delta] of [0, 1, 2, 4, 5, -1, -6, -3].entries()) {
    awareness.adjust(delta)
    expect(awareness.score).toBe(scores[i])
    expect(awareness.scale(500)).toBe(500 * (scores[i]! + 1))
  }
})
