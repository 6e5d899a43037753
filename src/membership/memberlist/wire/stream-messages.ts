import type { Ack, Ping, PushPull, UserMessage } from './messages.ts'

/** What a TCP connection carries: one message each way. */
export type StreamMessage = Ping | Ack | UserMessage | PushPullMessage | ErrorMessage

/** The whole state of a member; answered by its peer's. */
export interface PushPullMessage {
  readonly kind: 'push-pull'
  readonly pushPull: PushPull
}

/** Why the peer refused, in its words, which only people read. */
export interface ErrorMessage {
  readonly kind: 'error'
  readonly text: string
}

/**
 * Who sends: only the side that dialled puts a label header first. What comes back has none, though the label
 * protects it all the same when it is encrypted.
 */
export type StreamRole = 'request' | 'response'
