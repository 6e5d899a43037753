import { assertNever } from '../../src/errors.ts'
import type { Message } from '../../src/membership/memberlist/wire/messages.ts'

/** About what a message takes encoded: field names, headers and values as msgpack writes them. */
export function estimateSize(message: Message): number {
  switch (message.kind) {
    case 'ping':
      return 20 + message.node.length + (message.source === undefined ? 0 : 50 + message.source.node.length)
    case 'indirect-ping':
      return 45 + message.node.length + (message.source === undefined ? 0 : 50 + message.source.node.length)
    case 'ack':
      return 25 + message.payload.length
    case 'nack':
      return 14
    case 'suspect':
    case 'dead':
      return 35 + message.node.length + message.from.length + clusterSize(message)
    case 'alive':
      return 62 + message.node.length + message.address.length + message.meta.length + clusterSize(message)
    case 'user':
      return 1 + message.payload.length
    default:
      return assertNever(message)
  }
}

function clusterSize({ clusterName }: { readonly clusterName?: string }): number {
  return clusterName === undefined ? 0 : 14 + clusterName.length
}

/** What messages take in one datagram, as a compound. */
export function sizeOfPacket(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + 2 + estimateSize(message), 2)
}
