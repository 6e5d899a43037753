import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { GossipQueue } from '../../../../src/membership/memberlist/protocol/gossip-queue.ts'
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

  test('lets each go when it was sent as often as the limit says', () => {
    const queue = new GossipQueue(10)
    const outcomes: string[] = []
    queue.offer(message(1), 10, undefined, (outcome) => outcomes.push(outcome))
    expect(ids(queue.take(100, 9, 2))).toEqual([1])
    expect(outcomes).toEqual([])
    expect(ids(queue.take(100, 9, 2))).toEqual([1])
    expect(outcomes).toEqual(['sent'])
    expect(queue.take(100, 9, 2)).toEqual([])
    expect(queue.count).toBe(0)
  })

  test('replaces the message of the same topic', () => {
    const queue = new GossipQueue(10)
    const outcomes: string[] = []
    queue.offer(message(1), 10, { space: 'member', name: 'a' }, (outcome) => outcomes.push(outcome))
    queue.offer(message(2), 10, { space: 'user', name: 'a' })
    queue.offer(message(3), 10, { space: 'member', name: 'a' })
    expect(outcomes).toEqual(['replaced'])
    expect(ids(queue.take(100, 9, 5))).toEqual([3, 2])
  })

  test('passes over what does not fit, and takes no more than it may', () => {
    const queue = new GossipQueue(10)
    queue.offer(message(1), 10)
    queue.offer(message(2), 50)
    queue.offer(message(3), 10)
    expect(ids(queue.take(25, 9, 5))).toEqual([3, 1])
    expect(ids(queue.take(100, 1, 5))).toEqual([2])
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

  test('drops the oldest of those sent most often when it is full', () => {
    const queue = new GossipQueue(3)
    const outcomes: [number, string][] = []
    const offer = (id: number) =>
      queue.offer(message(id), 10, undefined, (outcome) => outcomes.push([id, outcome]))
    offer(1)
    offer(2)
    queue.take(100, 9, 5)
    offer(3)
    expect(offer(4)).toBe(1)
    expect(outcomes).toEqual([[1, 'dropped']])
    expect(queue.count).toBe(3)
  })

  test('keeps its count, its bounds and its promises under any use', () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('offer' as const),
        topic: fc.option(fc.integer({ min: 0, max: 5 })),
        size: fc.integer({ min: 1, max: 60 }),
      }),
      fc.record({
        kind: fc.constant('take' as const),
        room: fc.integer({ min: 0, max: 100 }),
        limit: fc.integer({ min: 1, max: 4 }),
      }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new GossipQueue(8)
        const waiting = new Map<number, { size: number; finished: number }>()
        let nextId = 0
        for (const s of steps) {
          if (s.kind === 'offer') {
            const id = nextId++
            const entry = { size: s.size, finished: 0 }
            waiting.set(id, entry)
            const m: Message = { kind: 'user', payload: Uint8Array.from([id >> 8, id & 255]) }
            queue.offer(
              m,
              s.size,
              s.topic === null ? undefined : { space: 'user', name: String(s.topic) },
              () => {
                entry.finished++
                waiting.delete(id)
              },
            )
          } else {
            const open = new Map(waiting)
            const looked = queue.look(s.room, 5)
            expect(queue.look(s.room, 5)).toEqual(looked)
            const taken = queue.take(s.room, 5, s.limit)
            const takenIds = taken.map((m) =>
              m.kind === 'user' ? ((m.payload[0] ?? 0) << 8) | (m.payload[1] ?? 0) : -1,
            )
            expect(new Set(takenIds).size).toBe(takenIds.length)
            expect(looked).toEqual(taken)
            expect(takenIds.length).toBeLessThanOrEqual(5)
            const sizes = takenIds.map((id) => open.get(id)?.size ?? Number.NaN)
            expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(s.room)
          }
          expect(queue.count).toBe(waiting.size)
          expect(queue.count).toBeLessThanOrEqual(8)
          for (const { finished } of waiting.values()) expect(finished).toBe(0)
        }
      }),
    )
  })
})
