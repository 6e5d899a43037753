import type { Socket } from 'node:net'
import { ROOT_CONTEXT, SpanKind, trace, type Span } from '@opentelemetry/api'
import { assertNever, RingmanError } from '../../errors.ts'
import { failSpan, noTracer } from '../../tracing.ts'
import { DropReport } from './drop-report.ts'
import { GossipCodec } from './gossip-codec.ts'
import { GossipTraffic } from './gossip-traffic.ts'
import { openGossipSockets, type GossipSockets } from './gossip-sockets.ts'
import type { MemberlistNodeOptions } from './node-options.ts'
import { tryOpenEnvelope, wrapInEnvelope } from './packet-envelope.ts'
import type { MemberView, StartPushPullEffect, StartStreamProbeEffect } from './protocol/effects.ts'
import { keyOf, type Endpoint } from './protocol/endpoint.ts'
import type { ProtocolEvent } from './protocol/events.ts'
import type { ProtocolSettings } from './protocol/settings.ts'
import { causeOfRefusal, isMisfit, refusalText } from './refusal.ts'
import { StreamClient, type ByteListener, type StreamAnswer } from './stream-client.ts'
import { StreamServer } from './stream-server.ts'
import type { Message, Ping, StreamMessage, StreamRole } from './wire/messages.ts'
import type { DecodedStream } from './wire/stream-decoder.ts'
import type { MessageListener } from './wire/packet-decoder.ts'

/** Peers that know checksums have at least this as their highest protocol version. */
const CRC_PROTOCOL = 5

export interface GossipTransportOptions {
  readonly node: MemberlistNodeOptions
  readonly settings: ProtocolSettings
  readonly onEvent: (event: ProtocolEvent) => void
  readonly onUserMessage: (payload: Uint8Array) => void
  /** A socket broke; the transport serves no more. */
  readonly onError: (error: RingmanError) => void
}

/** How the messages of the machine travel: datagrams and streams, encoded, encrypted, checked and bounded. */
export class GossipTransport {
  readonly codec: GossipCodec
  readonly drops: DropReport
  readonly traffic = new GossipTraffic()
  readonly #options: GossipTransportOptions
  readonly #server: StreamServer
  readonly #client: StreamClient
  /** Places, as {@link keyOf} writes them, whose members know checksums. */
  readonly #crcPlaces = new Set<string>()
  /** Where each member listed is: its place is forgotten when it is elsewhere, or nowhere. */
  readonly #placeOfMember = new Map<string, string>()
  /** Members at each address. */
  readonly #membersAt = new Map<string, number>()
  #seedAddresses: ReadonlySet<string> = new Set()
  #sockets: GossipSockets | undefined

  constructor(options: GossipTransportOptions) {
    const { node, settings } = options
    this.#options = options
    this.codec = new GossipCodec(node)
    this.drops = new DropReport(node.clock, node.logger)
    const onBytes: ByteListener = (direction, sizeBytes) => {
      this.traffic.bytes.tcp[direction] += sizeBytes
    }
    this.#client = new StreamClient(node.clock, onBytes)
    this.#server = new StreamServer({
      clock: node.clock,
      reception: () => this.codec.streamReception('request'),
      onMessage: (stream, message, from, sizeBytes) => this.#receiveStream(stream, message, from, sizeBytes),
      onBytes,
      onDrop: (drop, from) => {
        this.drops.add(drop, from, 'tcp')
        return isMisfit(drop.reason) ? this.codec.encodeRefusal(refusalText(drop.reason)) : undefined
      },
      timeoutMs: settings.streamTimeoutMs,
      isKnown: (address) => this.#membersAt.has(address) || this.#seedAddresses.has(address),
      limits: node.streamLimits,
    })
  }

  /** The port of the sockets; undefined before `open`. */
  get port(): number | undefined {
    return this.#sockets?.port
  }

  get refusedConnections(): number {
    return this.#server.refused
  }

  get openSockets(): number {
    return (this.#sockets?.openSockets ?? 0) + this.#server.openConnections + this.#client.openConnections
  }

  get sendFailures(): number {
    return this.#sockets?.sendFailures ?? 0
  }

  /** @throws {RingmanError} `SOURCE_FAILED` naming the address when it cannot be had. */
  async open(bindHost: string, port: number): Promise<number> {
    this.#sockets = await openGossipSockets({
      bindHost,
      port,
      onDatagram:
        this.#options.node.tcpOnly === true
          ? undefined
          : (datagram, from) => this.#receiveDatagram(datagram, from),
      onConnection: (socket: Socket, from) => this.#server.accept(socket, from),
      onError: (error) => {
        this.#options.onError(
          new RingmanError('SOURCE_FAILED', `a gossip socket broke: ${error.message}`, { cause: error }),
        )
      },
    })
    return this.#sockets.port
  }

  async close(): Promise<void> {
    // All at once: the listener is closed only when its connections are.
    await Promise.all([this.#client.close(), this.#server.close(), this.#sockets?.close()])
  }

  /** Remembers what must be known of a member to send to it; `listed` is false once it is not known any more. */
  noteMember({ name, endpoint, versions }: MemberView, listed: boolean): void {
    const place = keyOf(endpoint)
    const before = this.#placeOfMember.get(name)
    if (before !== undefined && (before !== place || !listed)) {
      this.#crcPlaces.delete(before)
      this.#countAt(before, -1)
      this.#placeOfMember.delete(name)
    }
    if (listed && before !== place) {
      this.#placeOfMember.set(name, place)
      this.#countAt(place, 1)
    }
    if (listed && versions.pMax >= CRC_PROTOCOL) this.#crcPlaces.add(place)
    else this.#crcPlaces.delete(place)
  }

  /** Where this member joins through: whoever is there is served before strangers. */
  noteSeeds(seeds: readonly Endpoint[]): void {
    this.#seedAddresses = new Set(seeds.map(({ address }) => address))
  }

  #countAt(place: string, by: 1 | -1): void {
    const [address = ''] = place.split(' ')
    const count = (this.#membersAt.get(address) ?? 0) + by
    if (count > 0) this.#membersAt.set(address, count)
    else this.#membersAt.delete(address)
  }

  sendPacket(to: Endpoint, messages: readonly Message[], ownPort: number): void {
    if (this.#options.node.tcpOnly === true) {
      this.#sendOverStreams(to, messages, ownPort)
      return
    }
    this.#countSent(messages)
    for (const packet of this.codec.encodePackets(messages, this.#crcPlaces.has(keyOf(to)))) {
      this.traffic.packets.sent++
      this.traffic.bytes.udp.sent += packet.length
      this.#sockets?.send(packet, to)
    }
  }

  sendUserMessage(to: Endpoint, payload: Uint8Array): Promise<StreamAnswer> {
    return this.#sendUserBytes(to, this.#encodeStream({ kind: 'user', payload }, 'request'))
  }

  #sendUserBytes(to: Endpoint, bytes: Uint8Array): Promise<StreamAnswer> {
    return this.#client.call({
      to,
      bytes,
      timeoutMs: this.#options.settings.streamTimeoutMs,
      reception: undefined,
    })
  }

  /** Answers on a stream that a peer opened, and closes it. */
  answer(stream: number, message: StreamMessage): void {
    this.#server.answer(stream, (label) => this.#encodeStream(message, 'response', label))
  }

  async probe({ probe, to, ping, timeoutMs }: StartStreamProbeEffect): Promise<void> {
    const answer = await this.#call(to, ping, timeoutMs)
    const acked =
      answer.outcome === 'answered' && answer.message.kind === 'ack' && answer.message.seqNo === ping.seqNo
    this.#options.onEvent({
      kind: 'stream-probe-finished',
      probe,
      outcome: acked ? 'acked' : answer.outcome === 'refused' ? 'refused' : 'failed',
    })
  }

  /**
   * @param userState - The application's bytes to send along.
   * @param parent - The span that it is a part of, if any.
   */
  async pushPull(effect: StartPushPullEffect, userState: Uint8Array, parent?: Span): Promise<void> {
    const { exchange, to, state, timeoutMs } = effect
    const { onEvent, node } = this.#options
    const startedAtMs = node.clock.now()
    const span = (node.tracer ?? noTracer).startSpan(
      'gossip.push-pull',
      {
        kind: SpanKind.CLIENT,
        attributes: {
          'network.transport': 'tcp',
          'server.address': to.address,
          'server.port': to.port,
          'ringman.push_pull.join': state.join,
          'ringman.push_pull.members_sent': state.nodes.length,
        },
      },
      parent === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, parent),
    )
    const answer = await this.#call(to, { kind: 'push-pull', pushPull: { ...state, userState } }, timeoutMs)
    if (answer.outcome === 'answered' && answer.message.kind === 'push-pull') {
      span.setAttribute('ringman.push_pull.members_received', answer.message.pushPull.nodes.length)
      span.end()
      this.traffic.pushPullSeconds.add((node.clock.now() - startedAtMs) / 1000)
      onEvent({ kind: 'push-pull-answered', exchange, state: answer.message.pushPull })
      return
    }
    const cause = await causeOfRefusal(answer, (withinMs) =>
      // A member is no riddle: only of a seed it must be known whether somebody is there.
      state.join ? this.#client.closesUnasked(to, withinMs) : Promise.resolve(true),
    )
    const outcome = cause !== undefined ? 'rejected' : answer.outcome === 'refused' ? 'refused' : 'failed'
    failSpan(span, outcome)
    span.end()
    onEvent({ kind: 'push-pull-failed', exchange, outcome, message: cause ?? reasonOf(answer) })
  }

  async #call(to: Endpoint, message: StreamMessage, timeoutMs: number): Promise<StreamAnswer> {
    const bytes = this.#encodeStream(message, 'request')
    const reception = this.codec.streamReception('response')
    const answer = await this.#client.call({ to, bytes, timeoutMs, reception })
    if (answer.outcome === 'answered') {
      if (answer.message.kind !== 'error') this.#heard()
      this.traffic.addStream('received', answer.message.kind, answer.sizeBytes)
    }
    return answer
  }

  #encodeStream(message: StreamMessage, role: StreamRole, label?: Uint8Array): Uint8Array {
    const bytes = this.codec.encodeStream(message, role, label)
    this.traffic.addStream('sent', message.kind, bytes.length)
    return bytes
  }

  #countSent(messages: readonly Message[]): void {
    for (const message of messages) this.traffic.addMessage('sent', message.kind, this.codec.sizeOf(message))
  }

  readonly #countReceived: MessageListener = (kind, sizeBytes) => {
    this.traffic.addMessage('received', kind, sizeBytes)
  }

  /** Somebody who may gossip with us said something. */
  #heard(): void {
    this.traffic.heardAtMs = this.#options.node.clock.now()
  }

  /** Without UDP, pings go as memberlist's own pings over TCP, which any peer answers; the rest in envelopes. */
  #sendOverStreams(to: Endpoint, messages: readonly Message[], ownPort: number): void {
    const others: Message[] = []
    for (const message of messages) {
      if (message.kind === 'ping') void this.#pingOverStream(to, message)
      else others.push(message)
    }
    if (others.length === 0) return
    // The messages in the envelope count, not the envelope.
    this.#countSent(others)
    const payload = wrapInEnvelope(others, ownPort)
    void this.#sendUserBytes(to, this.codec.encodeStream({ kind: 'user', payload }, 'request'))
  }

  async #pingOverStream(to: Endpoint, ping: Ping): Promise<void> {
    const answer = await this.#call(to, ping, this.#options.settings.probeIntervalMs)
    if (answer.outcome !== 'answered' || answer.message.kind !== 'ack') return
    this.#options.onEvent({ kind: 'packet-received', from: to, sizeBytes: 0, messages: [answer.message] })
  }

  #receiveDatagram(datagram: Uint8Array, from: Endpoint): void {
    this.traffic.bytes.udp.received += datagram.length
    const packet = this.codec.decodePacket(datagram, this.#countReceived)
    if (!packet.ok) {
      this.drops.add(packet, from, 'udp')
      return
    }
    this.traffic.packets.received++
    this.#heard()
    for (const fault of packet.faults) this.drops.add(fault, from, 'udp')
    this.#options.onEvent({
      kind: 'packet-received',
      from,
      sizeBytes: datagram.length,
      messages: packet.messages,
    })
  }

  #receiveStream(stream: number, { message }: DecodedStream, from: Endpoint, sizeBytes: number): void {
    const { onEvent } = this.#options
    this.#heard()
    if (message.kind !== 'user') this.traffic.addStream('received', message.kind, sizeBytes)
    switch (message.kind) {
      case 'ping':
        onEvent({ kind: 'stream-ping-received', stream, ping: message })
        break
      case 'push-pull':
        onEvent({ kind: 'push-pull-received', stream, from, state: message.pushPull })
        break
      case 'user':
        this.#server.refuse(stream)
        this.#receiveUserMessage(message.payload, from, sizeBytes)
        break
      case 'ack':
      case 'error':
        this.drops.add({ reason: 'unknown-type', detail: { kind: message.kind } }, from, 'tcp')
        this.#server.refuse(stream)
        break
      default:
        assertNever(message)
    }
  }

  #receiveUserMessage(payload: Uint8Array, { address }: Endpoint, sizeBytes: number): void {
    const envelope = tryOpenEnvelope(payload, this.#countReceived)
    if (envelope === undefined) {
      this.traffic.addStream('received', 'user', sizeBytes)
      this.#options.onUserMessage(payload)
      return
    }
    const { gossipPort: port, packet } = envelope
    const from = { address, port }
    if (packet.ok)
      this.#options.onEvent({ kind: 'packet-received', from, sizeBytes, messages: packet.messages })
    else this.drops.add(packet, from, 'tcp')
  }
}

/** Why there is no answer of the kind asked for, for a human. */
function reasonOf(answer: StreamAnswer): string {
  if (answer.outcome === 'answered') return `the peer answered with ${answer.message.kind}`
  return answer.outcome === 'sent' ? 'no answer was read' : answer.reason
}
