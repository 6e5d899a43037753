import { beforeEach, expect, test } from 'vitest'
import { HashRingManager, type RingCopies } from '../../src/manager/hash-ring-manager.ts'
import type { HashRing } from '../../src/ring/hash-ring.ts'
import type { RingNode } from '../../src/ring/node.ts'
import { fateOf, settle, VirtualClock } from '../support/virtual-clock.ts'

const node = (host: number): RingNode => ({ ringKey: `10.0.0.${host}:8000`, weight: 1 })

/** Copies that are ready when a test says so. */
class SlowCopies implements RingCopies {
  readonly prepared: HashRing[] = []
  /** Sizes and epochs, in order, with what listeners of the manager were told in between. */
  readonly said: string[] = []
  release = () => {}

  prepare(ring: HashRing): Promise<void> {
    this.prepared.push(ring)
    return new Promise((resolve) => {
      this.release = resolve
    })
  }

  swap({ ring, epoch }: { readonly ring: HashRing; readonly epoch: number }): void {
    this.said.push(`${ring.size} nodes are epoch ${epoch}`)
  }
}

let clock: VirtualClock
let manager: HashRingManager
let copies: SlowCopies
let run: Promise<void>

beforeEach(async () => {
  clock = new VirtualClock()
  manager = new HashRingManager({ clock, nodes: [node(1)], foldWindowMs: 10 })
  copies = new SlowCopies()
  manager.keepCopies(copies)
  manager.subscribe(({ current: { epoch } }) => copies.said.push(`told of ${epoch}`))
  run = manager.run()
  await settle()
})

test('a ring counts once its copies are there, for them first and for listeners then', async () => {
  const adding = manager.addNode(node(2))
  await clock.advance(5000)
  expect(copies.prepared.map(({ size }) => size)).toEqual([2])
  expect([manager.snapshot.epoch, manager.snapshot.ring.size, await fateOf(adding)]).toEqual([
    0,
    1,
    'pending',
  ])
  // What comes meanwhile is for the next ring.
  const later = manager.addNode(node(3))
  await clock.advance(5000)
  expect(copies.prepared).toHaveLength(1)
  copies.release()
  expect(await fateOf(adding)).toBeUndefined()
  expect(manager.snapshot.ring).toBe(copies.prepared[0])
  await clock.advance(10)
  copies.release()
  expect(await fateOf(later)).toBeUndefined()
  expect(copies.said).toEqual(['2 nodes are epoch 1', 'told of 1', '3 nodes are epoch 2', 'told of 2'])
})

test('the epoch may rise while a ring is being prepared', async () => {
  const adding = manager.addNode(node(2))
  await clock.advance(10)
  manager.noteOffRing(node(1).ringKey)
  copies.release()
  expect(await fateOf(adding)).toBeUndefined()
  expect(copies.said).toEqual(['1 nodes are epoch 1', 'told of 1', '2 nodes are epoch 2', 'told of 2'])
})

test('a change that changes nothing needs no copies', async () => {
  const adding = manager.addNode(node(1))
  await clock.advance(10)
  expect(await fateOf(adding)).toBeUndefined()
  expect(copies.prepared).toEqual([])
})

test('a manager that stops meanwhile makes no ring of it', async () => {
  const adding = manager.addNode(node(2)).catch((error: unknown) => error)
  await clock.advance(10)
  manager.stop()
  copies.release()
  expect(await fateOf(adding)).toMatchObject({ code: 'MANAGER_NOT_RUNNING' })
  expect(await fateOf(run)).toBeUndefined()
  expect([manager.snapshot.epoch, copies.said]).toEqual([0, []])
})

test('without copies a ring counts at once again', async () => {
  manager.keepCopies(undefined)
  const adding = manager.addNode(node(2))
  await clock.advance(10)
  expect(await fateOf(adding)).toBeUndefined()
  expect(manager.snapshot.epoch).toBe(1)
})
