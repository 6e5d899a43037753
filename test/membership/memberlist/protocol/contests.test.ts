import { describe, expect, test } from 'vitest'
import { Contests } from '../../../../src/membership/memberlist/protocol/contests.ts'
import { sameEndpoint } from '../../../../src/membership/memberlist/protocol/endpoint.ts'
import { collectionsOf } from '../../../../lab/sim/collections.ts'
import { CoreBench } from './core-bench.ts'
import { numberOf } from './effect-log.ts'
import type { Message } from '../../../../src/membership/memberlist/wire/messages.ts'
import { alive, endpointOf, suspect } from './machine.ts'

/** Contests of `m1`, which knows `m2`, from time 0 on; the place of an address answers while it is in `answering`. */
function contesting() {
  const bench = new CoreBench()
  bench.at(0)
  const { core } = bench
  const fetched: string[] = []
  const contests = new Contests(core, ({ name }) => fetched.push(name))
  const answering = new Set<number>()
  /** What the packets with their answers hold. */
  const said = new Map<number, Message[]>()
  const asked: string[] = []
  /** Carries out what was asked for. */
  const settle = () => {
    const taken = bench.take()
    for (const effect of taken) {
      if (effect.kind === 'start-stream-probe')
        asked.push(`${effect.ping.node} by stream at ${effect.to.address}`)
      if (effect.kind !== 'send-packet') continue
      for (const message of effect.messages) {
        if (message.kind !== 'ping') continue
        const news = effect.messages.filter((one) => one.kind === 'alive' && one.node !== 'm1')
        asked.push(`${message.node} at ${effect.to.address}${news.length > 0 ? ' with news' : ''}`)
        const n = numberOf(effect.to)
        if (answering.has(n))
          core.pending.get(message.seqNo)?.acked(new Uint8Array(0), effect.to, said.get(n) ?? [])
      }
    }
    if (taken.length > 0) settle()
  }
  const at = (ms: number) => {
    while (core.deadlines.nextMs <= ms) {
      bench.at(core.deadlines.nextMs)
      core.deadlines.runDue(core.nowMs)
      settle()
    }
    bench.at(ms)
    settle()
  }
  const m2 = bench.member(2)
  const claim = (incarnation = 1, from = 9, record = m2) => {
    contests.claimed(
      record,
      alive(2, incarnation, { node: record.name, address: alive(from).address }),
      endpointOf(from),
    )
    settle()
  }
  const changes = () => {
    settle()
    return bench.changes()
  }
  /** The claims that wait to be sent on, by incarnation. */
  const sentOn = () =>
    core.queue.look(60_000, 255).flatMap((message) => (message.kind === 'alive' ? [message.incarnation] : []))
  return { bench, core, contests, fetched, answering, said, asked, at, m2, claim, changes, sentOn }
}

/** `m2` answers at its place and, under the same name, at 10.0.0.9. */
function contested() {
  const all = contesting()
  all.answering.add(2).add(9)
  all.claim()
  return all
}

describe('a name that is claimed from another place', () => {
  test('is contested when both places answer', () => {
    const { asked, core, m2, bench, changes, sentOn, contests } = contested()
    expect(asked).toEqual(['m2 at 10.0.0.9', 'm2 at 10.0.0.2'])
    expect(m2.rival).toEqual(endpointOf(9))
    expect(changes()).toEqual(['m2 contested'])
    expect(contests.contested()).toEqual([m2])
    expect(sentOn()).toEqual([1])
    expect(core.contacts.hasAnswered(endpointOf(2), 'm2', 0)).toBe(true)
    expect(bench.of('log')).toMatchObject([
      {
        level: 'warn',
        fields: {
          event: 'name.contested',
          peer: 'm2',
          address: '10.0.0.2',
          port: 7946,
          rivalAddress: '10.0.0.9',
          rivalPort: 7946,
        },
      },
    ])
  })

  test.each([
    ['only its member does', [2]],
    ['only the other one does', [9]],
    ['neither does', []],
  ])('is not where %s', (_, answering) => {
    const { at, m2, changes, contests, asked, claim, ...all } = contesting()
    for (const n of answering) all.answering.add(n)
    all.core.queueMessage(alive(7))
    claim()
    at(60_000)
    expect([m2.rival, changes(), contests.contested(), all.sentOn()]).toEqual([undefined, [], [], [1]])
    expect(m2.lastAckMs).toBe(answering.includes(2) ? 0 : -Infinity)
    // Both by repeated pings and a stream; only its own member hears news.
    expect(asked.filter((word) => word.startsWith('m2 at 10.0.0.9'))).toEqual(
      Array.from({ length: answering.includes(9) ? 1 : 2 }, () => 'm2 at 10.0.0.9'),
    )
    expect(asked.filter((word) => word.startsWith('m2 at 10.0.0.2'))).toEqual(
      Array.from({ length: answering.includes(2) ? 1 : 2 }, () => 'm2 at 10.0.0.2 with news'),
    )
    expect(asked.filter((word) => word.includes('stream'))).toHaveLength(2 - answering.length)
    // It can be claimed again.
    const before = asked.length
    claim()
    expect(asked).toHaveLength(before + 2)
  })

  test('is asked in a way that has its member say what it is', () => {
    const { bench, claim } = contesting()
    claim()
    const [toRival, toMember] = bench.of('send-packet').map(({ messages }) => messages.slice(1))
    const asOfNow = { kind: 'suspect', node: 'm2', incarnation: 0, from: 'm1' }
    // Its own word as well: where nobody has answered, nobody is sent more than came from there.
    const own = { kind: 'alive', node: 'm1', incarnation: 1, address: alive(1).address }
    expect([toRival, toMember]).toMatchObject([
      [asOfNow, own],
      [asOfNow, own],
    ])
  })

  const at10 = (n: number, node = 'm2') => alive(n, 3, { node })
  test.each<[string, Message[], Message[], boolean, Message[]]>([
    ['neither says where it is', [], [], true, []],
    ['each says that it is there', [at10(2)], [at10(9)], true, []],
    ['the other one says nothing', [at10(2)], [], true, []],
    ['only others are told of', [at10(9, 'm3')], [at10(2, 'm3'), suspect(2)], true, []],
    ['the other one says what is no place', [], [alive(2, 3, { address: new Uint8Array(3) })], true, []],
    ['the other one, in its own word, which comes first, is its member', [], [at10(2), at10(9)], false, []],
    ['the other one is at another port', [], [alive(9, 3, { node: 'm2', port: 7947 })], false, []],
    ['its member has moved to the other place', [at10(9), at10(2)], [at10(9)], false, [at10(9)]],
    ['its member has moved elsewhere', [at10(5)], [at10(9)], false, [at10(5)]],
  ])('is one process, or two, where both answer and %s', (_, own, others, isContested, moved) => {
    const { answering, said, claim, at, m2, contests, asked, changes, core } = contesting()
    const heard: Message[] = []
    contests.onElsewhere = (word) => heard.push(word)
    answering.add(2).add(9)
    said.set(2, own).set(9, others)
    claim()
    expect([m2.rival !== undefined, heard]).toEqual([isContested, moved])
    expect(m2.lastAckMs).toBe(moved.length > 0 ? -Infinity : 0)
    if (isContested) return
    // It is no silence that is waited for: it can be claimed again.
    claim()
    expect(asked).toHaveLength(4)
    at(60_000)
    expect([asked.length, changes()]).toEqual([4, []])
    expect(core.queue.count).toBe(0)
  })

  test('is contested no more after the other place led to its member three times', () => {
    const { at, m2, said, contests } = contested()
    contests.onElsewhere = () => expect.unreachable()
    said.set(9, [alive(2)])
    at(29_999)
    expect(m2.rival).toEqual(endpointOf(9))
    at(30_000)
    expect(m2.rival).toBeUndefined()
  })

  test('is no longer asked about once its member has said that it is elsewhere', () => {
    const { at, m2, said, contests, asked, changes, answering, claim } = contesting()
    const heard: Message[] = []
    contests.onElsewhere = (word) => {
      heard.push(word)
      contests.end(m2)
    }
    answering.add(2)
    said.set(2, [at10(9)])
    claim()
    at(60_000)
    expect([heard, changes(), asked.length]).toEqual([[at10(9)], [], 4])
    // Nor is its word taken when the question is over.
    const late = contesting()
    late.contests.onElsewhere = () => expect.unreachable()
    late.said.set(2, [at10(9)])
    late.claim()
    late.contests.end(late.m2)
    late.answering.add(2)
    late.at(60_000)
  })

  test('is decided when both questions are over', () => {
    const { at, m2, claim, answering } = contesting()
    claim()
    answering.add(2)
    at(249)
    expect(m2.rival).toBeUndefined()
    answering.add(9)
    // The repeated pings reach both.
    at(250)
    expect(m2.rival).toEqual(endpointOf(9))
  })

  test('is asked about once, and said again for each later incarnation while it is contested', () => {
    const { asked, claim, sentOn, core, contests, answering, at } = contesting()
    claim(3)
    expect(contests.contested()).toEqual([])
    claim(4)
    claim(2)
    expect([asked.length, sentOn()]).toEqual([2, []])
    answering.add(2).add(9)
    at(300)
    // The newest claim is sent on.
    expect(sentOn()).toEqual([4])
    const forget = () => {
      core.queue.remove({ space: 'claim', name: 'm2' })
    }
    forget()
    claim(4)
    claim(3)
    claim(9, 8)
    expect(sentOn()).toEqual([])
    claim(5)
    expect(sentOn()).toEqual([5])
    forget()
    claim(5)
    expect(sentOn()).toEqual([])
  })

  test('is looked at every ten seconds, and contested no more after the third silence', () => {
    const { at, asked, m2, changes, answering, contests, sentOn } = contested()
    at(9999)
    expect(asked).toHaveLength(2)
    at(10_000)
    expect(asked).toHaveLength(4)
    answering.delete(9)
    at(20_000)
    at(31_900)
    expect(m2.rival).toEqual(endpointOf(9))
    // It answers once, and the silences count anew.
    answering.add(9)
    at(43_000)
    answering.delete(9)
    at(74_999)
    expect(m2.rival).toEqual(endpointOf(9))
    at(75_000)
    expect([m2.rival, changes(), contests.contested()]).toEqual([
      undefined,
      ['m2 contested', 'm2 uncontested'],
      [],
    ])
    const before = asked.length
    at(200_000)
    expect(asked).toHaveLength(before)
    expect(sentOn()).toEqual([1])
  })

  test('stays contested while its member is silent', () => {
    const { at, m2, answering } = contested()
    answering.delete(2)
    at(60_000)
    expect(m2.rival).toEqual(endpointOf(9))
  })

  test.each<[string, (all: ReturnType<typeof contested>) => void, boolean]>([
    ['has fallen', ({ core, m2 }) => core.members.setState(m2, 'dead', 0), false],
    ['is elsewhere', ({ core, m2 }) => core.members.move(m2, endpointOf(5), alive(5).address), false],
    ['is suspect', ({ core, m2 }) => core.members.setState(m2, 'suspect', 0), true],
  ])('is contested after its member %s: %s', (_, change, stays) => {
    const all = contested()
    change(all)
    all.at(11_000)
    expect(all.m2.rival !== undefined).toBe(stays)
  })

  test('is over when it is ended, whatever is answered then', () => {
    const all = contesting()
    all.claim()
    all.contests.end(all.m2)
    all.answering.add(2).add(9)
    all.at(30_000)
    expect([all.m2.rival, all.changes()]).toEqual([undefined, []])
    const other = contested()
    other.contests.end(other.m2)
    other.contests.end(other.m2)
    expect([other.m2.rival, other.changes()]).toEqual([undefined, ['m2 contested', 'm2 uncontested']])
    const before = other.asked.length
    other.at(30_000)
    expect(other.asked).toHaveLength(before)
  })

  test('is one of 256 at most', () => {
    const { bench, claim, asked } = contesting()
    for (let n = 3; n < 300; n++) claim(1, 2, bench.member(n))
    expect(new Set(asked.map((word) => word.split(' ')[0])).size).toBe(256)
  })
})

describe('this member’s own name', () => {
  test('is contested when the other place answers', () => {
    const { core, contests, claim, answering, asked, m2, at } = contested()
    claim(1, 8, core.self)
    at(1000)
    expect([core.self.rival, contests.contested()]).toEqual([undefined, [m2]])
    answering.add(8)
    claim(1, 8, core.self)
    expect(asked.filter((word) => word.startsWith('m1'))).toEqual([
      'm1 at 10.0.0.8',
      'm1 at 10.0.0.8',
      'm1 by stream at 10.0.0.8',
      'm1 at 10.0.0.8',
    ])
    expect(sameEndpoint(core.self.rival!, endpointOf(8))).toBe(true)
    // First of all, and once.
    expect(contests.contested()).toEqual([core.self, m2])
    // Also when it has left.
    core.self.state = 'left'
    at(12_000)
    expect(core.self.rival).toEqual(endpointOf(8))
  })

  test('is not where the other place leads to this member itself', () => {
    const { core, contests, claim, answering, said, at, changes } = contesting()
    contests.onElsewhere = () => expect.unreachable()
    answering.add(9)
    said.set(9, [alive(1)])
    claim(1, 9, core.self)
    at(60_000)
    expect([core.self.rival, changes()]).toEqual([undefined, []])
    said.set(9, [alive(9, 1, { node: 'm1' })])
    claim(1, 9, core.self)
    expect(core.self.rival).toEqual(endpointOf(9))
  })

  /** `m1` is also at 10.0.0.9; `m2` to `m<count>` answer. */
  function ownContested(count: number) {
    const all = contesting()
    for (let n = 3; n <= count; n++) all.bench.member(n)
    for (let n = 2; n <= count; n++) all.answering.add(n)
    all.answering.add(9)
    const listed = (by: number, at: number) => {
      all.contests.listed(endpointOf(by), endpointOf(at))
      return all.contests.isUnlisted
    }
    /** Whom it asked for their state since the last time. */
    const fetched = () => all.fetched.splice(0).sort()
    const own = all.core.self
    return { ...all, listed, fetched, own, claimOwn: (incarnation = 1) => all.claim(incarnation, 9, own) }
  }

  test('is not listed when more of those that were asked list another process, and not as many', () => {
    const { listed, claimOwn, contests, bench } = ownContested(6)
    // Nobody asks before it is claimed.
    expect(listed(2, 9)).toBe(false)
    claimOwn()
    expect(contests.isUnlisted).toBe(false)
    expect(listed(2, 9)).toBe(true)
    expect(listed(3, 1)).toBe(false)
    expect(listed(4, 8)).toBe(true)
    // The newest answer of each counts.
    expect(listed(4, 1)).toBe(false)
    for (const n of [2, 3, 4]) listed(n, 9)
    expect(contests.isUnlisted).toBe(true)
    // At another port it is another process.
    for (const n of [2, 3, 4]) contests.listed(endpointOf(n), { ...endpointOf(1), port: 7947 })
    expect(contests.isUnlisted).toBe(true)
    for (const n of [2, 3, 4]) listed(n, 1)
    expect(contests.isUnlisted).toBe(false)
    // Who is no living member of another name says nothing.
    const m5 = bench.core.members.get('m5')!
    bench.core.members.setState(m5, 'dead', 0)
    for (const n of [9, 1, 77, 5]) for (let i = 0; i < 5; i++) expect(listed(n, 9)).toBe(false)
  })

  test('is not judged by those that have fallen since, nor by those whose own names are contested', () => {
    const { listed, claimOwn, contests, claim, core, answering } = ownContested(4)
    claimOwn()
    listed(3, 1)
    expect(listed(2, 9)).toBe(false)
    expect(listed(4, 9)).toBe(true)
    answering.add(8)
    claim(1, 8, core.members.get('m4'))
    expect(contests.isUnlisted).toBe(false)
    core.members.setState(core.members.get('m3')!, 'suspect', 0)
    expect(contests.isUnlisted).toBe(false)
    core.members.setState(core.members.get('m3')!, 'dead', 0)
    expect(contests.isUnlisted).toBe(true)
  })

  test('is not judged before both places have answered, and is on when the contest of another name is over', () => {
    const { listed, claimOwn, claim, answering, contests, at, m2, asked } = ownContested(3)
    for (const n of [3, 9]) answering.delete(n)
    claimOwn()
    expect(listed(3, 9)).toBe(false)
    answering.add(9)
    at(250)
    expect(contests.isUnlisted).toBe(true)
    answering.add(8)
    claim(1, 8)
    contests.end(m2)
    expect(contests.isUnlisted).toBe(true)
    at(600)
    // One of the others that is silent is asked again, and over a stream.
    expect(asked.filter((word) => word.startsWith('m3'))).toEqual([
      'm3 at 10.0.0.3',
      'm3 at 10.0.0.3 with news',
      'm3 by stream at 10.0.0.3',
    ])
  })

  test('has others asked where they list it, at once, again after a second, and every ten then', () => {
    const { fetched, claimOwn, claim, answering, at, listed, bench, core } = ownContested(4)
    claim()
    expect([fetched(), bench.changes()]).toEqual([[], ['m2 contested']])
    answering.delete(3)
    claimOwn()
    // Not one that is silent, nor one whose own name is contested.
    expect(fetched()).toEqual(['m4'])
    at(999)
    expect(fetched()).toEqual([])
    answering.add(3)
    at(1000)
    expect(fetched()).toEqual(['m3', 'm4'])
    listed(3, 9)
    at(2999)
    expect(fetched()).toEqual([])
    at(3000)
    expect(fetched()).toEqual(['m3', 'm4'])
    at(12_999)
    expect(fetched()).toEqual([])
    at(13_000)
    expect(fetched()).toEqual(['m3', 'm4'])
    // Whole states go to eight at most.
    for (let n = 5; n < 30; n++) {
      bench.member(n)
      answering.add(n)
    }
    at(23_000)
    expect(fetched()).toHaveLength(8)
    expect(core.self.rival).toBeDefined()
  })

  test('has others that cannot tell where they list it asked again at growing intervals, up to ten seconds', () => {
    const { fetched, claimOwn, at } = ownContested(3)
    claimOwn()
    const asked = [0, 1000, 2000, 3000, 5000, 7000, 10_000, 15_000, 20_000, 25_000].filter((nowMs) => {
      at(nowMs)
      return fetched().length > 0
    })
    expect(asked).toEqual([0, 1000, 3000, 7000, 15_000, 25_000])
  })

  test('has the others asked at once when the other process is silent, and is listed when the contest is over', () => {
    const { fetched, claimOwn, answering, at, listed, contests } = ownContested(3)
    claimOwn()
    at(1500)
    expect([listed(2, 9), listed(3, 9)]).toEqual([true, true])
    answering.delete(9)
    at(10_000)
    fetched()
    at(11_000)
    expect([contests.isUnlisted, fetched()]).toEqual([true, ['m2', 'm3']])
    at(40_000)
    expect([contests.isUnlisted, contests.contested()]).toEqual([false, []])
    fetched()
    at(90_000)
    expect(fetched()).toEqual([])
    // What was said before is forgotten.
    answering.add(9)
    claimOwn(2)
    expect(contests.contested()).toHaveLength(1)
    expect(contests.isUnlisted).toBe(false)
  })

  test('is judged by the last 64 answers', () => {
    const { bench, claimOwn, contests } = ownContested(2)
    for (let n = 10; n < 138; n++) bench.member(n)
    claimOwn()
    for (let n = 10; n < 74; n++) contests.listed(endpointOf(n), endpointOf(9))
    for (let n = 74; n < 106; n++) contests.listed(endpointOf(n), endpointOf(1))
    expect(contests.isUnlisted).toBe(false)
    expect(collectionsOf(contests).get('#listings')).toBe(64)
  })

  test('is judged by one that answers again longer than by those that answered after its first time', () => {
    const { bench, claimOwn, contests } = ownContested(2)
    for (let n = 10; n < 138; n++) bench.member(n)
    claimOwn()
    for (let n = 10; n < 74; n++) contests.listed(endpointOf(n), endpointOf(9))
    contests.listed(endpointOf(10), endpointOf(9))
    for (let n = 74; n < 137; n++) contests.listed(endpointOf(n), endpointOf(1))
    expect(contests.isUnlisted).toBe(false)
    for (let n = 11; n < 137; n++) bench.core.members.setState(bench.core.members.get(`m${n}`)!, 'dead', 0)
    expect(contests.isUnlisted).toBe(true)
  })
})
