import { expect, test } from 'vitest'
import { joinsAndLeaves } from '../../lab/sim/join-and-leave.ts'
import { simSeed } from '../../lab/sim/seeded-random.ts'
import { SharedCluster } from '../../lab/sim/shared-cluster.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import { PRESETS } from '../../src/membership/memberlist/protocol/settings.ts'

const COUNT = 40
const SETTINGS = { ...PRESETS.lan, keyed: true }

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
}

function full(seed: number) {
  const cluster = new SimCluster(seed, SETTINGS)
  cluster.startMany(COUNT)
  const isQuiet = () => cluster.running.every(({ protocol }) => protocol.queuedCount === 0)
  if (cluster.runUntil(() => isQuiet() && cluster.isConverged(), 60_000) === undefined)
    throw new Error(`seed ${seed}: no start`)
  return joinsAndLeaves(cluster, 3, (name, { endpoint }) => cluster.start(name, { seeds: [endpoint] }))
}

function shared(seed: number) {
  const model = new SharedCluster(seed, COUNT, SETTINGS)
  model.cluster.run(20_000)
  const result = joinsAndLeaves(model.cluster, 3, (name, member) => model.join(name, member))
  expect(model.cluster.falseRemovals).toEqual([])
  return result
}

test('members that share what they hold alike have the times and packets of members with a table each', () => {
  const seeds = [1, 2].map((i) => simSeed(980 + i))
  const [own, alike] = [seeds.map(full), seeds.map(shared)]
  for (const kind of ['joinsMs', 'leavesMs'] as const) {
    const [a, b] = [own, alike].map((runs) => median(runs.flatMap((run) => run[kind])))
    // One gossip interval.
    expect(Math.abs(a! - b!), `${kind}: ${a} and ${b}, seeds ${seeds.join(', ')}`).toBeLessThanOrEqual(200)
  }
  for (const kind of ['packetsAtRest', 'packetsPerSecond'] as const) {
    const [a, b] = [own, alike].map((runs) => median(runs.map((run) => run[kind])))
    expect(b! / a!, kind).toBeGreaterThan(0.85)
    expect(b! / a!, kind).toBeLessThan(1.15)
  }
})

test('a member of the model writes to its own copies alone', () => {
  const { cluster } = new SharedCluster(simSeed(990), 10, SETTINGS)
  cluster.run(5000)
  const { address } = cluster.get('node-1').endpoint
  cluster.network.passes = (_, to) => to === address
  cluster.get('node-4').handle({ kind: 'leave' })
  // Its gossip has been at all others, and nobody is suspected yet.
  cluster.run(900)
  const stateAt = (name: string) => cluster.get(name).protocol.member('node-4')?.state
  expect([stateAt('node-1'), stateAt('node-2')]).toEqual(['left', 'alive'])
})
