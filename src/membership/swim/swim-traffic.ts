import { createTwoWayCount, type GossipDropReason } from '../statistics.ts'
import {
  DATAGRAM_FAULTS,
  MESSAGE_TYPE,
  splitCompound,
  type DatagramFault,
  type SwimMessage,
} from './datagram-guard.ts'

/** What is counted of one process's datagrams. Only ever rising. */
export class SwimTraffic {
  readonly packets = createTwoWayCount()
  readonly bytes = createTwoWayCount()
  readonly messages = {
    ping: createTwoWayCount(),
    'indirect-ping': createTwoWayCount(),
    ack: createTwoWayCount(),
    sync: createTwoWayCount(),
    update: createTwoWayCount(),
  }
  suspicions = 0
  refutations = 0
  heldDead = 0
  declaredDead = 0
  /** When a datagram was taken last, in the clock's `now`. */
  heardAtMs: number | undefined

  /** Counts a datagram of our own, as it is sent. */
  addSent(datagram: Uint8Array): void {
    this.packets.sent++
    this.bytes.sent += datagram.byteLength
    if (datagram[0] !== MESSAGE_TYPE.compound) this.#addSentMessage(datagram[0])
    else for (const part of splitCompound(datagram) ?? []) this.#addSentMessage(part[0])
  }

  /** Counts a datagram that was taken. Its bytes count before it is known whether it is. */
  addTaken(messages: readonly SwimMessage[], nowMs: number): void {
    this.packets.received++
    this.heardAtMs = nowMs
    for (const { kind } of messages) this.messages[kind === 'ping-req' ? 'indirect-ping' : kind].received++
  }

  #addSentMessage(type: number | undefined): void {
    const name = type === undefined ? undefined : NAMES.get(type)
    if (name !== undefined) this.messages[name].sent++
  }
}

type MessageName = keyof SwimTraffic['messages']

const NAMES: ReadonlyMap<number, MessageName> = new Map([
  [MESSAGE_TYPE.ping, 'ping'],
  [MESSAGE_TYPE.pingReq, 'indirect-ping'],
  [MESSAGE_TYPE.ack, 'ack'],
  [MESSAGE_TYPE.sync, 'sync'],
  [MESSAGE_TYPE.update, 'update'],
])

/** Drops by shared reason, all of them that there can be. */
export function sharedDrops(
  drops: ReadonlyMap<DatagramFault, number>,
): Partial<Record<GossipDropReason, number>> {
  const shared: Partial<Record<GossipDropReason, number>> = {}
  for (const [reason, name] of Object.entries(DATAGRAM_FAULTS) as [DatagramFault, GossipDropReason][]) {
    shared[name] = (shared[name] ?? 0) + (drops.get(reason) ?? 0)
  }
  return shared
}
