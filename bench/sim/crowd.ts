import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { PRESETS } from '../../src/membership/memberlist/protocol/settings.ts'
import type { PushPullNode } from '../../src/membership/memberlist/wire/messages.ts'
import { seededRandom } from '../../lab/sim/seeded-random.ts'
import { SimClock } from '../../lab/sim/sim-clock.ts'
import { SimMember } from '../../lab/sim/sim-member.ts'
import { SimNetwork } from '../../lab/sim/sim-network.ts'

/** What one member among very many costs. */
export interface CrowdCost {
  readonly packetsPerSecond: number
  readonly pushPullsPerMinute: number
  /** Taking the whole state once. */
  readonly takeStateMs: number
  /** Processor time for each second of the member's life when nothing happens. */
  readonly cpuMsPerSecond: number
  readonly heapBytesPerMember: number
}

/**
 * One machine that knows `count` others, which do nothing but ack pings: a table of each with each would not fit
 * into memory.
 */
export function crowd(count: number): CrowdCost {
  const clock = new SimClock()
  const network = new SimNetwork(clock, seededRandom(1))
  const vsn = Uint8Array.of(1, 5, 2, 0, 0, 0)
  const nodes: PushPullNode[] = []
  for (let i = 0; i < count; i++) {
    const endpoint = { address: `10.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`, port: 7946 }
    nodes.push({
      name: `node-${i}`,
      address: Uint8Array.from(endpoint.address.split('.').map(Number)),
      port: endpoint.port,
      meta: new Uint8Array(0),
      incarnation: 1,
      state: 0,
      vsn,
    })
    network.listen(endpoint, {
      packet: (from, messages) => {
        for (const message of messages) {
          if (message.kind !== 'ping') continue
          network.sendPacket(endpoint, from, [
            { kind: 'ack', seqNo: message.seqNo, payload: new Uint8Array(0) },
          ])
        }
      },
      streamPing: (ping, answer) => {
        answer({ kind: 'ack', seqNo: ping.seqNo, payload: new Uint8Array(0) })
      },
      pushPull: (_, state, answer) => {
        answer({ ...state, join: false, nodes: [] })
      },
    })
  }
  const member = new SimMember(clock, network, seededRandom(2), {
    name: 'self',
    endpoint: { address: '10.0.0.1', port: 7946 },
    settings: PRESETS.lan,
  })
  member.start([])
  const heapBefore = heapBytes()
  const startedMs = performance.now()
  const state = { join: false, nodes, userState: new Uint8Array(0) }
  member.handle({ kind: 'push-pull-received', stream: 0, from: { address: '10.1.0.0', port: 7946 }, state })
  const takeStateMs = performance.now() - startedMs
  // Until all of that was sent on.
  while (member.protocol.queuedCount > 0) clock.runUntil(clock.nowMs + 10_000)
  const heapBytesPerMember = (heapBytes() - heapBefore) / count
  const seconds = 600
  const { packetsSent, pushPullsStarted } = member.protocol.counters
  const cpu = process.cpuUsage()
  clock.runUntil(clock.nowMs + seconds * 1000)
  const { user, system } = process.cpuUsage(cpu)
  return {
    packetsPerSecond: (member.protocol.counters.packetsSent - packetsSent) / seconds,
    pushPullsPerMinute: ((member.protocol.counters.pushPullsStarted - pushPullsStarted) / seconds) * 60,
    takeStateMs,
    cpuMsPerSecond: (user + system) / 1000 / seconds,
    heapBytesPerMember,
  }
}

/** What is in use, after a collection. */
function heapBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  return process.memoryUsage().heapUsed
}
