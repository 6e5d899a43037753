import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { diffRings, recordChange, type ChangeCause } from '../../src/manager/change-record.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import type { RingChange } from '../../src/manager/snapshot.ts'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { PIECES_PER_STEP } from '../../src/ring/steps.ts'
import type { RingNode } from '../../src/ring/node.ts'
import { finish } from '../../src/ring/steps.ts'
import { countSteps } from '../support/count-steps.ts'
import { fateOf, VirtualClock } from '../support/virtual-clock.ts'

/** What is at a key before and after: mostly the same, so that often nothing is updated. Few names, so that they move. */
const details = fc.record(
  { weight: fc.constantFrom(1, 1, 3), name: fc.constantFrom('m', 'n', 'o', 'p') },
  { requiredKeys: ['weight'] },
)
const placeOf = (fates: readonly string[]) =>
  fc.tuple(details, details, fc.constantFrom(...fates)).map(([before, after, fate]) => ({
    before: fate === 'comes' || fate === 'absent' ? [] : [before],
    after: fate === 'goes' || fate === 'absent' ? [] : [fate === 'stays' ? before : after],
  }))
const placesOf = (fates: readonly string[]) =>
  fc.tuple(...'abcdef'.split('').map((ringKey) => placeOf(fates).map((at) => ({ ringKey, ...at }))))
const places = fc.oneof(
  { weight: 8, arbitrary: placesOf(['stays', 'stays', 'stays', 'comes', 'goes', 'changes', 'absent']) },
  { weight: 1, arbitrary: placesOf(['goes', 'absent']) },
  { weight: 1, arbitrary: placesOf(['comes', 'absent']) },
)
const states = fc.dictionary(
  fc.constantFrom('m', 'n', 'o', 'p'),
  fc.constantFrom('alive', 'suspect', 'dead', 'left'),
  { noNullPrototype: true },
)

/** The causes, the ones first that are blamed first. */
const ORDER: readonly ChangeCause[] = ['updated', 'mass-failure', 'dead', 'left', 'removed', 'joined']

test('each node has its cause, and each stretch that moved is put down to one', () => {
  fc.assert(
    fc.property(places, states, (at, stateOf) => {
      const ringOf = (when: 'before' | 'after') =>
        HashRing.of(at.flatMap((one) => one[when].map((node) => ({ ringKey: one.ringKey, ...node }))))
      const [previous, current] = [ringOf('before'), ringOf('after')]
      const difference = finish(diffRings(previous, current))
      if (difference === undefined) {
        expect(current.nodes).toEqual(previous.nodes)
        return
      }
      const has = (ring: HashRing, of: RingNode) => ring.get(of.ringKey) !== undefined
      const named = (ring: HashRing, name: string | undefined) =>
        name !== undefined && ring.nodes.some((node) => node.name === name)
      const ownCauseOf = (node: RingNode): ChangeCause => {
        if (has(previous, node) && has(current, node)) return 'updated'
        if (has(current, node)) return named(previous, node.name) ? 'updated' : 'joined'
        if (named(current, node.name)) return 'updated'
        const state = node.name === undefined ? undefined : stateOf[node.name]
        return state === 'dead' || state === 'left' ? state : 'removed'
      }
      const { removed, added, updated } = difference
      const isMassFailure = removed.filter((node) => ownCauseOf(node) === 'dead').length >= 3
      const causeOf = (node: RingNode) =>
        isMassFailure && ownCauseOf(node) === 'dead' ? 'mass-failure' : ownCauseOf(node)
      const changed = [...removed, ...added, ...updated]
      const causes = ORDER.filter((cause) => changed.some((node) => causeOf(node) === cause))
      const moved = new Map<ChangeCause, number>()
      for (const { start, end, from, to } of previous.movedTo(current)) {
        if (from === undefined || to === undefined) continue
        const cause = !has(current, from) ? causeOf(from) : !has(previous, to) ? causeOf(to) : causes[0]!
        moved.set(cause, (moved.get(cause) ?? 0) + end - start)
      }
      const records = finish(recordChange(previous, current, difference, (name) => stateOf[name], 77))
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
  void manager.setNodes([node('b')], () => 'left')
  void manager.addNode(node('c'))
  await clock.advance(10)
  void manager.setNodes([node('c')], () => 'dead')
  await clock.advance(10)
  void manager.removeNode('c')
  await clock.advance(10)
  expect(causes).toEqual(['dead 2 0', 'left 1 0,joined 2 0', 'dead 1 0', 'removed 1 0'])
  // What a listener throws is nobody's business here: without a logger, too.
  manager.subscribe(() => {
    throw new Error('a listener broke')
  })
  manager.noteOffRing('x')
  expect(causes).toHaveLength(5)
  manager.stop()
  expect(await fateOf(run)).toBeUndefined()
})

test('three deaths in one change are a mass failure, which comes before what else changed', () => {
  const named = (...names: string[]) => HashRing.of(names.map((name) => ({ ringKey: name, name, weight: 1 })))
  const [previous, current] = [named('a', 'b', 'c', 'd', 'e'), named('e', 'f')]
  const compared = countSteps(diffRings(previous, current))
  const stateOf = (name: string) => (name === 'd' ? 'left' : 'dead')
  const recorded = countSteps(recordChange(previous, current, compared.result!, stateOf, 7))
  const records = recorded.result
  // What takes long on a large ring has a step of its own: nodes, moves; names of both rings, causes, moves,
  // lines of the digest, digests, records.
  const visited = Math.floor(compared.result!.moved.count / PIECES_PER_STEP)
  expect([compared.steps, recorded.steps]).toEqual([
    1 + countSteps(previous.movedInSteps(current)).steps,
    7 + visited,
  ])
  expect(records.map(({ cause, node, count }) => [cause, node, count])).toEqual([
    ['mass-failure', 'a', 3],
    ['left', 'd', 1],
    ['joined', 'f', 1],
  ])
})
