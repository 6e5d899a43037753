import { describe, expect, test } from 'vitest'
import { Leave } from '../../../../src/membership/memberlist/protocol/leave.ts'
import type { ProtocolSettings } from '../../../../src/membership/memberlist/protocol/settings.ts'
import { CoreBench } from './core-bench.ts'
import { dead, endpointOf } from './machine.ts'

/** `m1`, which leaves `m2` to `m<count>` at 1000 ms. */
class LeaveBench extends CoreBench {
  left = 0
  isUnlisted = false
  readonly leave: Leave

  constructor(count: number, settings: Partial<ProtocolSettings> = {}) {
    super(settings)
    this.members(count)
    this.leave = new Leave(this.core, this, () => this.left++)
  }

  /** Each of these acks the last ping that it got. */
  ack(...from: number[]): void {
    for (const n of from) {
      const { message } = this.sent('ping').findLast(({ to }) => to === n)!
      this.core.pending.get(message.seqNo)?.acked(new Uint8Array(0), endpointOf(n), [])
    }
  }

  end() {
    return this.of('left').map(({ acknowledgedBy, others }) => [acknowledgedBy, others])
  }
}

describe('a leave', () => {
  test('is told at once, queued as news, and pressed on three, each gossip interval on those that have not acked', () => {
    const bench = new LeaveBench(6)
    bench.leave.start()
    expect(bench.core).toMatchObject({ leaving: true, self: { state: 'left', sinceMs: 1000 } })
    expect(bench.of('member-changed')).toMatchObject([
      { change: 'left', member: { name: 'm1', state: 'left' } },
    ])
    expect(bench.core.queue.count).toBe(1)
    const pressed = () => {
      const packets = bench.of('send-packet')
      for (const { messages } of packets)
        expect(messages.slice(0, 2)).toMatchObject([{ kind: 'ping' }, dead(1, 1, 'm1')])
      return packets.map(({ to }) => Number(to.address.slice(7)))
    }
    const first = pressed()
    expect(new Set(first).size).toBe(3)
    bench.ack(first[0]!)
    bench.clear()
    bench.run(199)
    expect(pressed()).toEqual([])
    bench.run(1)
    const second = pressed()
    expect(second).toHaveLength(3)
    expect(second).not.toContain(first[0])
    expect(bench.end()).toEqual([])
    bench.ack(second[0]!)
    expect(bench.left).toBe(0)
    bench.ack(second[1]!)
    expect(bench.end()).toEqual([[3, 5]])
    expect(bench.left).toBe(1)
    bench.clear()
    bench.run(10_000)
    expect(bench.effects).toEqual([])
    bench.leave.start()
    expect(bench.take()).toEqual([])
  })

  test.each([
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 3],
  ])('of %i members needs %i acks', (count, wanted) => {
    const bench = new LeaveBench(count)
    bench.leave.start()
    for (let n = 2; n < 2 + wanted; n++) {
      expect(bench.left).toBe(0)
      bench.ack(n)
    }
    expect(bench.end()).toEqual([[wanted, count - 1]])
    expect(bench.left).toBe(1)
  })

  test('that is over is not pressed on one that came later', () => {
    const bench = new LeaveBench(3)
    bench.leave.start()
    bench.ack(2, 3)
    bench.member(4)
    bench.clear()
    bench.run(1000)
    expect(bench.effects).toEqual([])
  })

  test('needs no more acks than there are members left', () => {
    const bench = new LeaveBench(3)
    bench.leave.start()
    bench.ack(2)
    bench.core.members.setState(bench.core.members.get('m3')!, 'dead', bench.nowMs)
    expect(bench.left).toBe(0)
    bench.run(200)
    expect(bench.end()).toEqual([[1, 2]])
  })

  test('ends when its time is over, once, with those acks that came', () => {
    const bench = new LeaveBench(6, { gossipIntervalMs: 1000, probeIntervalMs: 10_000 })
    bench.leave.start()
    bench.ack(bench.sent('ping')[0]!.to)
    bench.run(4999)
    expect(bench.end()).toEqual([])
    bench.run(1)
    expect(bench.end()).toEqual([[1, 5]])
    bench.ack(...new Set(bench.sent('ping').map(({ to }) => to)))
    bench.run(10_000)
    expect(bench.end()).toEqual([[1, 5]])
    expect(bench.left).toBe(1)
  })

  test('is not pressed on the others where they list another process of the name', () => {
    const bench = new LeaveBench(3)
    bench.isUnlisted = true
    bench.leave.start()
    expect(bench.core.self.state).toBe('left')
    expect(bench.core.queue.count).toBe(0)
    expect(bench.of('send-packet')).toEqual([])
    expect(bench.end()).toEqual([[0, 2]])
    expect(bench.left).toBe(1)
  })
})
