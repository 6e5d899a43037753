import { createRequire } from 'node:module'
import { MESSAGE_TYPE } from '../../src/membership/swim/datagram-guard.ts'

const require = createRequire(import.meta.url)

/** The encoder that npm `swim` itself uses. */
const { pack } = createRequire(require.resolve('swim'))('msgpack') as { pack(value: unknown): Buffer }

/** A MessagePack value as the library encodes it. */
export const packBody = (value: unknown): Buffer => Buffer.from(pack(value))

/** One message: type byte and body. */
export function packet(type: keyof typeof MESSAGE_TYPE | number, body: unknown): Buffer {
  return rawPacket(type, packBody(body))
}

/** One message with a body of any bytes. */
export function rawPacket(type: keyof typeof MESSAGE_TYPE | number, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(typeof type === 'number' ? type : MESSAGE_TYPE[type]), body])
}

/** A compound of messages. */
export function compound(...parts: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(3)
  header.writeUInt16LE(parts.length, 1)
  return Buffer.concat([
    header,
    ...parts.flatMap((part) => {
      const length = Buffer.alloc(2)
      length.writeUInt16LE(part.byteLength)
      return [length, part]
    }),
  ])
}

/** The body of an update or a sync. */
export function update(
  host: string,
  fields: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return { meta: { ServicePort: '8000', Name: host }, host, state: 0, incarnation: 1, ...fields }
}
