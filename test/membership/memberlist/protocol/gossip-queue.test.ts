import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { collectionsOf } from '../../../../lab/sim/collections.ts'
import {
  GossipQueue,
  type QueueOutcome,
} from '../../../../src/membership/memberlist/protocol/gossip-queue.ts'
import type { Message } from '../../../../src/membership/memberlist/wire/messages.ts'

const message = (id: number): Message => ({ kind: 'user', payload: Uint8Array.of(id) })
const ids = (messages: readonly Message[]) => messages.map((m) => (m.kind === 'user' ? m.payload[0] : -1))

describe('GossipQueue', () => {
  test('gives those sent least often first, of these the newest', () => {
    const queue = new GossipQueue(10)
    queue.offer(message(1), 10)
    queue.offer(message(2), 10)
    expect(ids(queue.take(10, 9, 3))).toEqual([2])
    queue.offer(message(3), 10)
    expect(ids(queue.take(100, 9, 3))).toEqual([3, 1, 2])
  })

  test('can be looked at, which counts as no sending', () => {
    const queue = new GossipQueue(10)
    queue.offer(message(1), 10, { space: 'user', name: 'a' })
    queue.offer(message(2), 50)
    queue.offer(message(3), 10)
    queue.take(10, 1, 2)
    queue.offer(message(4), 10, { space: 'user', name: 'a' })
    for (let i = 0; i < 5; i++) expect(ids(queue.look(25, 9))).toEqual([4, 3])
    expect(ids(queue.look(100, 1))).toEqual([4])
    expect(ids(queue.take(100, 9, 2))).toEqual([4, 2, 3])
    expect(queue.count).toBe(2)
  })
})

describe('GossipQueue beside a plain list', () => {
  interface Plain {
    readonly id: number
    readonly size: number
    readonly topic: string | undefined
    transmits: number
    /** When it came where it is. */
    since: number
  }
  const topic = fc.option(
    fc.record({ space: fc.constantFrom('member', 'claim', 'user'), name: fc.constantFrom('a', 'b', 'c') }),
    { nil: undefined },
  )
  const room = fc.constantFrom(0, 20, 45, 100, 1000)
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('offer' as const),
        topic,
        size: fc.constantFrom(5, 10, 50, 90),
      }),
    },
    fc.record({ kind: fc.constant('remove' as const), topic }),
    fc.record({
      kind: fc.constant('take' as const),
      room,
      maxCount: fc.integer({ min: 0, max: 12 }),
      limit: fc.integer({ min: 1, max: 6 }),
      copies: fc.integer({ min: 1, max: 3 }),
    }),
  )

  test('gives and drops the same, after any use', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const capacity = 12
        const queue = new GossipQueue(capacity)
        let list: Plain[] = []
        const ended: [number, QueueOutcome][] = []
        const expected: [number, QueueOutcome][] = []
        let time = 0
        const end = (item: Plain, outcome: QueueOutcome) => {
          list = list.filter((other) => other !== item)
          expected.push([item.id, outcome])
        }
        const endTopic = (key: string) => {
          const same = list.find((item) => item.topic === key)
          if (same !== undefined) end(same, 'replaced')
        }
        for (const [id, s] of steps.entries()) {
          if (s.kind === 'take') {
            const order = list.toSorted((a, b) => a.transmits - b.transmits || b.since - a.since)
            let left = s.room
            let misfits = 0
            const chosen: Plain[] = []
            for (const item of order) {
              if (misfits === 8 || chosen.length === s.maxCount) break
              if (item.size > left) misfits++
              else {
                left -= item.size
                chosen.push(item)
              }
            }
            expect(ids(queue.look(s.room, s.maxCount))).toEqual(chosen.map((item) => item.id))
            expect(ids(queue.take(s.room, s.maxCount, s.limit, s.copies))).toEqual(
              chosen.map((item) => item.id),
            )
            for (const item of chosen.toReversed()) {
              item.transmits += s.copies
              item.since = ++time
              if (item.transmits >= s.limit) end(item, 'sent')
            }
          } else {
            const key = s.topic === undefined ? undefined : `${s.topic.space} ${s.topic.name}`
            if (key !== undefined) endTopic(key)
            if (s.kind === 'remove') {
              if (s.topic !== undefined) queue.remove(s.topic)
            } else {
              const isFull = list.length === capacity
              const [oldest] = list.toSorted((a, b) => b.transmits - a.transmits || a.since - b.since)
              if (isFull) end(oldest!, 'dropped')
              const dropped = queue.offer(message(id), s.size, s.topic, (outcome) =>
                ended.push([id, outcome]),
              )
              expect(dropped).toBe(isFull ? 1 : 0)
              list.push({ id, size: s.size, topic: key, transmits: 0, since: ++time })
            }
          }
          expect(queue.count).toBe(list.length)
          expect(ended).toEqual(expected)
        }
      }),
      { seed: 11, numRuns: 40 },
    )
  })
})

describe('what was replaced', () => {
  const held = (queue: GossipQueue) => collectionsOf(queue).get('#buckets')!
  const topic = { space: 'member', name: 'a' } as const
  /** Replaces one message until those that were replaced are dropped: how many there were at most. */
  const mostHeld = (queue: GossipQueue) => {
    for (let most = held(queue); most < 200; most++) {
      queue.offer(message(1), 10, topic)
      if (held(queue) <= most) return most
    }
    return Infinity
  }

  test('is held no longer than there are 64 more of it than others', () => {
    const queue = new GossipQueue(100)
    expect(mostHeld(queue)).toBe(65)
    expect(held(queue)).toBe(1)
    expect(mostHeld(queue)).toBe(65)
    for (let i = 0; i < 10; i++) queue.offer(message(i), 10)
    expect(mostHeld(queue)).toBe(85)
    expect(held(queue)).toBe(11)
    expect(queue.count).toBe(11)
  })

  test('does not count any more once it was come by', () => {
    const queue = new GossipQueue(100)
    for (let i = 0; i < 31; i++) queue.offer(message(i), 10, topic)
    expect(held(queue)).toBe(31)
    expect(ids(queue.take(100, 9, 9))).toEqual([30])
    expect(held(queue)).toBe(1)
    expect(mostHeld(queue)).toBe(65)
    const full = new GossipQueue(1)
    for (let i = 0; i < 31; i++) full.offer(message(i), 10, topic)
    // To drop the last one of those, all the others are come by.
    expect(full.offer(message(40), 10)).toBe(1)
    expect(held(full)).toBe(1)
    full.take(100, 9, 1)
    expect(mostHeld(full)).toBe(65)
  })
})

test.each(['take', 'look'] as const)('after eight that do not fit, a packet is full for %s', (how) => {
  const given = (misfits: number, maxCount = 9) => {
    const queue = new GossipQueue(100)
    queue.offer(message(1), 10)
    for (let i = 0; i < misfits; i++) queue.offer(message(2), 50)
    queue.offer(message(3), 10)
    return ids(how === 'take' ? queue.take(30, maxCount, 9) : queue.look(30, maxCount))
  }
  expect(given(7)).toEqual([3, 1])
  expect(given(8)).toEqual([3])
  expect([given(0, 2), given(0, 1), given(0, 0)]).toEqual([[3, 1], [3], []])
  // Also over several rounds of sending.
  const queue = new GossipQueue(100)
  queue.offer(message(1), 10)
  queue.take(10, 1, 9)
  for (let i = 0; i < 8; i++) queue.offer(message(2), 50)
  expect(ids(how === 'take' ? queue.take(30, 9, 9) : queue.look(30, 9))).toEqual([])
  const other = new GossipQueue(100)
  for (const id of [1, 2]) other.offer(message(id), 10)
  other.take(20, 2, 9)
  other.offer(message(3), 10)
  expect(ids(how === 'take' ? other.take(100, 1, 9) : other.look(100, 1))).toEqual([3])
  expect(ids(how === 'take' ? other.take(100, 3, 9) : other.look(100, 3))).toHaveLength(3)
})

test('what was sent least often is dropped where nothing else waits', () => {
  const queue = new GossipQueue(2)
  const outcomes: [number, string][] = []
  const offer = (id: number) =>
    queue.offer(message(id), 10, undefined, (outcome) => outcomes.push([id, outcome]))
  offer(1)
  for (let i = 0; i < 3; i++) queue.take(10, 1, 3)
  for (const id of [2, 3, 4]) offer(id)
  expect(outcomes).toEqual([
    [1, 'sent'],
    [2, 'dropped'],
  ])
})

test('a queue without room holds the last message', () => {
  const queue = new GossipQueue(0)
  expect([queue.offer(message(1), 10), queue.offer(message(2), 10), queue.count]).toEqual([0, 1, 1])
})
