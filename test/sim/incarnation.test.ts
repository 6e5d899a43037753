import { describe, expect, test } from 'vitest'
import { seededRandom, simSeed } from '../../lab/sim/seeded-random.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import type { SimMember } from '../../lab/sim/sim-member.ts'
import { tryParseAddress } from '../../src/membership/memberlist/protocol/endpoint.ts'
import type { Message } from '../../src/membership/memberlist/wire/messages.ts'
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

describe('a member whose incarnation is forged while it lives', () => {
  const TOP = 2 ** 31 - 1
  const FORGED = Uint8Array.of(66)
  const forgedAlive = ({ name, endpoint }: SimMember, incarnation: number) =>
    alive(0, incarnation, { node: name, address: tryParseAddress(endpoint.address)!, meta: FORGED })

  /** Everybody lists everybody as they are. */
  const isWell = (cluster: SimCluster) =>
    cluster.isConverged() &&
    cluster.running.every(({ protocol }) =>
      protocol.members().every(({ state, meta }) => state === 'alive' && meta.length === 0),
    )

  function attacked(seed: number, count: number) {
    const cluster = new SimCluster(seed)
    cluster.startMany(count)
    cluster.run(20_000)
    const attacker = cluster.endpoint()
    cluster.network.hostUp(attacker.address)
    const send = (to: SimMember, ...messages: Message[]) => {
      cluster.network.sendPacket(attacker, to.endpoint, messages)
    }
    return { cluster, send }
  }

  test.each([3, 8])('is itself again at %i members, though raised step by step to the top', (count) => {
    const { cluster, send } = attacked(simSeed(130), count)
    const [first, victim] = cluster.running as [SimMember, SimMember]
    const steps: Message[] = []
    for (let at = 1; at < TOP;) {
      at = Math.min(TOP, at + 2 ** 20 - 64)
      steps.push({ kind: 'suspect', incarnation: at, node: victim.name, from: first.name })
    }
    for (let i = 0; i < steps.length; i += 20) {
      for (const member of cluster.running) send(member, ...steps.slice(i, i + 20))
      cluster.run(5)
    }
    for (const member of cluster.running) send(member, forgedAlive(victim, TOP))
    cluster.run(1000)
    expect(
      cluster.runUntil(() => isWell(cluster), 10_000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
    // It stays so, also for one that comes later.
    cluster.start('late', { seeds: [first.endpoint] })
    cluster.run(60_000)
    expect(isWell(cluster)).toBe(true)
  })

  test('is itself again within a minute, whatever is said of whomever in whatever incarnation', () => {
    for (let i = 0; i < 6; i++) {
      const { cluster, send } = attacked(simSeed(140 + i), 6)
      const random = seededRandom(cluster.seed)
      const one = <T>(of: readonly T[]) => of[Math.floor(random() * of.length)] as T
      for (let n = 0; n < 1500; n++) {
        // A member comes in the midst of it, and another comes back.
        if (n === 700) cluster.start('late', { seeds: [cluster.get('node-0').endpoint] })
        if (n === 900) {
          const { endpoint } = cluster.get('node-4')
          cluster.get('node-4').kill()
          cluster.start('node-4', { endpoint, seeds: [cluster.get('node-0').endpoint] })
        }
        const victim = one(cluster.running)
        const held = one(cluster.running).protocol.member(victim.name)?.incarnation ?? 1
        const incarnation = Math.min(TOP, held + Math.floor(2 ** (random() * 32)) - 1)
        const from = one([victim, ...cluster.running]).name
        const said = one<Message>([
          { kind: 'suspect', incarnation, node: victim.name, from },
          { kind: 'dead', incarnation, node: victim.name, from },
          forgedAlive(victim, incarnation),
        ])
        const to = random() < 0.3 ? cluster.running : [one(cluster.running)]
        for (const member of to) send(member, said)
        cluster.run(random() * 40)
      }
      expect(
        cluster.runUntil(() => isWell(cluster), 60_000),
        `seed ${cluster.seed}`,
      ).toBeDefined()
      cluster.run(60_000)
      expect(isWell(cluster)).toBe(true)
    }
  })
})
