import { Distribution } from '../../distribution.ts'
import {
  createTwoWayCount,
  PROBE_BOUNDS_SECONDS,
  PUSH_PULL_BOUNDS_BYTES,
  PUSH_PULL_BOUNDS_SECONDS,
  type TwoWayCount,
} from '../statistics.ts'
import type { ProbeFinishedEffect } from './protocol/effects.ts'
import type { Message, StreamMessage } from './wire/messages.ts'

type MessageKind = Message['kind'] | StreamMessage['kind']
type Direction = keyof TwoWayCount

/** What the shell counts of a member's gossip, beside what the machine counts itself. Only ever rising. */
export class GossipTraffic {
  /** Datagrams sent; datagrams received and taken. */
  readonly packets = createTwoWayCount()
  readonly messages = createMessageCounts()
  readonly messageBytes = createMessageCounts()
  /** Payload on the sockets. */
  readonly bytes = { udp: createTwoWayCount(), tcp: createTwoWayCount() }
  /** Probes by the way their answer came. */
  readonly probes = { direct: 0, relay: 0, stream: 0, failed: 0 }
  readonly probeSeconds = new Distribution(PROBE_BOUNDS_SECONDS)
  readonly pushPullSeconds = new Distribution(PUSH_PULL_BOUNDS_SECONDS)
  readonly pushPullBytes = {
    sent: new Distribution(PUSH_PULL_BOUNDS_BYTES),
    received: new Distribution(PUSH_PULL_BOUNDS_BYTES),
  }
  conflicts = 0
  /** When something was taken from another member last, in the clock's `now`. */
  heardAtMs: number | undefined

  /** Counts a message in a datagram, or in an envelope that stands for one. */
  addMessage(direction: Direction, kind: MessageKind, sizeBytes: number): void {
    this.messages[kind][direction]++
    this.messageBytes[kind][direction] += sizeBytes
  }

  /** Counts the message of a stream, by the bytes of the stream. */
  addStream(direction: Direction, kind: StreamMessage['kind'], sizeBytes: number): void {
    this.addMessage(direction, kind, sizeBytes)
    if (kind === 'push-pull') this.pushPullBytes[direction].add(sizeBytes)
  }

  addProbe({ via, durationMs }: Pick<ProbeFinishedEffect, 'via' | 'durationMs'>): void {
    this.probes[via === 'none' ? 'failed' : via]++
    if (via === 'direct') this.probeSeconds.add(durationMs / 1000)
  }
}

function createMessageCounts(): Record<MessageKind, TwoWayCount> {
  return {
    ping: createTwoWayCount(),
    'indirect-ping': createTwoWayCount(),
    ack: createTwoWayCount(),
    nack: createTwoWayCount(),
    alive: createTwoWayCount(),
    suspect: createTwoWayCount(),
    dead: createTwoWayCount(),
    user: createTwoWayCount(),
    'push-pull': createTwoWayCount(),
    error: createTwoWayCount(),
  }
}
