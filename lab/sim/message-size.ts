import { assertNever } from '../../src/errors.ts'
import type { Message, PingSource } from '../../src/membership/memberlist/wire/messages.ts'

/** What a message takes encoded, and up to 32 bytes more: field names, headers and values as msgpack writes them. */
export function estimateSize(message: Message): number {
  switch (message.kind) {
    case 'ping':
      return 22 + sizeOfText(message.node) + sizeOfSource(message.source)
    case 'indirect-ping':
      return 44 + message.target.length + sizeOfText(message.node) + sizeOfSource(message.source)
    case 'ack':
      return 25 + message.payload.length
    case 'nack':
      return 14
    case 'suspect':
    case 'dead':
      return 38 + sizeOfText(message.node) + sizeOfText(message.from) + clusterSize(message)
    case 'alive':
      return (
        66 + sizeOfText(message.node) + message.address.length + message.meta.length + clusterSize(message)
      )
    case 'user':
      return 1 + message.payload.length
    default:
      return assertNever(message)
  }
}

function clusterSize({ clusterName }: { readonly clusterName?: string }): number {
  return clusterName === undefined ? 0 : 14 + sizeOfText(clusterName)
}

/** What messages take in one datagram, as a compound. */
export function sizeOfPacket(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + 2 + estimateSize(message), 2)
}

function sizeOfSource(source: PingSource | undefined): number {
  return source === undefined ? 0 : 40 + source.address.length + sizeOfText(source.node)
}

function sizeOfText(text: string): number {
  return Buffer.byteLength(text)
}
