import type { Message, Ping, PushPull } from '../wire/messages.ts'
import type { ExchangeFailure } from './effects.ts'
import type { Endpoint } from './endpoint.ts'

/** Everything that can happen to the machine. The shell turns sockets, timers and calls into these. */
export type ProtocolEvent =
  /** The first event, once: this member becomes alive and the rounds begin. Events before it are ignored. */
  | { readonly kind: 'start' }
  /** The time has come that `Protocol.nextDueMs` named. An early or a needless tick does no harm. */
  | { readonly kind: 'tick' }
  /**
   * The messages of one datagram, unpacked (compound, checksum, compression, encryption, label are the shell's and
   * the wire layer's), in their order.
   */
  | {
      readonly kind: 'packet-received'
      readonly from: Endpoint
      /** Payload as it came, before anything was unpacked. */
      readonly sizeBytes: number
      readonly messages: readonly Message[]
    }
  /** Ends what the effect `start-stream-probe` began. An unknown or late `probe` is ignored. */
  | { readonly kind: 'stream-probe-finished'; readonly probe: number; readonly outcome: StreamProbeOutcome }
  /** A peer opened a stream and sent a ping on it. Answered by `answer-stream-ping` or `refuse-stream`. */
  | {
      readonly kind: 'stream-ping-received'
      /** The shell's number for the stream. */
      readonly stream: number
      readonly ping: Ping
    }
  /** A peer opened a stream and sent its state. Answered by `answer-push-pull` or `refuse-stream`. */
  | {
      readonly kind: 'push-pull-received'
      /** The shell's number for the stream. */
      readonly stream: number
      readonly from: Endpoint
      readonly state: PushPull
    }
  /** The peer of a `start-push-pull` sent its state back. An unknown or late `exchange` is ignored. */
  | { readonly kind: 'push-pull-answered'; readonly exchange: number; readonly state: PushPull }
  /** A `start-push-pull` came to nothing. An unknown or late `exchange` is ignored. */
  | (ExchangeFailure & { readonly kind: 'push-pull-failed'; readonly exchange: number })
  /**
   * The seeds are these from now on (the shell resolves names, again and again, and repeats this event). Those
   * that are not alive here are contacted at once, and later at intervals, forever. This member's own endpoint is
   * skipped. Ends in `join-finished`.
   */
  | { readonly kind: 'join'; readonly seeds: readonly Endpoint[] }
  /** Leave the cluster, telling the others. Ends in `left`; asked twice, it ends once. */
  | { readonly kind: 'leave' }
  /** This member's metadata is now `meta`, at most 512 bytes: its incarnation rises and the others are told. */
  | { readonly kind: 'update-metadata'; readonly meta: Uint8Array }
  /** Spread these bytes to every member, best effort. Ends in `broadcast-finished`. */
  | {
      readonly kind: 'broadcast'
      /** The caller's number for it. */
      readonly id: number
      readonly payload: Uint8Array
      /** A later broadcast with the same topic takes the place of this one in the queue. */
      readonly topic?: string | undefined
    }
  /** Send these bytes to one member's application, in a packet that may be lost. */
  | { readonly kind: 'send-message'; readonly to: Endpoint; readonly payload: Uint8Array }
  /** Somebody who knows better than gossip says that a living member at this address is gone: it is dead from now on. */
  | {
      readonly kind: 'declare-dead'
      readonly name: string
      /** One that is elsewhere by now is left alone. */
      readonly address: string
    }
  /** An operator takes a member that is dead, or left, off the list now. */
  | { readonly kind: 'forget'; readonly name: string }
  /** An operator evicts a member: it is dead from now on, and nobody of its name is taken for a time. */
  | { readonly kind: 'evict'; readonly name: string; readonly forMs: number }
  /** Kubernetes says that the pod of a member at this address is not ready: evidence, if the member is suspected. */
  | { readonly kind: 'pod-unready'; readonly name: string; readonly address: string }
  /** An operator asks by which ways a member answers. Ends in `reach-checked`. */
  | {
      readonly kind: 'check-reach'
      /** The caller's number for it. */
      readonly id: number
      readonly name: string
    }

/**
 * How a probe over TCP ended: `acked` with the right sequence number in time; `refused` when the host answered
 * that nothing listens there (ECONNREFUSED); `failed` for all else (timeout, reset, unreachable, no ack).
 */
export type StreamProbeOutcome = 'acked' | 'refused' | 'failed'
