import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Member } from '../../src/membership/member.ts'
import { placeInSteps, placeMembers, ringKeyOf, type KnownNodes } from '../../src/membership/placement.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { finish, PIECES_PER_STEP } from '../../src/ring/steps.ts'
import { fakeMember } from '../support/fake-source.ts'

test('the ring key is the address with the service port, or the name', () => {
  const member = fakeMember('pod-0', '10.0.0.1', { servicePort: '8080' })
  expect(ringKeyOf(member, 'address')).toBe('10.0.0.1:8080')
  expect(ringKeyOf(member, 'name')).toBe('pod-0')
  expect(ringKeyOf(fakeMember('six', '::1'), 'address')).toBe('::1:8000')
  expect(ringKeyOf({ ...member, metadata: undefined }, 'name')).toBeUndefined()
})

test('members are placed so many in a step', () => {
  for (const count of [
    1,
    PIECES_PER_STEP - 1,
    PIECES_PER_STEP,
    3 * PIECES_PER_STEP - 1,
    3 * PIECES_PER_STEP,
  ]) {
    const members = Array.from({ length: count }, (_, i) => fakeMember(`m${i}`, `10.0.${i >> 8}.${i & 255}`))
    const pauses = [...placeInSteps(members, 'name')].length
    // One more after it is known who moves, and one before the weights are bounded.
    expect(pauses, `${count} members`).toBe(Math.floor(count / PIECES_PER_STEP) + 2)
  }
})

test('those alive or suspect with metadata own something', () => {
  const nodes = placeMembers(
    [
      fakeMember('a', '10.0.0.1', { weight: 3, zone: 'z' }),
      fakeMember('b', '10.0.0.2', { state: 'suspect' }),
      fakeMember('c', '10.0.0.3', { state: 'dead' }),
      fakeMember('d', '10.0.0.4', { state: 'left' }),
      { ...fakeMember('e', '10.0.0.5'), metadata: undefined },
    ],
    'address',
  )
  expect(nodes).toStrictEqual([
    { ringKey: '10.0.0.1:8000', weight: 3, name: 'a', address: '10.0.0.1', port: 8000, zone: 'z' },
    { ringKey: '10.0.0.2:8000', weight: 1, name: 'b', address: '10.0.0.2', port: 8000 },
  ])
})

test('a member without metadata owns nothing, also where it is the only one', () => {
  const member = { ...fakeMember('a', '10.0.0.1'), metadata: undefined }
  expect(placeMembers([member], 'address')).toEqual([])
  expect(placeMembers([member], 'name')).toEqual([])
})

test('of two members with one ring key the lower name stands for both', () => {
  const twins = [fakeMember('a', '10.0.0.1'), fakeMember('b', '10.0.0.1', { weight: 5 })]
  expect(placeMembers(twins, 'address').map(({ name, weight }) => [name, weight])).toEqual([['a', 1]])
  expect(placeMembers(twins, 'name').map(({ ringKey }) => ringKey)).toEqual(['a', 'b'])
  const [dead, alive] = [fakeMember('a', '10.0.0.1', { state: 'dead' }), fakeMember('b', '10.0.0.1')]
  expect(placeMembers([dead, alive], 'address').map(({ name }) => name)).toEqual(['b'])
})

test('a name that cannot be a ring key keeps its member, and no other, off the ring', () => {
  const members = ['', 'a\nb', 'a\ud800', 'pod-0'].map((name, i) => fakeMember(name, `10.0.0.${i}`))
  expect(placeMembers(members, 'name').map(({ ringKey }) => ringKey)).toEqual(['pod-0'])
  expect(placeMembers(members, 'address')).toHaveLength(4)
})

test('a drained member owns nothing', () => {
  const [a, b] = [fakeMember('a', '10.0.0.1'), fakeMember('b', '10.0.0.2')]
  const drained = { ...a, metadata: { servicePort: '8000', drained: true } }
  expect(placeMembers([drained, b], 'name').map(({ name }) => name)).toEqual(['b'])
  expect(placeMembers([drained], 'name')).toEqual([])
})

describe('members that move', () => {
  const owning = fakeMember('a', '10.0.0.1')
  const pending = fakeMember('b', '10.0.0.2', { handover: { phase: 'pending', number: 1 } })
  const releasing = fakeMember('c', '10.0.0.3', { handover: { phase: 'releasing', number: 2 } })
  const weighing = fakeMember('d', '10.0.0.4', {
    weight: 3,
    handover: { phase: 'weighing', number: 3, weight: 5 },
  })
  const members = [owning, pending, releasing, weighing]
  const placed = (...args: Parameters<typeof placeMembers>) =>
    placeMembers(...args).map(({ name, weight }) => `${name} ${weight}`)

  test('are where they were until their move is done, and then where it brings them', () => {
    expect(placed(members, 'name')).toEqual(['a 1', 'c 1', 'd 3'])
    expect(placed(members, 'name', () => true)).toEqual(['a 1', 'b 1', 'd 5'])
    expect(placed(members, 'name', ({ name }) => name === 'b')).toEqual(['a 1', 'b 1', 'c 1', 'd 3'])
  })

  test('are asked how far they are, and no others', () => {
    const asked: string[] = []
    placed(members, 'name', ({ name }) => asked.push(name) > 0)
    expect(asked).toEqual(['b', 'c', 'd'])
  })

  test('are found anew each time, and those of other members once', () => {
    const known: KnownNodes = new WeakMap()
    const place = (a: Member, isDone: boolean) =>
      finish(placeInSteps([a, weighing], 'name', () => isDone, known))
    const before = place(owning, false)
    const after = place(owning, true)
    expect([before[1]?.weight, after[1]?.weight]).toEqual([3, 5])
    expect(after[0]).toBe(before[0])
    expect(place({ ...owning, address: '10.0.0.5' }, true)[0]?.address).toBe('10.0.0.5')
  })

  test('are all on the ring where nobody else owns anything', () => {
    expect(placed([pending, { ...owning, state: 'dead' }], 'name')).toEqual(['b 1'])
    expect(placed([pending, releasing], 'name')).toEqual(['c 1'])
  })
})

describe('the weight that a member says it has', () => {
  const placed = (weights: readonly number[]) =>
    placeMembers(
      weights.map((weight, i) => fakeMember(`m${i}`, `10.0.${i >> 8}.${i & 255}`, { weight })),
      'name',
    ).map(({ weight }) => weight)

  test.each([
    [[1000], [1000]],
    [
      [1, 20],
      [1, 20],
    ],
    [
      [1, 21],
      [1, 20],
    ],
    [
      [1000, 1, 1],
      [20, 1, 1],
    ],
    [
      [1000, 1, 1, 1000],
      [20, 1, 1, 20],
    ],
    // Half of them and more say so.
    [
      [1000, 1, 1000],
      [1000, 1, 1000],
    ],
    [
      [16, 64, 1000, 100],
      [16, 64, 1000, 100],
    ],
  ])('of %j is %j on the ring', (weights, expected) => {
    expect(placed(weights)).toEqual(expected)
  })

  test('takes from nobody who is not below the median all of its points', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 40 }), (weights) => {
        const members = weights.map((weight, i) => fakeMember(`m${i}`, `10.0.0.${i}`, { weight }))
        const nodes = placeMembers(members, 'name')
        const shares = HashRing.of(nodes).shares()
        const median = [...weights].sort((a, b) => a - b)[(weights.length - 1) >> 1] ?? 0
        for (const [i, weight] of weights.entries()) {
          if (weight >= median) expect(shares.get(`m${i}`)).toBeGreaterThan(0)
          expect(nodes[i]?.weight).toBe(Math.min(weight, 20 * median))
        }
      }),
    )
  })
})

describe('a member in a hand-over', () => {
  const owning = fakeMember('a', '10.0.0.1', { handover: { phase: 'owning', number: 1 } })
  const pending = fakeMember('b', '10.0.0.2', { handover: { phase: 'pending', number: 2 } })
  const releasing = fakeMember('c', '10.0.0.3', { handover: { phase: 'releasing', number: 3 } })
  const weighing = fakeMember('d', '10.0.0.4', { handover: { phase: 'weighing', number: 4, weight: 5 } })
  const all = [owning, pending, releasing, weighing]
  const placed = (members: typeof all, done?: (name: string) => boolean) =>
    placeMembers(members, 'name', done && (({ name }) => done(name))).map(
      ({ name, weight }) => `${name}${weight}`,
    )

  test('is where it moves from until its move is done', () => {
    expect(placed(all)).toEqual(['a1', 'c1', 'd1'])
    expect(placed(all, () => true)).toEqual(['a1', 'b1', 'd5'])
    expect(placed(all, (name) => name === 'b')).toEqual(['a1', 'b1', 'c1', 'd1'])
  })

  test('is on the ring although it is pending, where nobody owns what it waits for', () => {
    const second = { ...pending, name: 'b2' }
    expect(placed([pending, second])).toEqual(['b1', 'b21'])
    expect(placed([{ ...owning, state: 'dead' }, pending, second])).toEqual(['b1', 'b21'])
    expect(placed([pending, second], (name) => name === 'b')).toEqual(['b1', 'b21'])
    expect(placed([pending, releasing])).toEqual(['c1'])
    expect(placed([releasing], () => true)).toEqual([])
  })
})
