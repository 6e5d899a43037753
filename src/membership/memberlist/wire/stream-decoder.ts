import { GrowingBuffer } from '../../../growing-buffer.ts'
import { beginExpansion } from './compression.ts'
import { dropOf, dropped, type Dropped, malformed, overLimit } from './drop.ts'
import { encryptedLength, tryDecrypt } from './encryption.ts'
import { labelBytes, NO_LABEL, tryDecodeLabelHeader } from './label.ts'
import { DEFAULT_LIMITS, MAX_ERROR_TEXT_BYTES, MAX_LABEL_BYTES, type WireLimits } from './limits.ts'
import type { LzwExpansion } from './lzw.ts'
import { required, tryDecodeMessage } from './message-codec.ts'
import { MESSAGE_TYPE, type StreamMessage, type StreamRole } from './messages.ts'
import { MsgpackReader } from './msgpack-reader.ts'
import { MsgpackScanner, readU32 } from './msgpack-scanner.ts'
import { heardLabel, labelDetail, type Reception } from './packet-decoder.ts'
import { joinBytes } from './packet-encoder.ts'
import { PushPullDecoder } from './push-pull.ts'
import { decodeRecord, defineSchema } from './record.ts'
import { decodeTextLossily } from './text.ts'

const USER_HEADER = defineSchema({ UserMsgLen: 'u32' })

/** The text is read as bytes: it may be anything, and only people read it. */
const ERROR = defineSchema({ Error: 'bytes' })

const FRAME_HEADER_BYTES = 5

/** What is expanded or decoded in one step, about: a fraction of a millisecond. */
const STEP_BYTES = 16 * 1024

/** What may stand before the message, at most. */
const HEADERS_BYTES = 2 + MAX_LABEL_BYTES + FRAME_HEADER_BYTES

export interface DecodedStream {
  readonly ok: true
  readonly message: StreamMessage
  /** The label that it came with: an answer is protected by the same. */
  readonly label: Uint8Array
}

/** A message that is to be decrypted or expanded: what that takes room for is not made before its turn. */
interface Beginning {
  readonly begin: () => Expansion | Whole | Dropped
}

/** A message that is being expanded. */
interface Expansion {
  readonly expansion: LzwExpansion
}

/** A message of which no more bytes will come, and how many of them its decoder was given. */
interface Whole {
  readonly body: BodyDecoder
  readonly bytes: Uint8Array
  given: number
}

/** What came of a stream; one of which nothing is kept must be closed. */
export type StreamResult = DecodedStream | Dropped

/** Whom this member listens to on a connection, and which side of it this member is. */
export interface StreamReception extends Reception {
  /** Which side's bytes these are: `request` on a connection that was accepted, `response` on one that was dialled. */
  readonly role: StreamRole
}

/**
 * Decodes the one message that a peer sends on a connection, while its bytes arrive. It holds what has arrived,
 * at most `maxStreamBytes`, and makes no room for more because a peer says so. It looks at each byte once,
 * however small the pieces are. It never throws for what is in the bytes. What was compressed or encrypted, and so is there
 * at once, is read in steps ({@link isWorking}).
 */
export class StreamDecoder {
  readonly #reception: StreamReception
  readonly #limits: WireLimits
  readonly #buffer = new GrowingBuffer()
  /** Where the message starts, once the label has been read. */
  #start: number | undefined
  #label: Uint8Array = NO_LABEL
  #body: BodyDecoder | undefined
  /** What is there whole, and not yet expanded or decoded to its end. */
  #work: Beginning | Expansion | Whole | undefined
  #result: StreamResult | undefined

  constructor(reception: StreamReception) {
    this.#reception = reception
    this.#limits = reception.limits ?? DEFAULT_LIMITS
  }

  /**
   * Takes the next bytes.
   *
   * @returns The result as soon as there is one, and from then on the same; bytes behind the message are ignored.
   * Undefined while bytes are missing.
   */
  push(chunk: Uint8Array): StreamResult | undefined {
    if (this.#result !== undefined || this.isWorking) return this.#result
    return this.#settle(() => {
      const { maxStreamBytes } = this.#limits
      if (this.#buffer.sizeBytes + chunk.length > HEADERS_BYTES + maxStreamBytes) {
        throw overLimit('maxStreamBytes', maxStreamBytes)
      }
      this.#buffer.append(chunk)
      const result = this.#advance()
      // What is small is done at once.
      return result === undefined && this.#buffer.sizeBytes <= STEP_BYTES ? this.#step() : result
    })
  }

  /** Whether the message is there whole, and the result takes further steps, not bytes. */
  get isWorking(): boolean {
    return this.#result === undefined && this.#work !== undefined
  }

  /** Goes on with a message that is there whole. @returns As {@link push} does. */
  step(): StreamResult | undefined {
    return this.#result ?? this.#settle(() => this.#step())
  }

  #settle(run: () => StreamResult | undefined): StreamResult | undefined {
    try {
      this.#result = run()
    } catch (error) {
      this.#result = dropOf(error)
    }
    return this.#result
  }

  /** Tells that the peer has sent all: what is not whole now is malformed. Not to be told while it {@link isWorking}. */
  end(): StreamResult {
    this.#result ??= dropped('malformed', {
      message: 'the stream is cut off',
      length: this.#buffer.sizeBytes,
    })
    return this.#result
  }

  #advance(): StreamResult | undefined {
    if (this.#start === undefined) {
      const drop = this.#readLabel()
      if (drop !== undefined) return drop
      if (this.#start === undefined) return undefined
    }
    const { bytes, sizeBytes: length } = this.#buffer
    const start: number = this.#start
    if (this.#body === undefined) {
      if (length === start) return undefined
      const { keyring, requireEncryption } = this.#reception
      if (bytes[start] === MESSAGE_TYPE.encrypt) {
        return keyring.length === 0 ? dropped('encrypted-unexpectedly', {}) : this.#tryReadFrame(start)
      }
      // Who refuses this member for its key can only say so in plain.
      const refuses = this.#reception.role === 'response' && bytes[start] === MESSAGE_TYPE.error
      if (keyring.length > 0 && requireEncryption && !refuses)
        return dropped('not-encrypted', { type: bytes[start]! })
      this.#body = new BodyDecoder(start, this.#limits, this.#limits.maxStreamBytes, this.#label)
    }
    return this.#taken(this.#body.advance(bytes, length))
  }

  /** Goes on with what is there whole, by about {@link STEP_BYTES}. */
  #step(): StreamResult | undefined {
    for (let leftBytes = STEP_BYTES; leftBytes > 0 && this.#work !== undefined;) {
      const work = this.#work
      if ('begin' in work) {
        const begun = work.begin()
        if ('ok' in begun) return begun
        this.#work = begun
        continue
      }
      if ('expansion' in work) {
        const { expansion } = work
        const before = expansion.doneBytes
        const bytes = expansion.advance(leftBytes)
        leftBytes -= expansion.doneBytes - before
        if (bytes !== undefined) {
          const body = new BodyDecoder(0, this.#limits, bytes.length, this.#label, true)
          this.#work = { body, bytes, given: 0 }
        }
        continue
      }
      const { body, bytes, given } = work
      work.given = Math.min(bytes.length, given + leftBytes)
      leftBytes -= work.given - given
      const result = this.#taken(body.advance(bytes, work.given))
      if (result !== undefined) return result
      if (this.#work === work && work.given === bytes.length)
        throw malformed('a message is cut off', { length: bytes.length })
    }
    return undefined
  }

  /** What a body came to: what was compressed is expanded from here on. */
  #taken(outcome: StreamResult | Beginning | undefined): StreamResult | undefined {
    if (outcome === undefined || 'ok' in outcome) return outcome
    this.#work = outcome
    return undefined
  }

  /** Finds where the message starts, or why it must not be read. */
  #readLabel(): Dropped | undefined {
    const { role, label } = this.#reception
    if (role === 'response') {
      this.#start = 0
      this.#label = labelBytes(label)
      return undefined
    }
    const header = tryDecodeLabelHeader(this.#buffer.bytes, this.#buffer.sizeBytes)
    if (header === undefined) return undefined
    const heard = heardLabel(header.label, this.#reception)
    if (heard === undefined) return dropped('label-differs', labelDetail(header.label))
    this.#label = heard
    this.#start = header.headerBytes
    return undefined
  }

  /** Reads an encrypted message: type, length, bytes. */
  #tryReadFrame(start: number): StreamResult | undefined {
    const { bytes, sizeBytes: length } = this.#buffer
    if (length - start < FRAME_HEADER_BYTES) return undefined
    const frameBytes = readU32(bytes, start + 1)
    if (frameBytes > this.#limits.maxStreamBytes)
      throw overLimit('maxStreamBytes', this.#limits.maxStreamBytes)
    if (frameBytes < encryptedLength(0, 1)) {
      return dropped('malformed', { message: 'an encrypted message is too short', length: frameBytes })
    }
    const bodyStart = start + FRAME_HEADER_BYTES
    if (length - bodyStart < frameBytes) return undefined
    const begin = () => {
      const associatedData = joinBytes(bytes.slice(start, bodyStart), this.#label)
      const frame = bytes.subarray(bodyStart, bodyStart + frameBytes)
      const plain = tryDecrypt(frame, this.#reception.keyring, associatedData)
      if (plain === undefined) return dropped('cannot-decrypt', { length: frameBytes })
      return { body: new BodyDecoder(0, this.#limits, plain.length, this.#label), bytes: plain, given: 0 }
    }
    return this.#taken({ begin })
  }
}

/** Decodes a message by its type, while its bytes arrive. */
class BodyDecoder {
  readonly #start: number
  readonly #maxEnd: number
  readonly #limits: WireLimits
  readonly #label: Uint8Array
  readonly #compressed: boolean
  readonly #scanner: MsgpackScanner
  readonly #pushPull: PushPullDecoder
  /** Of a user message: where its bytes end. */
  #userEnd: number | undefined
  #userStart = 0

  /**
   * @param start - Offset of the type byte.
   * @param maxBytes - The most that the message may take.
   * @param compressed - Whether it came compressed, and must not be once more.
   */
  constructor(start: number, limits: WireLimits, maxBytes: number, label: Uint8Array, compressed = false) {
    this.#start = start
    this.#maxEnd = start + maxBytes
    this.#limits = limits
    this.#label = label
    this.#compressed = compressed
    this.#scanner = new MsgpackScanner(start + 1, this.#maxEnd)
    this.#pushPull = new PushPullDecoder(start + 1, this.#maxEnd, limits)
  }

  /** Goes on over `bytes[0, available)`, which must begin with the bytes of earlier calls. */
  advance(bytes: Uint8Array, available: number): StreamResult | Beginning | undefined {
    if (available <= this.#start) return undefined
    const type = bytes[this.#start]!
    switch (type) {
      case MESSAGE_TYPE.pushPull: {
        const pushPull = this.#pushPull.advance(bytes, available)
        return pushPull === undefined ? undefined : this.#decoded({ kind: 'push-pull', pushPull })
      }
      case MESSAGE_TYPE.user:
        return this.#advanceUser(bytes, available)
      case MESSAGE_TYPE.ping:
      case MESSAGE_TYPE.ack:
      case MESSAGE_TYPE.error:
      case MESSAGE_TYPE.compress: {
        const end = this.#scanner.advance(bytes, available)
        return end === undefined ? undefined : this.#readMap(bytes.subarray(this.#start, end))
      }
      default:
        return dropped('unknown-type', { type })
    }
  }

  /** Reads a message that is one msgpack map, its type byte first. */
  #readMap(bytes: Uint8Array): StreamResult | Beginning {
    if (bytes[0] === MESSAGE_TYPE.compress) {
      if (this.#compressed) return dropped('nested-too-deep', { max: 1 })
      return { begin: () => ({ expansion: beginExpansion(bytes, this.#limits.maxStreamExpandedBytes) }) }
    }
    if (bytes[0] === MESSAGE_TYPE.error) {
      const text = decodeRecord(new MsgpackReader(bytes, 1), ERROR).Error ?? new Uint8Array(0)
      if (text.length > MAX_ERROR_TEXT_BYTES) throw overLimit('the error text', MAX_ERROR_TEXT_BYTES)
      return this.#decoded({ kind: 'error', text: decodeTextLossily(text) })
    }
    const message = tryDecodeMessage(bytes)
    if (message?.kind === 'ping' || message?.kind === 'ack') return this.#decoded(message)
    return dropped('unknown-type', { type: bytes[0]! })
  }

  #advanceUser(bytes: Uint8Array, available: number): StreamResult | undefined {
    if (this.#userEnd === undefined) {
      const headerEnd = this.#scanner.advance(bytes, available)
      if (headerEnd === undefined) return undefined
      const record = decodeRecord(new MsgpackReader(bytes, this.#start + 1, headerEnd), USER_HEADER)
      const payloadBytes = required(record.UserMsgLen, 'user.UserMsgLen')
      if (payloadBytes > this.#limits.maxUserMessageBytes || headerEnd + payloadBytes > this.#maxEnd) {
        throw overLimit('maxUserMessageBytes', this.#limits.maxUserMessageBytes)
      }
      this.#userStart = headerEnd
      this.#userEnd = headerEnd + payloadBytes
    }
    if (available < this.#userEnd) return undefined
    return this.#decoded({ kind: 'user', payload: bytes.slice(this.#userStart, this.#userEnd) })
  }

  #decoded(message: StreamMessage): DecodedStream {
    return { ok: true, message, label: this.#label }
  }
}
