import { expect, test } from 'vitest'
import { simSeed } from '../../lab/sim/seeded-random.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import { tryParseAddress } from '../../src/membership/memberlist/protocol/endpoint.ts'
import { alive } from '../membership/memberlist/protocol/machine.ts'

test.each([true, false])(
  'a name whose incarnation was forged to the top while it was away is taken at its own, seen by all: %s',
  (all) => {
    for (let i = 0; i < 3; i++) {
      const cluster = new SimCluster(simSeed(120 + i))
      cluster.startMany(6)
      cluster.run(20_000)
      const [first] = cluster.running
      const attacker = cluster.endpoint()
      cluster.network.hostUp(attacker.address)
      const endpoint = cluster.endpoint()
      const forged = alive(0, 2 ** 31 - 1, {
        node: 'victim',
        address: tryParseAddress(endpoint.address)!,
        meta: Uint8Array.of(66),
      })
      cluster.network.sendPacket(attacker, first!.endpoint, [forged])
      cluster.run(all ? 2000 : 1)
      cluster.start('victim', { endpoint, seeds: [cluster.get('node-0').endpoint], meta: Uint8Array.of(7) })
      const taken = () =>
        cluster.running.every(({ protocol }) => {
          const view = protocol.member('victim')
          return view?.state === 'alive' && view.meta[0] === 7
        })
      expect(cluster.runUntil(taken, 60_000), `seed ${cluster.seed}`).toBeDefined()
      cluster.run(60_000)
      expect(taken()).toBe(true)
      expect(cluster.isConverged()).toBe(true)
    }
  },
)
