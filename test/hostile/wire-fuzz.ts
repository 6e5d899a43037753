import { isRingmanError } from '../../src/errors.ts'
import { decodeCompound } from '../../src/membership/memberlist/wire/compound.ts'
import { DROP_REASONS } from '../../src/membership/memberlist/wire/drop.ts'
import { DEFAULT_LIMITS } from '../../src/membership/memberlist/wire/limits.ts'
import { decompressLzw } from '../../src/membership/memberlist/wire/lzw.ts'
import { encodeMessage, tryDecodeMessage } from '../../src/membership/memberlist/wire/message-codec.ts'
import { decodePacket, type PacketResult } from '../../src/membership/memberlist/wire/packet-decoder.ts'
import { StreamDecoder, type StreamResult } from '../../src/membership/memberlist/wire/stream-decoder.ts'
import { encodeStream } from '../../src/membership/memberlist/wire/stream-encoder.ts'
import type { StreamMessage } from '../../src/membership/memberlist/wire/messages.ts'
import { toItsEnd } from '../membership/memberlist/wire/values.ts'
import { mutate, SeededRandom } from './wire-fuzz-mutate.ts'
import { type Sample, type Samples, wrapDatagram, wrapStream } from './wire-fuzz-samples.ts'

/** What a case is fed to. */
type Target = 'datagram' | 'stream' | 'codec'

/** The case that took longest, after repeating it to leave out what else the machine did. */
export interface Slowest {
  readonly us: number
  readonly bytes: number
  readonly caseNumber: number
}

export interface FuzzReport {
  readonly cases: number
  readonly byTarget: Readonly<Record<Target, number>>
  /** How often each outcome came: `ok`, `partly` or a reason for a drop. A fuzzer that only ever sees one of them is blind. */
  readonly outcomes: ReadonlyMap<string, number>
  readonly slowestDatagram: Slowest
  readonly slowestStream: Slowest
  readonly maxRssBytes: number
}

/** Above this a case is timed again. */
const SUSPECT_US = 150
const TIMED_AGAIN = 15

const LARGE_SAMPLE_BYTES = 2000

/** A case that broke a promise, with all that is needed to repeat it. */
export class FuzzFailure extends Error {
  constructor(seed: number, caseNumber: number, target: Target, bytes: Uint8Array, cause: unknown) {
    const hex = Buffer.from(bytes.subarray(0, 4000)).toString('hex')
    super(`case ${caseNumber} of seed ${seed} (${target}) failed; ${bytes.length} bytes: ${hex}`, { cause })
  }
}

/**
 * Feeds the decoders with `cases` cases, each made from `seed` and its number alone: random bytes, and recorded
 * traffic changed on the wire or inside its wrappers.
 *
 * Promises that are checked: only `WIRE_MALFORMED` out of codecs, nothing thrown out of the packet and stream
 * paths, results within the limits, and what decodes can be encoded and decodes to the same again.
 *
 * @throws FuzzFailure on the first broken promise.
 */
export class WireFuzzer {
  readonly #samples: Samples
  readonly #seed: number
  readonly #byTarget = { datagram: 0, stream: 0, codec: 0 }
  readonly #outcomes = new Map<string, number>()
  #cases = 0
  #slowestDatagram: Slowest = { us: 0, bytes: 0, caseNumber: 0 }
  #slowestStream: Slowest = { us: 0, bytes: 0, caseNumber: 0 }
  #maxRssBytes = 0

  constructor(samples: Samples, seed: number) {
    this.#samples = samples
    this.#seed = seed
  }

  get report(): FuzzReport {
    return {
      cases: this.#cases,
      byTarget: this.#byTarget,
      outcomes: this.#outcomes,
      slowestDatagram: this.#slowestDatagram,
      slowestStream: this.#slowestStream,
      maxRssBytes: this.#maxRssBytes,
    }
  }

  /** Runs the next `cases` cases. */
  run(cases: number): void {
    // Half of the cases end in an error, and half of their time would go into stacks that nobody reads.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    try {
      for (let i = 0; i < cases; i++) this.#runCase()
    } finally {
      Error.stackTraceLimit = stackTraceLimit
    }
    this.#maxRssBytes = Math.max(this.#maxRssBytes, process.memoryUsage.rss())
  }

  #runCase(): void {
    const caseNumber = this.#cases++
    const random = new SeededRandom(Math.imul(this.#seed, 0x0100_0193) + caseNumber)
    const which = random.below(16)
    const target: Target = which < 11 ? 'datagram' : which < 15 ? 'stream' : 'codec'
    this.#byTarget[target]++
    const samples = target === 'stream' ? this.#samples.streams : this.#samples.datagrams
    const sample = pickSample(random, samples)
    const bytes = makeBytes(random, target, sample, random.pick(samples))
    try {
      if (target === 'codec') checkCodecs(bytes, random.below(3000))
      else if (target === 'stream') this.#runStream(bytes, sample, random, caseNumber)
      else this.#runDatagram(bytes, sample, random, caseNumber)
    } catch (error) {
      throw new FuzzFailure(this.#seed, caseNumber, target, bytes, error)
    }
  }

  #runDatagram(bytes: Uint8Array, { reception }: Sample, random: SeededRandom, caseNumber: number): void {
    const decode = () => decodePacket(bytes, reception)
    const startedUs = nowUs()
    const result = decode()
    const us = settledUs(nowUs() - startedUs, decode)
    if (us > this.#slowestDatagram.us) this.#slowestDatagram = { us, bytes: bytes.length, caseNumber }
    this.#count(result)
    checkPacket(result, random.below(8) === 0)
  }

  #runStream(bytes: Uint8Array, { reception, role }: Sample, random: SeededRandom, caseNumber: number): void {
    const whole = () => {
      return toItsEnd(new StreamDecoder({ ...reception, role }), bytes)
    }
    const startedUs = nowUs()
    const result = whole()
    const us = settledUs(nowUs() - startedUs, whole)
    if (us > this.#slowestStream.us) this.#slowestStream = { us, bytes: bytes.length, caseNumber }
    this.#count(result)
    if (random.below(4) === 0) checkStream(result)
    if (random.below(4) === 0) {
      const pieces = decodeInPieces(bytes, new StreamDecoder({ ...reception, role }), random)
      if (!isSameResult(pieces, result)) throw new Error('another result in pieces')
    }
  }

  #count(result: PacketResult | StreamResult): void {
    const outcome = result.ok
      ? 'faults' in result && result.faults.length > 0
        ? 'partly'
        : 'ok'
      : result.reason
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1)
  }
}

/** A sample; one of the few large ones less often, so that they do not take most of the time. */
function pickSample(random: SeededRandom, samples: readonly Sample[]): Sample {
  const sample = random.pick(samples)
  return sample.plain.length > LARGE_SAMPLE_BYTES && random.below(10) > 0 ? random.pick(samples) : sample
}

function makeBytes(random: SeededRandom, target: Target, sample: Sample, other: Sample): Uint8Array {
  switch (random.below(8)) {
    case 0:
      return random.bytes(random.below(random.below(10) === 0 ? 1500 : 60))
    case 1:
    case 2:
      return mutate(random, sample.bytes, other.bytes)
    default: {
      const plain = mutate(random, sample.plain, other.plain)
      if (target === 'codec') return plain
      return target === 'stream' ? wrapStream(random, plain, sample) : wrapDatagram(random, plain, sample)
    }
  }
}

function checkPacket(result: PacketResult, again: boolean): void {
  if (!result.ok) {
    if (!Object.hasOwn(DROP_REASONS, result.reason)) throw new Error(`unknown reason ${result.reason}`)
    return
  }
  if (result.messages.length > DEFAULT_LIMITS.maxPacketMessages) throw new Error('too many messages')
  if (result.faults.length > DEFAULT_LIMITS.maxPacketFaults) throw new Error('too many faults')
  if (!again) return
  for (const message of result.messages) {
    const bytes = encodeMessage(message)
    const second = tryDecodeMessage(bytes)
    if (second === undefined || !isSame(encodeMessage(second), bytes))
      throw new Error('another message after encoding')
  }
}

function checkStream(result: StreamResult): void {
  if (!result.ok) {
    if (!Object.hasOwn(DROP_REASONS, result.reason)) throw new Error(`unknown reason ${result.reason}`)
    return
  }
  const bytes = encodeBare(result.message)
  const decoder = new StreamDecoder({ keyring: [], requireEncryption: false, label: '', role: 'response' })
  const second = toItsEnd(decoder, bytes)
  if (!second.ok) throw new Error('what was decoded does not decode after encoding')
  if (!isSame(encodeBare(second.message), bytes)) throw new Error('another message after encoding')
}

function encodeBare(message: StreamMessage): Uint8Array {
  // Text that was not UTF-8 may have grown beyond what can be sent.
  const sent = message.kind === 'error' ? { ...message, text: message.text.slice(0, 1000) } : message
  return encodeStream(sent, { role: 'response', compression: false, label: '' })
}

/** Whether a stream gave the same in pieces as in one. */
function isSameResult(a: StreamResult, b: StreamResult): boolean {
  if (!a.ok || !b.ok) return !a.ok && !b.ok && a.reason === b.reason
  return isSame(encodeBare(a.message), encodeBare(b.message))
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** The codecs below the packet path: they may throw, but only one thing. */
function checkCodecs(bytes: Uint8Array, max: number): void {
  for (const decode of [
    () => tryDecodeMessage(bytes),
    () => decodeCompound(bytes),
    () => {
      if (decompressLzw(bytes, max).length > max) throw new Error('more than the limit')
    },
  ]) {
    try {
      decode()
    } catch (error) {
      if (!isRingmanError(error) || error.code !== 'WIRE_MALFORMED') throw error
    }
  }
}

function decodeInPieces(bytes: Uint8Array, decoder: StreamDecoder, random: SeededRandom): StreamResult {
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.below(random.below(2) === 0 ? 5 : 500)
    const result = decoder.push(bytes.subarray(at, at + size))
    if (result !== undefined) return result
    at += size
  }
  return toItsEnd(decoder, new Uint8Array(0))
}

/** The time of a case; of one that seems slow, the least of several, with stacks as in real life. */
function settledUs(firstUs: number, repeat: () => unknown): number {
  if (firstUs <= SUSPECT_US) return firstUs
  Error.stackTraceLimit = 10
  let us = Infinity
  for (let i = 0; i < TIMED_AGAIN; i++) {
    const startedUs = nowUs()
    repeat()
    us = Math.min(us, nowUs() - startedUs)
  }
  Error.stackTraceLimit = 0
  return us
}

function nowUs(): number {
  return performance.now() * 1000
}
