import { describe, expect, test } from 'vitest'
import { simSeed } from '../../lab/sim/seeded-random.ts'
import { SimCluster } from '../../lab/sim/sim-cluster.ts'
import type { SimMember } from '../../lab/sim/sim-member.ts'
import { sameEndpoint, tryParseAddress } from '../../src/membership/memberlist/protocol/endpoint.ts'
import type { Message, PushPull, PushPullNode } from '../../src/membership/memberlist/wire/messages.ts'
import { PRESETS } from '../../src/membership/memberlist/protocol/settings.ts'
import { alive } from '../membership/memberlist/protocol/machine.ts'

const others = (cluster: SimCluster, name: string) => cluster.running.filter((member) => member.name !== name)
const rivalOf = (by: SimMember, name: string) => by.protocol.member(name)?.rival
const placeOf = (by: SimMember, name: string) => by.protocol.member(name)?.endpoint

/** Everybody in `members` says that `name` is contested, and who is where. */
function allSay(members: readonly SimMember[], name: string, listed: SimMember, rival: SimMember): boolean {
  return members.every((by) => {
    const [place, other] = [placeOf(by, name), rivalOf(by, name)]
    return (
      place !== undefined &&
      other !== undefined &&
      sameEndpoint(place, listed.endpoint) &&
      sameEndpoint(other, rival.endpoint)
    )
  })
}

describe('two processes of one name', () => {
  test.each([2, 3, 5, 30])(
    'every one of %i members says so; only the one not listed knows that it is not',
    (count) => {
      const cluster = SimCluster.settled(simSeed(70), count)
      const first = cluster.get('node-1')
      const second = cluster.start('node-1', { seeds: [cluster.get('node-0').endpoint] })
      const rest = others(cluster, 'node-1')
      const known = () =>
        allSay([...rest, first], 'node-1', first, second) && allSay([second], 'node-1', second, first)
      expect(cluster.runUntil(known, 10_000), `seed ${cluster.seed}`).toBeDefined()
      expect(first.protocol.isUnlisted).toBe(false)
      expect(cluster.runUntil(() => second.protocol.isUnlisted, 31_000)).toBeDefined()
      cluster.run(60_000)
      expect(known()).toBe(true)
      expect(first.protocol.isUnlisted).toBe(false)
      // A member that comes later hears of it as well.
      const late = cluster.start('late', { seeds: [cluster.get('node-0').endpoint] })
      expect(cluster.runUntil(() => rivalOf(late, 'node-1') !== undefined, 130_000)).toBeDefined()
      // It stops, with a farewell that is not to hit the other one.
      second.handle({ kind: 'leave' })
      const listed = () => rest.every((by) => cluster.lists(by, 'node-1'))
      for (let i = 0; i < 100; i++) {
        cluster.run(20)
        expect(listed()).toBe(true)
      }
      second.kill()
      const over = () => [...rest, first, late].every((by) => rivalOf(by, 'node-1') === undefined)
      expect(cluster.runUntil(over, 45_000), `seed ${cluster.seed}`).toBeDefined()
    },
  )

  test('a pod that was cut off, and replaced elsewhere meanwhile, is the one not listed when it is back', () => {
    const cluster = SimCluster.settled(simSeed(71), 6)
    const old = cluster.get('node-1')
    const rest = others(cluster, 'node-1')
    cluster.partition([rest, [old]])
    cluster.run(30_000)
    const replacement = cluster.start('node-1', { seeds: [cluster.get('node-0').endpoint] })
    cluster.partition([[...rest, replacement], [old]])
    expect(cluster.runUntil(() => cluster.isConverged(), 8000)).toBeDefined()
    expect(rivalOf(cluster.get('node-0'), 'node-1')).toBeUndefined()
    cluster.run(120_000)
    cluster.heal()
    const known = () => allSay([...rest, replacement], 'node-1', replacement, old) && old.protocol.isUnlisted
    expect(cluster.runUntil(known, 60_000), `seed ${cluster.seed}`).toBeDefined()
    expect(replacement.protocol.isUnlisted).toBe(false)
  })

  test.each(['killed', 'left'])(
    'a pod that comes back elsewhere after it %s is taken, and nothing is contested',
    (how) => {
      for (let i = 0; i < 5; i++) {
        const cluster = SimCluster.settled(simSeed(72 + i), 6)
        const contested: string[] = []
        for (const member of cluster.running) {
          member.onEffect = (effect) => {
            if (effect.kind === 'member-changed' && effect.change === 'contested') contested.push(member.name)
          }
        }
        const old = cluster.get('node-1')
        if (how === 'left') {
          old.handle({ kind: 'leave' })
          // It runs on while its replacement starts.
          cluster.run(300)
        } else old.kill()
        cluster.start('node-1', { seeds: [cluster.get('node-0').endpoint] })
        const converged = () => cluster.isConverged()
        expect(
          cluster.runUntil(converged, how === 'left' ? 1500 : 5000),
          `seed ${cluster.seed}`,
        ).toBeDefined()
        cluster.run(20_000)
        expect(cluster.isConverged()).toBe(true)
        expect(contested).toEqual([])
      }
    },
  )

  test('a name that goes from one place to another and back is taken each time', () => {
    const cluster = SimCluster.settled(simSeed(77), 6)
    const seeds = [cluster.get('node-0').endpoint]
    const places = [cluster.get('node-1').endpoint, cluster.endpoint()]
    for (let i = 1; i < 7; i++) {
      const before = cluster.get('node-1')
      if (i % 2 === 0) before.handle({ kind: 'leave' })
      cluster.run(300)
      before.kill()
      cluster.start('node-1', { seeds, endpoint: places[i % 2]! })
      expect(
        cluster.runUntil(() => cluster.isConverged(), 8000),
        `move ${i}`,
      ).toBeDefined()
      cluster.run(3000)
    }
  })
})

describe('one process at two addresses', () => {
  /** Who says at any time that a name is contested, or that itself is unlisted. */
  function watch(cluster: SimCluster): Set<string> {
    const said = new Set<string>()
    for (const member of cluster.running) {
      member.onEffect = (effect) => {
        if (effect.kind === 'member-changed' && effect.change === 'contested') said.add(member.name)
      }
    }
    return said
  }

  test.each([
    ['with keys', true],
    ['without keys', false],
  ])('is no contest when a forged message names the other one, %s', (_, keyed) => {
    const cluster = SimCluster.settled(simSeed(120), 5, { ...PRESETS.lan, keyed })
    const said = watch(cluster)
    const victim = cluster.get('node-1')
    const second = cluster.endpoint()
    cluster.network.alias(second, victim.endpoint)
    const forger = cluster.endpoint()
    cluster.network.hostUp(forger.address)
    for (let i = 0; i < 30; i++) {
      const address = tryParseAddress(second.address)!
      const claim = alive(0, 5 + i, { node: 'node-1', address, port: second.port })
      for (const member of cluster.running) cluster.network.sendPacket(forger, member.endpoint, [claim])
      cluster.run(1000)
    }
    expect([...said], `seed ${cluster.seed}`).toEqual([])
    expect(cluster.isConverged(), `seed ${cluster.seed}`).toBe(true)
  })

  test.each([
    [2, true, 512],
    [3, false, 0],
    [3, false, 100],
    [5, true, 100],
    [30, true, 0],
    [30, false, 100],
  ])(
    'is where it says, after it came back with another one: %i members, keys: %s, metadata of %i bytes',
    (count, keyed, metaBytes) => {
      const cluster = SimCluster.settled(simSeed(121), count, { ...PRESETS.lan, keyed })
      const said = watch(cluster)
      const before = cluster.get('node-1')
      before.kill()
      const seeds = [cluster.get('node-0').endpoint]
      const after = cluster.start('node-1', { seeds, meta: new Uint8Array(metaBytes) })
      said.delete('node-1')
      after.onEffect = (effect) => {
        if (effect.kind === 'member-changed' && effect.change === 'contested') said.add('node-1')
      }
      cluster.network.alias(before.endpoint, after.endpoint)
      expect(
        cluster.runUntil(() => cluster.isConverged(), 3000),
        `seed ${cluster.seed}`,
      ).toBeDefined()
      for (let i = 0; i < 600; i++) {
        cluster.run(100)
        expect(cluster.isConverged(), `seed ${cluster.seed}, ${i}`).toBe(true)
      }
      expect([...said], `seed ${cluster.seed}`).toEqual([])
    },
  )
})

describe('who of two is not ready', () => {
  const LONG_MS = 100_000

  test.each([0, 1, 2, 3, 4])(
    'only the second one, which knows at once, also where packets of its own have another address: run %i',
    (run) => {
      const cluster = SimCluster.settled(simSeed(90 + run), 3 + run)
      const first = cluster.get('node-1')
      const endpoint = cluster.endpoint()
      const advertise = cluster.endpoint()
      const second = cluster.start('node-1', { seeds: [first.endpoint], endpoint, advertise })
      cluster.network.alias(advertise, endpoint)
      const seen = { first: 0, second: 0 }
      for (let passedMs = 0; passedMs < LONG_MS; passedMs += 20) {
        cluster.run(20)
        if (first.protocol.isUnlisted) seen.first++
        // It is listed nowhere, and may not count on itself from the moment in which it knows that there are two.
        if (!second.protocol.isUnlisted && second.protocol.contested().length > 0) seen.second++
      }
      expect(seen, `seed ${cluster.seed}`).toEqual({ first: 0, second: seen.second })
      expect(seen.second).toBeLessThan(3)
      expect(second.protocol.isUnlisted).toBe(true)
    },
  )

  test('the second and the third of one name, whoever they have as seeds', () => {
    const cluster = SimCluster.settled(simSeed(96), 5)
    const first = cluster.get('node-1')
    const second = cluster.start('node-1', { seeds: [first.endpoint] })
    const third = cluster.start('node-1', { seeds: [second.endpoint, cluster.get('node-2').endpoint] })
    const known = () => second.protocol.isUnlisted && third.protocol.isUnlisted
    expect(cluster.runUntil(known, 2000), `seed ${cluster.seed}`).toBeDefined()
    for (let passedMs = 0; passedMs < LONG_MS; passedMs += 20) {
      cluster.run(20)
      expect(known(), `seed ${cluster.seed}, after ${passedMs} ms`).toBe(true)
      expect(first.protocol.isUnlisted, `seed ${cluster.seed}`).toBe(false)
    }
  })

  // Within a minute after it was replaced, what was there before is given its place back.
  test.each([0, 5000, 50_000, 61_000, 120_000])(
    'those of two pods that were cut off with a third, and of their replacements, that fewer of the others list: back after %i ms',
    (afterMs) => {
      for (let run = 0; run < 3; run++) {
        const cluster = SimCluster.settled(simSeed(100 + run), 8)
        const names = ['node-1', 'node-2']
        const old = names.map((name) => cluster.get(name))
        const third = cluster.get('node-3')
        const rest = cluster.running.filter((member) => !old.includes(member) && member !== third)
        cluster.partition([rest, [...old, third]])
        cluster.run(30_000)
        const seeds = [cluster.get('node-0').endpoint]
        const replacements = names.map((name) => cluster.start(name, { seeds }))
        cluster.partition([
          [...rest, ...replacements],
          [...old, third],
        ])
        cluster.run(afterMs)
        cluster.heal()
        const known = () => [...old, ...replacements].every((member) => rivalOf(member, member.name))
        expect(cluster.runUntil(known, 60_000), `seed ${cluster.seed}`).toBeDefined()
        // Those who gave a place back at first have done so by now.
        cluster.run(50_000)
        for (let passedMs = 0; passedMs < 60_000; passedMs += 200) {
          cluster.run(200)
          for (const [i, name] of names.entries()) {
            const [before, after] = [old[i]!, replacements[i]!]
            let balance = 0
            for (const by of [...rest, third])
              balance += sameEndpoint(placeOf(by, name)!, before.endpoint) ? 1 : -1
            const unlisted = [before, after].map(({ protocol }) => protocol.isUnlisted)
            expect(unlisted, `seed ${cluster.seed}, ${name}, after ${passedMs} ms, ${balance}`).toEqual([
              balance < 0,
              balance > 0,
            ])
            // Around a minute some still do, and some no longer.
            if (afterMs < 55_000) expect(balance, `seed ${cluster.seed}, ${name}`).toBe(rest.length + 1)
            if (afterMs > 65_000) expect(balance, `seed ${cluster.seed}, ${name}`).toBe(1 - rest.length)
          }
        }
      }
    },
  )

  test('nobody any more, once the one that the others listed is dead', () => {
    const cluster = SimCluster.settled(simSeed(111), 5)
    const first = cluster.get('node-1')
    const second = cluster.start('node-1', { seeds: [cluster.get('node-0').endpoint] })
    expect(cluster.runUntil(() => second.protocol.isUnlisted, 2000)).toBeDefined()
    cluster.run(30_000)
    first.kill()
    const listed = () => cluster.isConverged()
    expect(cluster.runUntil(listed, 10_000), `seed ${cluster.seed}`).toBeDefined()
    expect(
      cluster.runUntil(() => !second.protocol.isUnlisted, 12_000),
      `seed ${cluster.seed}`,
    ).toBeDefined()
    cluster.run(60_000)
    expect(second.protocol.isUnlisted).toBe(false)
  })
})

describe('forged messages about a name', () => {
  /** Sends from a host that answers pings for `name` if `answers`, with `words` besides, and whoever asks for its state with `state`. */
  function attacker(
    cluster: SimCluster,
    name: string,
    answers: boolean,
    state?: PushPull,
    words: Message[] = [],
  ) {
    const endpoint = cluster.endpoint()
    const asked = { count: 0 }
    const send = (to: SimMember, ...messages: Message[]) => {
      cluster.network.sendPacket(endpoint, to.endpoint, messages)
    }
    cluster.network.listen(endpoint, {
      packet: (from, messages) => {
        for (const message of messages) {
          if (answers && message.kind === 'ping' && message.node === name)
            cluster.network.sendPacket(endpoint, from, [
              { kind: 'ack', seqNo: message.seqNo, payload: new Uint8Array(0) },
              ...words,
            ])
        }
      },
      streamPing: (ping, answer) => {
        answer(answers ? { kind: 'ack', seqNo: ping.seqNo, payload: new Uint8Array(0) } : undefined)
      },
      pushPull: (_, __, answer) => {
        asked.count++
        answer(state)
      },
    })
    const claim = (incarnation: number) =>
      alive(0, incarnation, { node: name, address: tryParseAddress(endpoint.address)!, port: endpoint.port })
    return { endpoint, asked, send, claim }
  }

  test('a claim from where nobody answers makes nothing contested', () => {
    const cluster = SimCluster.settled(simSeed(80), 5)
    const { send, claim } = attacker(cluster, 'node-1', false)
    for (let i = 0; i < 30; i++) {
      for (const member of cluster.running) send(member, claim(5 + i))
      cluster.run(1000)
      for (const member of cluster.running) expect(rivalOf(member, 'node-1')).toBeUndefined()
    }
    expect(cluster.isConverged()).toBe(true)
  })

  test('a member stays ready whatever one says that answers under its name, connects to it, and is a member besides', () => {
    const cluster = SimCluster.settled(simSeed(83), 4)
    const victim = cluster.get('node-1')
    const thief = attacker(cluster, 'node-1', true)
    const nodes: PushPullNode[] = []
    const state = { join: false, nodes, userState: new Uint8Array(0) }
    const liar = attacker(cluster, 'liar', true, state)
    for (const claim of [liar.claim(1), thief.claim(2)]) nodes.push({ ...claim, name: claim.node, state: 0 })
    for (const member of cluster.running) liar.send(member, liar.claim(1))
    expect(cluster.runUntil(() => cluster.lists(victim, 'liar'), 2000)).toBeDefined()
    for (let i = 0; i < 120; i++) {
      thief.send(victim, thief.claim(5 + i))
      cluster.network.pushPull(liar.endpoint, victim.endpoint, state, 1000, () => {})
      for (let step = 0; step < 10; step++) {
        cluster.run(50)
        expect(victim.protocol.isUnlisted, `seed ${cluster.seed}, ${i}`).toBe(false)
      }
    }
    expect(rivalOf(victim, 'node-1')).toEqual(thief.endpoint)
    expect(liar.asked.count).toBeGreaterThan(3)
  })

  test.each([
    ['that it is where it answers', 'there'],
    ['that it is where the member is', 'here'],
    ['that it is elsewhere', 'elsewhere'],
  ])('a member keeps its place whatever one that answers under its name says of itself: %s', (_, where) => {
    const cluster = SimCluster.settled(simSeed(84), 5)
    const victim = cluster.get('node-1')
    const words: Message[] = []
    const thief = attacker(cluster, 'node-1', true, undefined, words)
    const place = { there: thief.endpoint, here: victim.endpoint, elsewhere: cluster.endpoint() }[where]!
    for (let i = 0; i < 40; i++) {
      words[0] = { ...thief.claim(5 + i), address: tryParseAddress(place.address)! }
      for (const member of cluster.running) thief.send(member, thief.claim(5 + i), words[0])
      for (let step = 0; step < 10; step++) {
        cluster.run(50)
        for (const by of cluster.running) expect(placeOf(by, 'node-1')).toEqual(victim.endpoint)
        expect(victim.protocol.isUnlisted).toBe(false)
      }
    }
    const says = cluster.running.map((by) => rivalOf(by, 'node-1') !== undefined)
    expect(says).toEqual(says.map(() => where === 'there'))
  })

  test.each([1, 20])(
    'a place that was stolen by a forged leave in incarnation %i is given back',
    (incarnation) => {
      const cluster = SimCluster.settled(simSeed(81), 5)
      const victim = cluster.get('node-1')
      const { endpoint, send, claim } = attacker(cluster, 'node-1', true)
      let stolen = false
      cluster.get('node-0').onEffect = (effect) => {
        if (effect.kind === 'member-changed' && sameEndpoint(effect.member.endpoint, endpoint)) stolen = true
      }
      const left = { kind: 'dead', incarnation, node: 'node-1', from: 'node-1' } as const
      for (const member of others(cluster, 'node-1')) send(member, left, claim(incarnation))
      cluster.run(5)
      expect(stolen).toBe(true)
      const back = () =>
        cluster.running.every((by) => sameEndpoint(placeOf(by, 'node-1')!, victim.endpoint)) &&
        cluster.running.every((by) => rivalOf(by, 'node-1') !== undefined)
      expect(cluster.runUntil(back, 3000), `seed ${cluster.seed}`).toBeDefined()
      // Now that the name is contested, the same does not work again.
      for (let i = 0; i < 20; i++) {
        const later = { ...left, incarnation: incarnation + 10 + i }
        for (const member of others(cluster, 'node-1')) send(member, later, claim(incarnation + 10 + i))
        for (let step = 0; step < 10; step++) {
          cluster.run(50)
          for (const by of cluster.running) expect(placeOf(by, 'node-1')).toEqual(victim.endpoint)
        }
      }
      expect(victim.protocol.isUnlisted).toBe(false)
    },
  )
})
