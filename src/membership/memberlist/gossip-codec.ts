import { randomFillSync } from 'node:crypto'
import { getOrMake } from '../../get-or-make.ts'
import type { Keyring } from './keyring.ts'
import type { MemberlistNodeOptions } from './node-options.ts'
import { NONCE_BYTES, type Encryption } from './wire/encryption.ts'
import { encodeMessage } from './wire/message-codec.ts'
import type { Message, StreamMessage, StreamRole } from './wire/messages.ts'
import {
  decodePacket,
  type MessageListener,
  type PacketResult,
  type Reception,
} from './wire/packet-decoder.ts'
import { encodePackets, packetRoomBytes, type PacketEncoding } from './wire/packet-encoder.ts'
import type { StreamReception } from './wire/stream-decoder.ts'
import { encodeStream } from './wire/stream-encoder.ts'

/** Nonces made at once: asking for randomness costs more than making a few more bytes of it. */
const NONCES_PER_FILL = 128

/** Turns messages into what goes over the network and back: label, keyring, compression, checksum. */
export class GossipCodec {
  readonly #options: MemberlistNodeOptions
  #labels: readonly string[]
  readonly #encoded = new WeakMap<Message, Uint8Array>()
  readonly #nonces = new Uint8Array(NONCES_PER_FILL * NONCE_BYTES)
  #nextNonceAt = NONCES_PER_FILL * NONCE_BYTES
  #keyring: Keyring
  #reception: Reception
  #encryption: Encryption | undefined

  constructor(options: MemberlistNodeOptions) {
    this.#options = options
    this.#labels = [options.label ?? '']
    this.#keyring = options.keyring ?? []
    this.#reception = this.#makeReception()
    this.#encryption = this.#makeEncryption()
  }

  get keyring(): Keyring {
    return this.#keyring
  }

  /** Whether nothing is taken that is not encrypted with one of the keys. */
  get isKeyed(): boolean {
    return this.#keyring.length > 0 && (this.#options.requireEncryption ?? true)
  }

  setKeyring(keyring: Keyring): void {
    this.#keyring = keyring
    this.#reception = this.#makeReception()
    this.#encryption = this.#makeEncryption()
  }

  get labels(): readonly string[] {
    return this.#labels
  }

  setLabels(labels: readonly string[]): void {
    this.#labels = labels
    this.#reception = this.#makeReception()
  }

  get #label(): string {
    return this.#labels[0] ?? ''
  }

  /** Bytes that the messages of a datagram may take, compound framing included. */
  get packetBudgetBytes(): number {
    return packetRoomBytes(this.#packetEncoding(true))
  }

  /** Bytes of a message as encoded, alone. What is sent often is encoded once. */
  readonly sizeOf = (message: Message): number => this.#encode(message).length

  /** @param crc - Whether the peer knows checksums: its highest protocol version is 5 or more. */
  encodePackets(messages: readonly Message[], crc: boolean): Uint8Array[] {
    return encodePackets(
      messages.map((message) => this.#encode(message)),
      this.#packetEncoding(crc),
    )
  }

  decodePacket(datagram: Uint8Array, onMessage?: MessageListener): PacketResult {
    return decodePacket(datagram, this.#reception, onMessage)
  }

  /** @param label - Of an answer: the one that the request came with. */
  encodeStream(
    message: StreamMessage,
    role: StreamRole,
    label: string | Uint8Array = this.#label,
  ): Uint8Array {
    return encodeStream(message, {
      role,
      compression: this.#options.compression ?? true,
      label,
      encryption: this.#encryption,
    })
  }

  /** Why a peer is refused, in plain: its label or its key is not ours. */
  encodeRefusal(text: string): Uint8Array {
    return encodeStream({ kind: 'error', text }, { role: 'response', compression: false, label: '' })
  }

  streamReception(role: StreamRole): StreamReception {
    return { ...this.#reception, role }
  }

  #encode(message: Message): Uint8Array {
    return getOrMake(this.#encoded, message, () => encodeMessage(message))
  }

  #packetEncoding(crc: boolean): PacketEncoding {
    return {
      maxBytes: this.#options.maxPacketBytes,
      compression: this.#options.compression ?? true,
      crc,
      label: this.#label,
      encryption: this.#encryption,
    }
  }

  #makeReception(): Reception {
    return {
      keyring: this.#keyring,
      requireEncryption: this.#options.requireEncryption ?? true,
      label: this.#label,
      otherLabels: this.#labels.slice(1),
      skipInboundLabelCheck: this.#options.skipInboundLabelCheck ?? false,
    }
  }

  #makeEncryption(): Encryption | undefined {
    const key = this.#keyring[0]
    if (key === undefined || this.#options.encryptOutgoing === false) return undefined
    return { key, version: 1, nextNonce: () => this.#nextNonce() }
  }

  /** Each one is handed out once. */
  #nextNonce(): Uint8Array {
    if (this.#nextNonceAt === this.#nonces.length) {
      randomFillSync(this.#nonces)
      this.#nextNonceAt = 0
    }
    const nonce = this.#nonces.slice(this.#nextNonceAt, this.#nextNonceAt + NONCE_BYTES)
    this.#nextNonceAt += NONCE_BYTES
    return nonce
  }
}
