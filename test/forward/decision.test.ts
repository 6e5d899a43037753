import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { decide, MAX_HOPS } from '../../src/forward/decision.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { orderRings } from '../../src/manager/ring-order.ts'
import { CHECK_VERDICTS } from '../../src/service/ownership.ts'

const rules = { whenBehind: 'wait' } as const

test.each([
  ['mine, by whatever ring', { verdict: 'i-am-behind', mine: true }, 1, 'serve', 'serve'],
  ['I am behind', { verdict: 'i-am-behind', mine: false }, 1, 'wait', 'serve'],
  ['nobody can say', { verdict: 'unknown', mine: false }, 1, 'wait', 'serve'],
  ['the sender is behind', { verdict: 'you-are-behind', mine: false }, 1, 'forward', 'forward'],
  ['one ring, and not mine', { verdict: 'not-mine', mine: false }, 1, 'forward', 'forward'],
  [
    'the sender is behind, at the limit',
    { verdict: 'you-are-behind', mine: false },
    MAX_HOPS,
    'refuse',
    'serve',
  ],
] as const)('%s', (_, check, hops, careful, eager) => {
  expect(decide(check, { hops, standIn: false }, rules)).toBe(careful)
  expect(decide(check, { hops, standIn: false }, { whenBehind: 'serve' })).toBe(eager)
})

test('who stands in serves, whatever its ring says', () => {
  for (const verdict of CHECK_VERDICTS) {
    expect(decide({ verdict, mine: false }, { hops: 9, standIn: true }, rules)).toBe('serve')
  }
})

test('whatever rings members have, a request ends after few hops, and without an owner that passes it on', () => {
  const names = ['a', 'b', 'c', 'd', 'e']
  const rings = fc.array(fc.subarray(names, { minLength: 1 }), { minLength: 1, maxLength: 6 })
  // Each member has gone through some rings of a common history, or through others.
  const histories = fc.tuple(...names.map(() => rings))
  fc.assert(
    fc.property(
      histories,
      fc.string(),
      fc.constantFrom('wait', 'serve'),
      fc.nat(4),
      (all, key, whenBehind, at) => {
        const members = all.map((history) =>
          history.map((set) => HashRing.of(set.map((ringKey) => ({ ringKey, weight: 1 })))),
        )
        const digestsOf = (member: number) => members[member]!.map(({ digest }) => digest)
        const ownerOf = (member: number) => names.indexOf(members[member]![0]!.ownerOf(key)!.ringKey)
        let member = at
        let hops = 0
        let from: number | undefined
        for (;;) {
          const mine = ownerOf(member) === member
          if (from === undefined) {
            if (mine) return
          } else {
            const order = orderRings(digestsOf(member), digestsOf(from))
            const verdict = (
              {
                same: mine ? 'mine' : 'not-mine',
                ahead: 'you-are-behind',
                behind: 'i-am-behind',
                unknown: 'unknown',
              } as const
            )[order]
            const decision = decide({ verdict, mine }, { hops, standIn: false }, { whenBehind })
            if (mine) expect(decision).toBe('serve')
            if (decision !== 'forward') return
            // Only who has the newer ring, or the same one, passes it on.
            expect(['same', 'ahead']).toContain(order)
          }
          from = member
          member = ownerOf(member)
          hops += 1
          expect(hops).toBeLessThanOrEqual(MAX_HOPS)
        }
      },
    ),
  )
})
