import { describe, expect, test } from 'vitest'
import { encodeMessage, tryDecodeMessage } from '../../../../src/membership/memberlist/wire/message-codec.ts'
import type { Message, PushPullNode } from '../../../../src/membership/memberlist/wire/messages.ts'
import { encodePushPull, PushPullDecoder } from '../../../../src/membership/memberlist/wire/push-pull.ts'
import {
  decodeRecord,
  defineSchema,
  encodeRecord,
} from '../../../../src/membership/memberlist/wire/record.ts'
import { MsgpackReader } from '../../../../src/membership/memberlist/wire/msgpack-reader.ts'
import { MsgpackWriter } from '../../../../src/membership/memberlist/wire/msgpack-writer.ts'
import { StreamDecoder } from '../../../../src/membership/memberlist/wire/stream-decoder.ts'
import { encodeStream } from '../../../../src/membership/memberlist/wire/stream-encoder.ts'
import { thrownCode, thrownDetail } from './values.ts'

const zeros = (length: number) => new Uint8Array(length)
const alive = {
  kind: 'alive',
  incarnation: 1,
  node: 'a',
  address: Uint8Array.of(10, 0, 0, 1),
  port: 7946,
  meta: zeros(0),
  vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
} as const
const node: PushPullNode = { ...alive, name: 'a', state: 0 }
const stream = { role: 'request', compression: false, label: '' } as const

/** Goes through bytes and back. */
const carried = (message: Message) => tryDecodeMessage(encodeMessage(message))

describe('the last that a field holds is carried, and the next one refused', () => {
  const cases: readonly (readonly [string, Message, Message, string])[] = [
    ['a name', { ...alive, node: 'x'.repeat(1024) }, { ...alive, node: 'x'.repeat(1025) }, 'INTERNAL'],
    [
      'a name of two-byte letters',
      { ...alive, node: 'é'.repeat(512) },
      { ...alive, node: `é${'é'.repeat(512)}` },
      'INTERNAL',
    ],
    ['metadata', { ...alive, meta: zeros(512) }, { ...alive, meta: zeros(513) }, 'METADATA_TOO_LARGE'],
    ['a port', { ...alive, port: 65_535 }, { ...alive, port: 65_536 }, 'INTERNAL'],
    ['no port', { ...alive, port: 0 }, { ...alive, port: -1 }, 'INTERNAL'],
    [
      'an incarnation',
      { ...alive, incarnation: 2 ** 32 - 1 },
      { ...alive, incarnation: 2 ** 32 },
      'INTERNAL',
    ],
    ['an IPv6 address', { ...alive, address: zeros(16) }, { ...alive, address: zeros(17) }, 'INTERNAL'],
    ['the versions', { ...alive, vsn: zeros(6) }, { ...alive, vsn: zeros(7) }, 'INTERNAL'],
    ['a source with port 1', pingFrom(1), pingFrom(0), 'INTERNAL'],
    ['a source with port 65535', pingFrom(65_535), pingFrom(65_536), 'INTERNAL'],
    ['a source with a long name', pingFrom(1, 'x'.repeat(1024)), pingFrom(1, 'x'.repeat(1025)), 'INTERNAL'],
  ]
  function pingFrom(port: number, name = ''): Message {
    return { kind: 'ping', seqNo: 1, node: '', source: { address: zeros(4), port, node: name } }
  }

  test.each(cases)('%s', (_, fits, tooMuch, code) => {
    expect(carried(fits)).toStrictEqual(fits)
    expect(thrownCode(() => encodeMessage(tooMuch))).toBe(code)
  })

  test('what is wrong with metadata is told', () => {
    const bytes = encodeMessage({ ...alive, meta: zeros(512) })
    // One byte more, in the length as in what follows.
    const at = Buffer.from(bytes).indexOf('Meta') + 'Meta'.length
    const longer = Uint8Array.of(...bytes.subarray(0, at), 0xda, 2, 1, 0, ...bytes.subarray(at + 3))
    expect(thrownDetail(() => tryDecodeMessage(longer))).toMatchObject({ field: 'alive.Meta' })
    expect(thrownDetail(() => encodeMessage({ ...alive, meta: zeros(600) }))).toEqual({
      length: 600,
      max: 512,
    })
  })

  test('characters around the end of ASCII', () => {
    for (const name of ['\x7e', '\x7f', '\x80', '\x81', 'a\x7f', 'a\x80', '\u07ff', '\u0800'])
      expect(carried({ ...alive, node: name })).toMatchObject({ node: name })
  })

  test('an error text', () => {
    const text = 'x'.repeat(4096)
    const bytes = encodeStream({ kind: 'error', text }, stream)
    const decoder = new StreamDecoder({ keyring: [], requireEncryption: false, label: '', role: 'response' })
    expect(decoder.push(bytes)).toMatchObject({ ok: true, message: { kind: 'error', text } })
    expect(thrownCode(() => encodeStream({ kind: 'error', text: `${text}x` }, stream))).toBe('INTERNAL')
  })

  test('numbers of each width', () => {
    const schema = defineSchema({ Small: 'u8', Middle: 'u16', Large: 'u32' })
    const take = (Small: number, Middle: number, Large: number) => {
      const writer = new MsgpackWriter()
      encodeRecord(writer, schema, { Small, Middle, Large })
      return decodeRecord(new MsgpackReader(writer.finish()), schema)
    }
    const most = [255, 65_535, 2 ** 32 - 1] as const
    expect(take(...most)).toEqual({ Small: 255, Middle: 65_535, Large: 2 ** 32 - 1 })
    expect(thrownCode(() => take(256, 0, 0))).toBe('WIRE_MALFORMED')
    expect(thrownCode(() => take(0, 65_536, 0))).toBe('WIRE_MALFORMED')
  })
})

describe('a message that lacks a field says which', () => {
  const place = { node: 'a', port: 1, address: zeros(4) }
  const messages: readonly (readonly [Message, number, ...string[]])[] = [
    [{ kind: 'ping', seqNo: 1, node: 'a' }, 0, 'ping.SeqNo'],
    [
      { kind: 'indirect-ping', seqNo: 1, target: zeros(4), port: 1, node: 'a', nack: false },
      1,
      'indirect ping.SeqNo',
      'indirect ping.Target',
    ],
    [{ kind: 'ack', seqNo: 1, payload: zeros(1) }, 2, 'ack.SeqNo'],
    [{ kind: 'nack', seqNo: 1 }, 11, 'nack.SeqNo'],
    [{ kind: 'suspect', incarnation: 1, node: 'a', from: 'b' }, 3, 'suspect.Incarnation', 'suspect.Node'],
    [{ kind: 'dead', incarnation: 1, node: 'a', from: 'b' }, 5, 'dead.Incarnation', 'dead.Node'],
    [{ ...alive, ...place, meta: zeros(1) }, 4, 'alive.Incarnation', 'alive.Node', 'alive.Addr', 'alive.Vsn'],
  ]

  test.each(
    messages.flatMap(([message, type, ...fields]) => fields.map((field) => [field, message, type] as const)),
  )('%s', (field, message, type) => {
    const bytes = encodeMessage(message)
    expect(bytes[0]).toBe(type)
    // The field under another name of the same length is an unknown one.
    const key = field.split('.')[1]!
    const at = Buffer.from(bytes).indexOf(key)
    const without = bytes.with(at, 'X'.charCodeAt(0))
    expect(thrownCode(() => tryDecodeMessage(without))).toBe('WIRE_MALFORMED')
    expect(thrownDetail(() => tryDecodeMessage(without))).toMatchObject({ field })
  })
})

describe('a push/pull', () => {
  const nodes = [{ ...node, meta: zeros(2) }, node]
  const evicted = [{ name: 'b', forMs: 5 }]
  const bytes = encodePushPull({ join: false, nodes, userState: zeros(3), evicted })

  test('keeps no view into the bytes', () => {
    const result = new PushPullDecoder(1, bytes.length).advance(bytes, bytes.length)
    const wanted = structuredClone(result)
    bytes.slice().forEach((byte, i) => (bytes[i] = byte ^ 0xff))
    expect(result?.nodes).toHaveLength(2)
    expect(result).toEqual(wanted)
    bytes.slice().forEach((byte, i) => (bytes[i] = byte ^ 0xff))
  })

  test('that claims more than there can be is refused by its head', () => {
    const head = bytes.indexOf(0x87)
    const decoder = (maxEnd: number) => new PushPullDecoder(1, maxEnd)
    // Each member takes a byte at least.
    expect(decoder(head + 2 + 3).advance(bytes, head)).toBeUndefined()
    const claimed = () => decoder(head + 2 + 3 - 1).advance(bytes, head)
    expect(thrownCode(claimed)).toBe('WIRE_MALFORMED')
    expect(thrownDetail(claimed)).toEqual({ nodes: 2, userStateBytes: 3 })
  })

  test.each([
    ['maxNodes', { nodes: [node, node] }],
    ['maxUserStateBytes', { userState: zeros(2) }],
    ['MAX_EVICTED', { evicted: Array.from({ length: 1025 }, () => ({ name: 'e', forMs: 1 })) }],
  ])('that is beyond %s says so', (limit, changes) => {
    const sent = encodePushPull({ join: false, nodes: [], userState: zeros(0), ...changes })
    const decoder = new PushPullDecoder(1, sent.length, { maxNodes: 1, maxUserStateBytes: 1 })
    expect(thrownDetail(() => decoder.advance(sent, sent.length))).toMatchObject({ limit })
  })

  test.each([
    ['push/pull.Nodes', '80'],
    ['Evicted.Name', '82a54e6f64657300a745766963746564a881a5466f724d7305'],
    ['Evicted.ForMs', '82a54e6f64657300a745766963746564a881a44e616d65a161'],
  ])('without its %s says so', (field, hex) => {
    const sent = Uint8Array.of(6, ...Buffer.from(hex, 'hex'))
    expect(thrownDetail(() => new PushPullDecoder(1, sent.length).advance(sent, sent.length))).toMatchObject({
      field,
    })
  })
})
