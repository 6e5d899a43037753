import { decodePacket, type MessageListener, type PacketResult } from './wire/packet-decoder.ts'
import { encodePacket, type PacketPart } from './wire/packet-encoder.ts'

/** Begins a user message that carries a packet: no application's message begins like this by chance. */
const MAGIC = new TextEncoder().encode('\0ringman packet\x01')

/**
 * Puts the messages of a packet into a user message for a stream: how members without UDP gossip. Go members
 * hand it to their delegate, which ignores what it does not know; they hear the same from push/pulls.
 *
 * @param gossipPort - Where answers are to go, at the address that the stream comes from; 1 to 65535.
 */
export function wrapInEnvelope(messages: readonly PacketPart[], gossipPort: number): Uint8Array {
  const packet = encodePacket(messages, { compression: false, crc: false, label: '' })
  const payload = new Uint8Array(MAGIC.length + 2 + packet.length)
  payload.set(MAGIC)
  new DataView(payload.buffer).setUint16(MAGIC.length, gossipPort)
  payload.set(packet, MAGIC.length + 2)
  return payload
}

/**
 * @param onMessage - Called for each message in it.
 * @returns undefined for a user message that is no envelope.
 */
export function tryOpenEnvelope(
  payload: Uint8Array,
  onMessage?: MessageListener,
): { readonly gossipPort: number; readonly packet: PacketResult } | undefined {
  if (payload.length < MAGIC.length + 2 || !MAGIC.every((byte, index) => payload[index] === byte))
    return undefined
  const gossipPort = new DataView(payload.buffer, payload.byteOffset).getUint16(MAGIC.length)
  const packet = decodePacket(
    payload.subarray(MAGIC.length + 2),
    { keyring: [], requireEncryption: false, label: '' },
    onMessage,
  )
  return { gossipPort, packet }
}
