import { isIP } from 'node:net'
import type { Tracer } from '@opentelemetry/api'
import { configInvalid } from '../../errors.ts'
import type { Basics } from '../../basics.ts'
import type { NetworkInterfaces } from '../advertised-address.ts'
import { checkMetadata, isPlainText } from '../member.ts'
import type { MemberlistDelegate } from './delegate.ts'
import type { Keyring } from './keyring.ts'
import type { Preset, ProtocolSettings } from './protocol/settings.ts'
import type { StreamServerLimits } from './stream-server.ts'
import { MAX_LABEL_BYTES, MAX_NAME_BYTES } from './wire/limits.ts'

/** Every IPv4 address. */
export const DEFAULT_BIND_HOST = '0.0.0.0'

/** How a `MemberlistNode` is made. */
export interface MemberlistNodeOptions extends Basics {
  /** Unique in the cluster, 1 to 255 characters. */
  readonly name: string
  /** At most 512 bytes. @default empty */
  readonly meta?: Uint8Array
  /** IP literal to bind to; `0.0.0.0` for every IPv4 address, `::` for every address. @default '0.0.0.0' */
  readonly bindHost?: string
  /** UDP and TCP; 0 takes a free one. @default 7946 */
  readonly gossipPort?: number
  /** IP literal that others are told. @default found by itself where there is one candidate */
  readonly advertise?: string | undefined
  /** Port that others are told. @default the gossip port */
  readonly advertisePort?: number | undefined
  /** @default 'lan' */
  readonly preset?: Preset
  /** Over the preset's. */
  readonly settings?: Partial<ProtocolSettings>
  /** The cluster name of the Nitro fork; undefined for stock memberlist. */
  readonly clusterName?: string | undefined
  /** Who may gossip with whom: peers with another label are not heard. @default '' (none) */
  readonly label?: string | undefined
  /** Whether a label header of peers is checked elsewhere. @default false */
  readonly skipInboundLabelCheck?: boolean
  /** With keys, what is sent is encrypted. @default none */
  readonly keyring?: Keyring
  /** With keys: whether plain bytes of peers are dropped. False while encryption is being introduced. @default true */
  readonly requireEncryption?: boolean
  /** With keys: whether what is sent is encrypted. False while encryption is being introduced. @default true */
  readonly encryptOutgoing?: boolean
  /** Compress what becomes smaller by it, with LZW as Go does. @default true */
  readonly compression?: boolean
  /** Largest datagram sent, in bytes. @default 1400 */
  readonly maxPacketBytes?: number
  /** Never use UDP: for networks that drop it. Probes and gossip go over TCP then. @default false */
  readonly tcpOnly?: boolean
  readonly delegate?: MemberlistDelegate
  /** See `Dependencies.isWitness`. @default nobody looks for suspects, unless the settings say so */
  readonly isWitness?: (meta: Uint8Array) => boolean
  readonly streamLimits?: Partial<StreamServerLimits>
  /** @default none */
  readonly tracer?: Tracer
  /** @default what the operating system says */
  readonly interfaces?: () => NetworkInterfaces
}

/** @throws {RingmanError} `CONFIG_INVALID`, `METADATA_TOO_LARGE`: what a node cannot be started with. */
export function checkOptions(options: MemberlistNodeOptions, bindHost: string, meta: Uint8Array): void {
  const { name, label = '', clusterName = '' } = options
  if (name.length > 255 || !name.isWellFormed() || !isPlainText(name)) {
    throw configInvalid(
      `the name ${JSON.stringify(name.slice(0, 64))} has ${name.length} characters; 1 to 255 are allowed, none of them a control character`,
    )
  }
  checkBytes('label', label, MAX_LABEL_BYTES)
  checkBytes('cluster name', clusterName, MAX_NAME_BYTES)
  if (isIP(bindHost) === 0) {
    throw configInvalid(`cannot bind to "${bindHost}": an IP address is allowed`)
  }
  checkMetadata(meta)
}

function checkBytes(what: string, text: string, max: number): void {
  const bytes = Buffer.byteLength(text)
  if (bytes > max || !text.isWellFormed()) {
    throw configInvalid(`the ${what} takes ${bytes} bytes of UTF-8; at most ${max} are allowed`)
  }
}
