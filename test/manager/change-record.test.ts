import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { recordChange, type ChangeCause } from '../../src/manager/change-record.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import { diffRings, type RingChange } from '../../src/manager/snapshot.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import type { RingNode } from '../../src/ring/node.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

/** Few keys and fewer names, so that names move from key to key; some nodes have none. */
const nodes = fc.uniqueArray(
  fc.record(
    {
      ringKey: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      weight: fc.constantFrom(1, 1, 3),
      name: fc.constantFrom('m', 'n', 'o', 'p'),
    },
    { requiredKeys: ['ringKey', 'weight'] },
  ),
  { selector: ({ ringKey }) => ringKey, maxLength: 6 },
)
const states = fc.dictionary(
  fc.constantFrom('m', 'n', 'o', 'p'),
  fc.constantFrom('alive', 'suspect', 'dead', 'left'),
  { noNullPrototype: true },
)

/** The causes, the ones first that are blamed first. */
const ORDER: readonly ChangeCause[] = ['updated', 'dead', 'left', 'removed', 'joined']

test('each node has its cause, and each stretch that moved is put down to one', () => {
  fc.assert(
    fc.property(nodes, nodes, states, (before, after, stateOf) => {
      const [previous, current] = [HashRing.of(before), HashRing.of(after)]
      const difference = diffRings(previous, current)
      fc.pre(difference !== undefined)
      const has = (ring: HashRing, of: RingNode) => ring.get(of.ringKey) !== undefined
      const named = (ring: HashRing, name: string | undefined) =>
        name !== undefined && ring.nodes.some((node) => node.name === name)
      const causeOf = (node: RingNode): ChangeCause => {
        if (has(previous, node) && has(current, node)) return 'updated'
        if (has(current, node)) return named(previous, node.name) ? 'updated' : 'joined'
        if (named(current, node.name)) return 'updated'
        const state = node.name === undefined ? undefined : stateOf[node.name]
        return state === 'dead' || state === 'left' ? state : 'removed'
      }
      const { removed, added, updated } = difference!
      const changed = [...removed, ...added, ...updated]
      const causes = ORDER.filter((cause) => changed.some((node) => causeOf(node) === cause))
      const moved = new Map<ChangeCause, number>()
      previous.compare(current, (length, from, to) => {
        if (from === undefined || to === undefined || from.ringKey === to.ringKey) return
        const cause = !has(current, from) ? causeOf(from) : !has(previous, to) ? causeOf(to) : causes[0]!
        moved.set(cause, (moved.get(cause) ?? 0) + length)
      })
      const records = recordChange(previous, current, difference!, (name) => stateOf[name], 77)
      expect(records).toEqual(
        causes.map((cause) => {
          const its = changed.filter((node) => causeOf(node) === cause)
          return {
            timeMs: 77,
            cause,
            node: its[0]?.ringKey,
            count: its.length,
            movedShare: (moved.get(cause) ?? 0) / 2 ** 32,
            digests: { before: previous.digest, after: current.digest },
          }
        }),
      )
    }),
    { numRuns: 500 },
  )
})

test('that this process was off the ring is a change of the epoch alone', async () => {
  const clock = new VirtualClock()
  await clock.advance(500)
  const initial = ['a', 'b', 'c'].map((ringKey) => ({ ringKey, weight: 1 }))
  const manager = new HashRingManager({ clock, nodes: initial })
  const { ring } = manager.snapshot
  const changes: RingChange[] = []
  manager.subscribe((change) => changes.push(change))
  const off = (node: string, movedShare: number) => ({
    added: [],
    removed: [],
    updated: [],
    records: [
      {
        timeMs: clock.wallNow(),
        cause: 'was-off-ring',
        node,
        count: 1,
        movedShare,
        digests: { before: ring.digest, after: ring.digest },
      },
    ],
  })
  await clock.advance(500)
  manager.noteOffRing('b')
  manager.noteOffRing('x')
  expect(manager.snapshot).toEqual({ ring, epoch: 2, changedAtMs: 1000 })
  expect(changes).toMatchObject([off('b', ring.shares().get('b')!), off('x', 0)])
  expect(changes.map(({ previous, current }) => [previous.epoch, current.epoch])).toEqual([
    [0, 1],
    [1, 2],
  ])
  expect(manager.snapshot.ring).toBe(ring)
})

test('the manager asks the newest set for the states of those that went', async () => {
  const clock = new VirtualClock()
  const node = (name: string) => ({ ringKey: name, name, weight: 1 })
  const manager = new HashRingManager({ clock, nodes: [node('a'), node('b'), node('c')] })
  const causes: string[] = []
  manager.subscribe(({ records }) =>
    causes.push(
      records.map(({ cause, count, timeMs }) => `${cause} ${count} ${timeMs - clock.wallNow()}`).join(),
    ),
  )
  const run = manager.run()
  void manager.setNodes([node('a')], () => 'left')
  void manager.setNodes([node('a')], () => 'dead')
  await clock.advance(10)
  void manager.removeNode('a')
  await clock.advance(10)
  expect(causes).toEqual(['dead 2 0', 'removed 1 0'])
  manager.stop()
  await run
})
