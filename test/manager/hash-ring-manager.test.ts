import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  COMMAND_CHANNEL_LENGTH,
  DEFAULT_FOLD_WINDOW_MS,
  HashRingManager,
  PING_TIMEOUT_MS,
} from '../../src/manager/hash-ring-manager.ts'
import type { RingChange } from '../../src/manager/snapshot.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import type { RingNode } from '../../src/ring/node.ts'
import { settle, VirtualClock } from '../support/virtual-clock.ts'

const node = (host: number, weight = 1): RingNode => ({ ringKey: `10.0.0.${host}:8000`, weight })
const keysOf = (nodes: readonly RingNode[]) => nodes.map(({ ringKey }) => ringKey)

describe('HashRingManager', () => {
  let clock: VirtualClock
  let manager: HashRingManager
  let ended: Promise<unknown>
  let changes: RingChange[]

  beforeEach(() => {
    clock = new VirtualClock()
    manager = new HashRingManager({ clock, nodes: [node(1)] })
    changes = []
    manager.subscribe((change) => changes.push(change))
    ended = manager.run().catch((error: unknown) => error)
  })

  afterEach(() => {
    manager.stop()
  })

  test('has the mailbox length and ping timeout of the Go library', () => {
    expect([COMMAND_CHANNEL_LENGTH, PING_TIMEOUT_MS]).toEqual([10, 5])
  })

  test('a mutation resolves once the ring has it', async () => {
    const added = manager.addNode(node(2))
    await clock.advance(DEFAULT_FOLD_WINDOW_MS - 1)
    expect(manager.snapshot.epoch).toBe(0)
    await clock.advance(1)
    await added
    expect(keysOf(manager.snapshot.ring.nodes)).toEqual(['10.0.0.1:8000', '10.0.0.2:8000'])
    expect(manager.snapshot).toMatchObject({ epoch: 1, changedAtMs: DEFAULT_FOLD_WINDOW_MS })

    const removed = manager.removeNode('10.0.0.1:8000')
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await removed
    expect(manager.getNode('any').ringKey).toBe('10.0.0.2:8000')
  })

  test('a burst becomes one ring and one event, applied in order', async () => {
    const burst = [
      manager.addNode(node(2)),
      manager.addNode(node(3)),
      manager.removeNode('10.0.0.2:8000'),
      manager.addNode(node(2, 5)),
      manager.removeNode('10.0.0.1:8000'),
    ]
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await Promise.all(burst)
    expect(changes).toHaveLength(1)
    const [change] = changes
    expect(keysOf(change?.added ?? [])).toEqual(['10.0.0.2:8000', '10.0.0.3:8000'])
    expect(keysOf(change?.removed ?? [])).toEqual(['10.0.0.1:8000'])
    expect(change?.current).toBe(manager.snapshot)
    expect(change?.current.ring.digest).toBe(HashRing.of([node(3), node(2, 5)]).digest)
    expect(change?.current.epoch).toBe(1)
  })

  test('the window is measured from the first change, so a steady stream still gets through', async () => {
    const added: Promise<void>[] = []
    for (let i = 0; i < 10; i++) {
      added.push(manager.addNode(node(100 + i)))
      await clock.advance(DEFAULT_FOLD_WINDOW_MS / 2)
    }
    expect(changes.length).toBeGreaterThanOrEqual(4)
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await Promise.all(added)
  })

  test('setNodes replaces the whole set; the same set again is no change', async () => {
    const set = manager.setNodes([node(3), node(2)])
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await set
    const again = manager.setNodes([node(2), node(3)])
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await again
    expect(keysOf(manager.snapshot.ring.nodes)).toEqual(['10.0.0.2:8000', '10.0.0.3:8000'])
    expect(changes).toHaveLength(1)
    expect(manager.snapshot.epoch).toBe(1)
  })

  test('a changed address is a new snapshot with the same digest', async () => {
    const { digest } = manager.snapshot.ring
    const moved = manager.addNode({ ...node(1), address: '10.9.9.9' })
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await moved
    expect(manager.snapshot.ring.digest).toBe(digest)
    expect(manager.snapshot.epoch).toBe(1)
    expect(changes[0]).toMatchObject({ added: [], removed: [], updated: [{ address: '10.9.9.9' }] })
    expect(manager.getNode('x').address).toBe('10.9.9.9')
  })

  test('look-ups read the current ring without waiting', async () => {
    const added = manager.addNode(node(2))
    expect(manager.getNode('some key').ringKey).toBe('10.0.0.1:8000')
    expect(keysOf(manager.getNodes('some key', 5))).toEqual(['10.0.0.1:8000'])
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await added
    expect(keysOf(manager.getNodes('some key', 2)).sort()).toEqual(['10.0.0.1:8000', '10.0.0.2:8000'])
  })

  test('refuses what cannot be looked up or added', async () => {
    for (const n of [0, -1, 1.5, Number.NaN]) {
      expect(() => manager.getNodes('k', n)).toThrow(expect.objectContaining({ code: 'N_OUT_OF_RANGE' }))
    }
    for (const bad of [
      { ringKey: '', weight: 1 },
      { ringKey: 'a', weight: 0 },
      { ringKey: 'a', weight: 1.5 },
    ]) {
      await expect(manager.addNode(bad)).rejects.toMatchObject({ code: 'NODE_INVALID' })
      await expect(manager.setNodes([node(1), bad])).rejects.toMatchObject({ code: 'NODE_INVALID' })
    }
    const emptied = manager.setNodes([])
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await emptied
    expect(() => manager.getNode('k')).toThrow(expect.objectContaining({ code: 'RING_EMPTY' }))
    expect(() => manager.getNodes('k', 1)).toThrow(expect.objectContaining({ code: 'RING_EMPTY' }))
  })

  test('a ping goes through the mailbox behind earlier commands and needs no fold window', async () => {
    const order: string[] = []
    const added = manager.addNode(node(2)).then(() => order.push('add'))
    const ping = manager.ping().then((alive) => order.push(`ping ${alive}`))
    await ping
    expect(order).toEqual(['ping true'])
    expect(manager.pending()).toBe(0)
    expect(clock.pendingTimers).toBe(1)
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await added
    expect(order).toEqual(['ping true', 'add'])
  })

  test('a ping fails when the loop is not running', async () => {
    const idle = new HashRingManager({ clock })
    expect(await idle.ping()).toBe(false)
    manager.stop()
    expect(await manager.ping()).toBe(false)
  })

  test('stop is final: run ends, waiting senders and look-ups are refused', async () => {
    const folded = manager.addNode(node(2))
    await settle()
    manager.stop()
    await expect(folded).rejects.toMatchObject({ code: 'MANAGER_NOT_RUNNING' })
    expect(await ended).toBeUndefined()
    await expect(manager.addNode(node(3))).rejects.toMatchObject({ code: 'MANAGER_NOT_RUNNING' })
    expect(() => manager.getNode('k')).toThrow(expect.objectContaining({ code: 'MANAGER_NOT_RUNNING' }))
    await expect(manager.run()).rejects.toMatchObject({ code: 'MANAGER_NOT_RUNNING' })
    manager.stop()
    expect(manager.running).toBe(false)
    expect(manager.snapshot.epoch).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })

  test('senders beyond the mailbox wait, none is lost', async () => {
    const many = Array.from({ length: 50 }, (_, i) => manager.addNode(node(i + 10)))
    expect(manager.pending()).toBeGreaterThanOrEqual(COMMAND_CHANNEL_LENGTH)
    await clock.advance(2 * DEFAULT_FOLD_WINDOW_MS)
    await Promise.all(many)
    expect(manager.snapshot.ring.size).toBe(51)
  })

  test('runs only once', async () => {
    await expect(manager.run()).rejects.toMatchObject({ code: 'MANAGER_NOT_RUNNING' })
    expect(manager.running).toBe(true)
  })

  test('a listener that throws ends the run with its error, after the others were called', async () => {
    const fault = new Error('listener broke')
    manager.subscribe(() => {
      throw fault
    })
    let last = 0
    manager.subscribe(({ current }) => {
      last = current.epoch
    })
    const added = manager.addNode(node(2))
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await added
    expect(await ended).toBe(fault)
    expect(last).toBe(1)
    expect(manager.running).toBe(false)
  })

  test('an ended subscription hears nothing more', async () => {
    let heard = 0
    const end = manager.subscribe(() => {
      heard++
    })
    end()
    const added = manager.addNode(node(2))
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
    await added
    expect(heard).toBe(0)
  })
})
