import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { seededRandom } from '../../../lab/sim/seeded-random.ts'
import { checkDatagram, type SwimMessage } from '../../../src/membership/swim/datagram-guard.ts'
import { SwimNetwork } from '../../support/swim-network.ts'
import { compound, packet, update } from '../../support/swim-packets.ts'

const host = (n: number) => SwimNetwork.host(n)

const fakeTime = () =>
  vi.useFakeTimers({
    now: Date.UTC(2026, 0, 1),
    toFake: [
      'setTimeout',
      'clearTimeout',
      'setInterval',
      'clearInterval',
      'setImmediate',
      'clearImmediate',
      'Date',
      'performance',
    ],
  })

/** Milliseconds until `check` holds, looked at every 10 ms of virtual time; fails after `withinMs`. */
async function timeUntil(check: () => boolean, withinMs: number, what: string): Promise<number> {
  for (let passedMs = 0; passedMs <= withinMs; passedMs += 10) {
    if (check()) return passedMs
    await vi.advanceTimersByTimeAsync(10)
  }
  return expect.fail(`${what} did not come about within ${withinMs} ms`)
}

const messagesIn = (bytes: Uint8Array): readonly SwimMessage[] => {
  const checked = checkDatagram(bytes, { maxBytes: 65_536, maxIncarnation: Number.MAX_SAFE_INTEGER })
  if ('reason' in checked) return expect.fail(`sent a malformed datagram: ${checked.reason}`)
  return checked.messages
}

/** RINGMAN_SIM_SEEDS=100 runs the simulations with chance seeded by 1 to 100. */
const SEEDS = Array.from({ length: Number(process.env['RINGMAN_SIM_SEEDS'] ?? 3) }, (_, index) => index + 1)

describe.each(SEEDS)('a cluster, with chance seeded by %i', (seed) => {
  let network: SwimNetwork

  beforeEach(() => {
    fakeTime()
    const random = seededRandom(seed)
    vi.spyOn(Math, 'random').mockImplementation(random)
    network = new SwimNetwork(random, { goneRetentionMs: 60_000 })
  })

  afterEach(() => {
    network.stop()
    vi.restoreAllMocks()
    vi.useRealTimers()
  })

  const form = async (size: number) => {
    for (let n = 1; n <= size; n++) network.add(n, n === 1 ? [] : [1])
    return timeUntil(() => network.agrees(), 5000, 'a complete cluster')
  }

  test('forms through one seed within 2 s', async () => {
    expect(await form(5)).toBeLessThanOrEqual(2000)
  })

  test('removes a dead member everywhere within 6 s, and nobody else', async () => {
    await form(5)
    await vi.advanceTimersByTimeAsync(3000)
    network.kill(3)
    let wronged = ''
    network.watch((of, members) => {
      for (const member of members) {
        if (member.state === 'dead' && member.host !== host(3)) wronged = `${of} took ${member.host} for dead`
      }
    })
    expect(await timeUntil(() => network.agrees(), 6000, 'removal')).toBeGreaterThan(500)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(network.agrees()).toBe(true)
    expect(wronged).toBe('')
    expect(network.stateOf(1, 3)).toBe('dead')
  })

  test('removes the other one of two', async () => {
    await form(2)
    network.kill(1)
    await timeUntil(() => network.agrees(), 6000, 'removal')
    expect(network.stateOf(2, 1)).toBe('dead')
  })

  test('removes several at once', async () => {
    await form(7)
    for (const n of [2, 3, 4]) network.kill(n)
    await timeUntil(() => network.agrees(), 8000, 'removal')
  })

  test('loses nobody to one lost datagram in ten, and still removes the dead', async () => {
    await form(5)
    network.loss = 0.1
    let gone = ''
    network.watch((_of, members) => {
      gone = members.find(({ state }) => state === 'dead' || state === 'left')?.host ?? gone
    })
    await vi.advanceTimersByTimeAsync(20_000)
    expect(gone).toBe('')
    network.kill(5)
    await timeUntil(() => network.agrees(), 8000, 'removal')
  })

  test('drops a member that leaves within 1 s, as left, for good', async () => {
    await form(5)
    let over = false
    void network
      .node(2)
      .leave()
      .then(() => {
        over = true
      })
    await timeUntil(() => network.agrees([2]), 1000, 'the leave')
    await timeUntil(() => over, 1000, 'the end of the leave')
    for (const n of [1, 3, 4, 5]) expect(network.stateOf(n, 2)).toBe('left')
    expect(network.stateOf(2, 2)).toBe('left')
    await vi.advanceTimersByTimeAsync(20_000)
    for (const n of [1, 3, 4, 5]) expect(network.stateOf(n, 2)).toBe('left')
    expect(network.agrees([2])).toBe(true)
  })

  test('hears of a leave also where datagrams are lost', async () => {
    await form(5)
    network.loss = 0.3
    void network.node(2).leave()
    await timeUntil(() => network.agrees([2]), 1000, 'the leave')
  })

  test('takes a member back that left, stopped and starts again', async () => {
    await form(3)
    void network.node(2).leave()
    await vi.advanceTimersByTimeAsync(1000)
    network.kill(2)
    network.add(2, [1])
    await timeUntil(() => network.agrees(), 2000, 'the return')
  })

  test('takes a member back that was dead', async () => {
    await form(3)
    network.kill(2)
    await timeUntil(() => network.agrees(), 6000, 'removal')
    network.add(2, [1])
    await timeUntil(() => network.agrees(), 2000, 'the return')
  })

  test('takes a member for a new one that comes back at once with other metadata', async () => {
    await form(3)
    network.kill(2)
    network.add(2, [1], { servicePort: '9999' })
    const told = (n: number) =>
      network
        .node(n)
        .members()
        .some(({ meta }) => (meta as { ServicePort?: string }).ServicePort === '9999')
    await timeUntil(() => told(1) && told(3), 2000, 'the new metadata')
    expect(network.agrees()).toBe(true)
  })

  test('takes a member back whose clock went back, before and after it was found dead', async () => {
    await form(3)
    network.kill(2)
    network.add(2, [1], { wallAheadMs: -3_600_000 })
    await timeUntil(() => network.agrees(), 3000, 'the return')
    network.kill(2)
    await timeUntil(() => network.agrees(), 6000, 'removal')
    network.add(2, [1], { wallAheadMs: -7_200_000 })
    await timeUntil(() => network.agrees(), 3000, 'the second return')
    await vi.advanceTimersByTimeAsync(10_000)
    expect(network.agrees()).toBe(true)
  })

  test('becomes one again after a partition, without seeds, and takes nobody of its own side for dead', async () => {
    await form(5)
    const sideOf = (of: string) => (of < host(3) ? 1 : 2)
    network.partition(sideOf)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(network.stateOf(1, 5)).toBe('dead')
    expect(network.stateOf(5, 1)).toBe('dead')
    let wronged = ''
    network.watch((of, members) => {
      const lost = members.find((member) => member.state === 'dead' && sideOf(member.host) === sideOf(of))
      if (lost !== undefined) wronged = `${of} took ${lost.host} for dead`
    })
    network.partition(() => 0)
    await timeUntil(() => network.agrees(), 15_000, 'one cluster')
    await vi.advanceTimersByTimeAsync(20_000)
    expect(network.agrees()).toBe(true)
    expect(wronged).toBe('')
  })

  test('becomes one again after all of the other side was forgotten, by contact with a seed', async () => {
    await form(4)
    network.partition((of) => (of < host(3) ? 1 : 2))
    await vi.advanceTimersByTimeAsync(80_000)
    expect(network.node(1).members()).toHaveLength(2)
    network.partition(() => 0)
    await vi.advanceTimersByTimeAsync(30_000)
    expect(network.agrees()).toBe(false)
    network.node(4).contact([host(1)])
    await timeUntil(() => network.agrees(), 3000, 'one cluster')
  })

  test('a false leave is denied', async () => {
    await form(3)
    const claim = update(host(2), {
      state: 2,
      incarnation: Date.now(),
      meta: { ServicePort: '1', Left: true },
    })
    network.node(1).receive(packet('update', claim), '10.9.9.9:1')
    expect(network.stateOf(1, 2)).toBe('left')
    await timeUntil(() => network.agrees(), 3000, 'the denial')
    const member = network
      .node(1)
      .members()
      .find((candidate) => candidate.host === host(2))
    expect(member?.meta).toEqual({ ServicePort: '8000', Name: 'm2' })
  })

  test('the highest incarnation that is believed does not shut its member out', async () => {
    await form(3)
    for (const state of [1, 2, 0]) {
      const claim = update(host(2), { state, incarnation: Date.now() + 86_400_000 })
      network.node(1).receive(packet('update', claim), '10.9.9.9:1')
      await vi.advanceTimersByTimeAsync(200)
    }
    await vi.advanceTimersByTimeAsync(15_000)
    expect(network.agrees()).toBe(true)
    network.kill(2)
    await timeUntil(() => network.agrees(), 6000, 'removal')
    network.add(2, [1])
    await timeUntil(() => network.agrees(), 3000, 'the return')
  })
})

describe('one node', () => {
  let network: SwimNetwork

  beforeEach(() => {
    fakeTime()
    network = new SwimNetwork(seededRandom(1), { maxMembers: 50, maxGone: 20 })
    network.recording = true
  })

  afterEach(() => {
    network.stop()
    vi.useRealTimers()
  })

  const settleNetwork = () => vi.advanceTimersByTimeAsync(0)

  test('answers a stranger with an acknowledgement and nothing besides', async () => {
    const node = network.add(1)
    node.receive(packet('update', update(host(2))), host(2))
    await settleNetwork()
    network.sent.length = 0
    const ping = packet('ping', { seq: 9 })
    node.receive(ping, '10.9.9.9:5')
    const answers = network.sent.filter(({ to }) => to === '10.9.9.9:5')
    expect(answers.map(({ bytes }) => messagesIn(bytes))).toEqual([[{ kind: 'ack', data: { seq: 9 } }]])
    expect(answers[0]?.bytes.byteLength).toBeLessThanOrEqual(ping.byteLength)
  })

  test('sends news along to members', async () => {
    const node = network.add(1)
    node.receive(packet('update', update(host(2))), host(2))
    await settleNetwork()
    network.sent.length = 0
    node.receive(packet('ping', { seq: 9 }), host(2))
    const [answer] = network.sent
    expect(answer?.to).toBe(host(2))
    const kinds = messagesIn(answer?.bytes ?? Buffer.alloc(0)).map(({ kind }) => kind)
    expect(kinds).toEqual(['ack', 'update'])
  })

  test('probes nobody but members for others', async () => {
    const node = network.add(1)
    node.receive(packet('update', update(host(2))), host(2))
    await settleNetwork()
    network.sent.length = 0
    node.receive(packet('pingReq', { seq: 1, destination: '10.9.9.9:5' }), host(2))
    expect(network.sent).toEqual([])
    expect(node.drops.get('destination-unknown')).toBe(1)
    node.receive(packet('pingReq', { seq: 1, destination: host(2) }), host(3))
    expect(network.sent.map(({ to }) => to)).toEqual([host(2)])
  })

  test('answers only so many exchanges and probes for others', async () => {
    const node = network.add(1)
    node.receive(packet('update', update(host(2))), host(2))
    await settleNetwork()
    network.sent.length = 0
    for (let n = 0; n < 5000; n++) {
      node.receive(packet('sync', update('10.9.9.9:5')), '10.9.9.9:5')
      node.receive(packet('pingReq', { seq: n, destination: host(2) }), '10.9.9.9:5')
    }
    expect(network.sent.length).toBeLessThanOrEqual(200 + 1000)
    expect(node.drops.get('rate-limited')).toBe(10_000 - 200 - 1000)
    await vi.advanceTimersByTimeAsync(1000)
    network.sent.length = 0
    node.receive(packet('sync', update('10.9.9.9:5')), '10.9.9.9:5')
    expect(network.sent.some(({ to }) => to === '10.9.9.9:5')).toBe(true)
  })

  test('takes in only so many members, and keeps only so many that are gone', () => {
    const node = network.add(1)
    for (let n = 0; n < 5000; n++) {
      const invented = `10.1.${n >> 8}.${n & 255}:1`
      node.receive(packet('update', update(invented)), '10.9.9.9:5')
      if (n % 2 === 0) {
        const gone = { state: 2, incarnation: 2, meta: { ServicePort: '1', Left: true } }
        node.receive(packet('update', update(invented, gone)), '10.9.9.9:5')
      }
    }
    const members = node.members()
    expect(node.liveHosts).toHaveLength(50)
    expect(members.filter(({ state }) => state === 'left').length).toBeLessThanOrEqual(20)
    expect(node.drops.get('member-limit')).toBeGreaterThan(4000)
  })

  test('removes invented members again', async () => {
    const node = network.add(1)
    for (let n = 0; n < 20; n++) node.receive(packet('update', update(`10.1.0.${n}:1`)), '10.9.9.9:5')
    expect(node.liveHosts).toHaveLength(20)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(node.liveHosts).toEqual([])
    await vi.advanceTimersByTimeAsync(400_000)
    expect(node.members()).toHaveLength(1)
  })

  test('ignores who claims its own address', () => {
    const node = network.add(1)
    node.receive(packet('sync', update(host(1), { incarnation: Date.now() + 5 })), '10.9.9.9:5')
    expect(node.drops.get('self-address')).toBe(1)
    expect(network.sent).toEqual([])
  })

  test('an exchange gives a member whole, however long the list', async () => {
    const node = network.add(1)
    for (let n = 2; n < 50; n++) {
      const meta = { ServicePort: '8000', Name: `m${n}`, Zone: 'z'.repeat(400) }
      node.receive(packet('update', update(host(n), { meta })), host(n))
    }
    await settleNetwork()
    network.sent.length = 0
    node.receive(packet('sync', update(host(99))), host(99))
    const answers = network.sent.filter(({ to }) => to === host(99))
    expect(Math.max(...answers.map(({ bytes }) => bytes.byteLength))).toBeLessThanOrEqual(1401)
    const told = answers.flatMap(({ bytes }) => messagesIn(bytes))
    expect(new Set(told.map(({ data }) => ('host' in data ? data.host : ''))).size).toBe(50)
  })

  test('a bad part keeps the good ones from counting, and is counted once', () => {
    const node = network.add(1)
    const good = packet('update', update(host(2)))
    node.receive(compound(good, packet('ping', { seq: -1 })), host(2))
    expect(node.liveHosts).toEqual([])
    expect([...node.drops]).toEqual([['seq-invalid', 1]])
  })

  test('second-hand news of a death becomes a suspicion; a leave is believed', async () => {
    const node = network.add(1)
    const state = (n: number) => node.members().find((member) => member.host === host(n))?.state
    for (const n of [2, 3]) node.receive(packet('update', update(host(n))), host(n))
    node.receive(packet('update', update(host(2), { state: 2 })), host(9))
    node.receive(packet('update', update(host(3), { state: 2, meta: { Left: true } })), host(9))
    expect(state(2)).toBe('suspect')
    expect(state(3)).toBe('left')
    node.receive(packet('update', update(host(2), { state: 2 })), host(9))
    await vi.advanceTimersByTimeAsync(2400)
    expect(state(2)).toBe('suspect')
    await vi.advanceTimersByTimeAsync(200)
    expect(state(2)).toBe('dead')
  })

  test('denies at once, to whoever holds it for suspect or dead', () => {
    const node = network.add(1)
    for (const state of [1, 2]) {
      network.sent.length = 0
      const { incarnation } = node.members()[0] ?? { incarnation: 0 }
      node.receive(packet('update', update(host(1), { state, incarnation })), host(5))
      const denial = network.sent.filter(({ to }) => to === host(5)).flatMap(({ bytes }) => messagesIn(bytes))
      expect(denial).toMatchObject([
        { kind: 'update', data: { host: host(1), state: 0, incarnation: incarnation + 1 } },
      ])
      // Counted as held for dead only where it was (2), and once for each incarnation.
      node.receive(packet('update', update(host(1), { state, incarnation })), host(5))
      expect(node.traffic).toMatchObject({ refutations: state, heldDead: state - 1 })
    }
  })

  test('does not deny that it left, but says so again', () => {
    const node = network.add(1)
    void node.leave()
    for (const state of [0, 1, 2]) {
      network.sent.length = 0
      const { incarnation } = node.members()[0] ?? { incarnation: 0 }
      node.receive(packet('update', update(host(1), { state, incarnation: incarnation + 1 })), host(5))
      for (const message of network.sent.flatMap(({ bytes }) => messagesIn(bytes))) {
        expect(message).toMatchObject({
          kind: 'update',
          data: { host: host(1), state: 2, meta: { Left: true } },
        })
      }
      expect(network.sent.length).toBe(state === 0 ? 0 : 1)
      expect(node.members()[0]?.state).toBe('left')
    }
    expect(node.traffic).toMatchObject({ refutations: 0, heldDead: 0 })
  })

  test('tells a member that speaks that it is held dead, now and then; one that left it does not', async () => {
    const node = network.add(1)
    for (const n of [2, 3]) node.receive(packet('update', update(host(n))), host(n))
    node.receive(packet('update', update(host(2), { state: 2 })), host(9))
    node.receive(packet('update', update(host(3), { state: 2, meta: { Left: true } })), host(9))
    await vi.advanceTimersByTimeAsync(3000)
    const deaths = () => {
      const found = network.sent.flatMap(({ bytes, to }) =>
        messagesIn(bytes).length === 1 ? messagesIn(bytes).map((message) => ({ message, to })) : [],
      )
      return found.filter(({ message, to }) => message.kind === 'update' && message.data.host === to)
    }
    network.sent.length = 0
    for (let n = 0; n < 10; n++) {
      node.receive(packet('ping', { seq: n }), host(2))
      node.receive(packet('ping', { seq: n }), host(3))
    }
    expect(deaths()).toMatchObject([{ to: host(2), message: { data: { state: 2 } } }])
    await vi.advanceTimersByTimeAsync(600)
    network.sent.length = 0
    node.receive(packet('ping', { seq: 99 }), host(2))
    expect(deaths()).toHaveLength(1)
  })

  test('does not believe its own timers when it stood still, but does not excuse for ever either', async () => {
    let stalledMs = 0
    const node = network.add(1, [], { stalledMs: () => stalledMs })
    const state = () => node.members().find((member) => member.host === host(2))?.state
    node.receive(packet('update', update(host(2))), host(2))
    for (let passedMs = 0; passedMs < 2250; passedMs += 250) {
      expect(state()).toBe('alive')
      stalledMs += 500
      await vi.advanceTimersByTimeAsync(250)
    }
    for (let passedMs = 0; passedMs < 10_000; passedMs += 250) {
      stalledMs += 500
      await vi.advanceTimersByTimeAsync(250)
    }
    expect(state()).toBe('dead')
  })

  test('after stop it says nothing and holds no timer', async () => {
    const node = network.add(1)
    for (const n of [2, 3, 4]) node.receive(packet('update', update(host(n))), host(n))
    node.receive(packet('update', update(host(2), { state: 1 })), host(3))
    node.receive(packet('pingReq', { seq: 1, destination: host(3) }), host(4))
    await vi.advanceTimersByTimeAsync(700)
    const leaving = node.leave()
    node.stop()
    node.stop()
    await leaving
    network.sent.length = 0
    await vi.advanceTimersByTimeAsync(10)
    expect(vi.getTimerCount()).toBe(0)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(network.sent).toEqual([])
  })
})
