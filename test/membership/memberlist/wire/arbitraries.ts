import * as fc from 'fast-check'
import type { Message, PushPull, StreamMessage } from '../../../../src/membership/memberlist/wire/messages.ts'
import { anyText } from '../../../support/any-text.ts'

const u32 = fc.nat({ max: 0xffff_ffff })
const port = fc.nat({ max: 0xffff })
const name = anyText(40, 1)
const nameOrEmpty = fc.oneof(name, fc.constant(''))
const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
)
const vsn = fc.uint8Array({ minLength: 6, maxLength: 6 })
const meta = fc.uint8Array({ maxLength: 512 })
const payload = fc.uint8Array({ maxLength: 300 })
const source = fc.record({ address, port: fc.integer({ min: 1, max: 0xffff }), node: nameOrEmpty })
const clusterName = { clusterName: nameOrEmpty }
const source1 = { source }

const ping = fc.record(
  { kind: fc.constant('ping' as const), seqNo: u32, node: nameOrEmpty, ...source1 },
  { requiredKeys: ['kind', 'seqNo', 'node'] },
)
const ack = fc.record({ kind: fc.constant('ack' as const), seqNo: u32, payload })
const user = fc.record({ kind: fc.constant('user' as const), payload })

/** Any message that a datagram can carry. */
export const anyMessage: fc.Arbitrary<Message> = fc.oneof(
  ping,
  fc.record(
    {
      kind: fc.constant('indirect-ping' as const),
      seqNo: u32,
      target: address,
      port,
      node: nameOrEmpty,
      nack: fc.boolean(),
      ...source1,
    },
    { requiredKeys: ['kind', 'seqNo', 'target', 'port', 'node', 'nack'] },
  ),
  ack,
  fc.record({ kind: fc.constant('nack' as const), seqNo: u32 }),
  fc.record(
    {
      kind: fc.constantFrom('suspect' as const, 'dead' as const),
      incarnation: u32,
      node: name,
      from: nameOrEmpty,
      ...clusterName,
    },
    { requiredKeys: ['kind', 'incarnation', 'node', 'from'] },
  ),
  fc.record(
    {
      kind: fc.constant('alive' as const),
      incarnation: u32,
      node: name,
      address,
      port,
      meta,
      vsn,
      ...clusterName,
    },
    { requiredKeys: ['kind', 'incarnation', 'node', 'address', 'port', 'meta', 'vsn'] },
  ),
  user,
)

/** Any push/pull with a few members. */
export const anyPushPull: fc.Arbitrary<PushPull> = fc.record(
  {
    join: fc.boolean(),
    nodes: fc.array(
      fc.record({ name, address, port, meta, incarnation: u32, state: fc.nat({ max: 3 }), vsn }),
      { maxLength: 12 },
    ),
    userState: payload,
    evicted: fc.array(fc.record({ name: nameOrEmpty, forMs: u32 }), { minLength: 1, maxLength: 4 }),
    ...clusterName,
  },
  { requiredKeys: ['join', 'nodes', 'userState'] },
)

/** Any message that a stream can carry. */
export const anyStreamMessage: fc.Arbitrary<StreamMessage> = fc.oneof(
  ping,
  ack,
  user,
  anyPushPull.map((pushPull) => ({ kind: 'push-pull' as const, pushPull })),
  fc.record({ kind: fc.constant('error' as const), text: nameOrEmpty }),
)

/** No label, or a short one. */
export const anyLabel = fc.oneof(fc.constant(''), fc.string({ minLength: 1, maxLength: 30 }))

/** No encryption, or one of either version with a key of any allowed length. */
export const anyEncryption = fc.option(
  fc
    .record({
      key: fc
        .constantFrom(16, 24, 32)
        .chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
      version: fc.constantFrom(0 as const, 1 as const),
      nonce: fc.uint8Array({ minLength: 12, maxLength: 12 }),
    })
    .map(({ key, version, nonce }) => ({ key, version, nextNonce: () => nonce })),
  { nil: undefined },
)
