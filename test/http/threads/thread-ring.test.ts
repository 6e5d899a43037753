import { expect, test } from 'vitest'
import { CurrentCopy, ThreadRing } from '../../../src/http/threads/thread-ring.ts'
import { HashRing } from '../../../src/ring/hash-ring.ts'
import { Sureness } from '../../../src/service/sureness.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const ringOf = (count: number) =>
  HashRing.of(Array.from({ length: count }, (_, i) => ({ ringKey: `node-${i}`, weight: 1, name: `n${i}` })))

function makeThreadRing() {
  const current = new CurrentCopy()
  const clock = new VirtualClock()
  const sureness = new Sureness(clock, { unsureAfterMs: 1000, maxSilenceMs: 0 })
  // What other threads write reaches it by memory alone.
  const ring = new ThreadRing(
    new CurrentCopy(current.memory),
    new Sureness(clock, sureness.bounds, sureness.memory),
  )
  return { current, clock, sureness, ring }
}

test('a copy counts from when it is told to, and what was learned before goes on until then', () => {
  const { current, ring } = makeThreadRing()
  ring.learn({ number: 1, ring: ringOf(2).share() })
  expect(ring.catchUp()).toBe(false)
  current.set(1, 7)
  expect(ring.catchUp()).toBe(true)
  expect(ring.manager.snapshot).toMatchObject({ epoch: 7, ring: { size: 2 } })
  ring.learn({ number: 2, ring: ringOf(3).share() })
  expect(ring.catchUp()).toBe(true)
  expect(ring.manager.snapshot).toMatchObject({ epoch: 7, ring: { size: 2 } })
  current.set(1, 8)
  ring.catchUp()
  expect(ring.manager.snapshot).toMatchObject({ epoch: 8, ring: { size: 2 } })
  current.set(2, 9)
  // The requests of one read are all answered from one ring.
  expect(ring.manager.snapshot).toMatchObject({ epoch: 8, ring: { size: 2 } })
  ring.catchUp()
  expect(ring.manager.snapshot).toMatchObject({ epoch: 9, ring: { size: 3 } })
})

test('a thread has no answer while it lacks the copy that counts, nor from a ring without nodes', () => {
  const { current, ring } = makeThreadRing()
  ring.learn({ number: 1, ring: ringOf(1).share() })
  current.set(2, 1)
  expect(ring.catchUp()).toBe(false)
  expect(() => ring.manager.snapshot).toThrow('has no ring')
  ring.learn({ number: 3, ring: HashRing.empty.share() })
  current.set(3, 2)
  expect(ring.catchUp()).toBe(false)
})

test('owners, next owners and the doubt are those of the main thread', async () => {
  const { current, clock, sureness, ring } = makeThreadRing()
  const [now, after] = [ringOf(3), ringOf(4)]
  ring.learn({ number: 1, ring: now.share(), after: after.share() })
  current.set(1, 1)
  ring.catchUp()
  const moved = new Set<boolean>()
  for (let i = 0; i < 100; i++) {
    expect(ring.manager.getNode(`key-${i}`)).toEqual(now.ownerOf(`key-${i}`))
    const next = after.ownerOf(`key-${i}`)
    const moves = next?.ringKey !== now.ownerOf(`key-${i}`)?.ringKey
    expect(ring.nextOwnerOf(`key-${i}`)).toEqual(moves ? next : undefined)
    moved.add(moves)
  }
  expect(moved.size).toBe(2)
  sureness.look()
  sureness.running = true
  expect(ring.unsure).toBe(false)
  await clock.advance(1250)
  expect(ring.unsure).toBe(true)
  sureness.noteStall()
  sureness.look()
  expect(ring.unsure).toBe(true)
  await clock.advance(200)
  sureness.look()
  await clock.advance(1900)
  sureness.look()
  expect(ring.unsure).toBe(false)
  sureness.running = false
  await clock.advance(5000)
  expect(ring.unsure).toBe(false)
})
