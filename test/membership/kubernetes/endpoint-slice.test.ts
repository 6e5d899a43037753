import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseEndpointSlice } from '../../../src/membership/kubernetes/endpoint-slice.ts'
import { PHASES, sliceOf, type SlicePod } from './slice-fixtures.ts'

const first = (slice: unknown) => parseEndpointSlice(slice)?.endpoints[0]
const pod = (over: Partial<SlicePod> = {}) => sliceOf('s', [{ name: 'p', address: '10.0.0.1', ...over }])

describe('parseEndpointSlice', () => {
  test('takes ports, addresses, pods and zones', () => {
    expect(parseEndpointSlice(sliceOf('s', [{ name: 'p', address: '10.0.0.1', zone: 'z1' }]))).toEqual({
      name: 's',
      namespace: '',
      service: 'cache',
      version: '',
      family: 'IPv4',
      ports: [{ name: 'app', port: 8000 }],
      endpoints: [
        {
          address: '10.0.0.1',
          pod: { name: 'p', uid: 'uid-p' },
          zone: 'z1',
          serving: true,
          terminating: false,
        },
      ],
    })
  })

  test.each([
    [{}, { serving: true, terminating: false }],
    [
      { ready: null, serving: null, terminating: null },
      { serving: true, terminating: false },
    ],
    [{ ready: true }, { serving: true, terminating: false }],
    [{ ready: false }, { serving: false, terminating: false }],
    [PHASES.serving, { serving: true, terminating: false }],
    [PHASES.unready, { serving: false, terminating: false }],
    [PHASES.terminating, { serving: false, terminating: true }],
    // With publishNotReadyAddresses everything is ready, also what is not.
    [
      { ready: true, serving: false, terminating: false },
      { serving: false, terminating: false },
    ],
    [
      { ready: true, serving: true, terminating: true },
      { serving: true, terminating: true },
    ],
    // Somebody else's slice that says no.
    [
      { ready: false, serving: true, terminating: false },
      { serving: false, terminating: false },
    ],
  ])('conditions %j mean %j', (conditions, meaning) => {
    expect(first(pod(conditions))).toMatchObject(meaning)
  })

  test('an endpoint that is no pod has no pod', () => {
    const slice = {
      ...pod(),
      endpoints: [{ addresses: ['10.0.0.1'], targetRef: { kind: 'Node', name: 'n' } }],
    }
    expect(first(slice)).toMatchObject({ address: '10.0.0.1', pod: undefined })
    expect(first({ ...pod(), endpoints: [{ addresses: ['10.0.0.1'] }] })).toMatchObject({ pod: undefined })
  })

  test('the first address stands for the endpoint', () => {
    const slice = { ...pod(), endpoints: [{ addresses: ['10.0.0.7', '10.0.0.8'] }] }
    expect(first(slice)).toMatchObject({ address: '10.0.0.7' })
  })

  test('what cannot be used is left out', () => {
    const endpoints = [
      null,
      {},
      { addresses: [] },
      { addresses: ['fd00::1'] },
      { addresses: ['example.com'] },
      { addresses: [7] },
      { addresses: ['10.0.0.1'], zone: 'x'.repeat(200), targetRef: { kind: 'Pod', name: 'a b', uid: 1 } },
    ]
    expect(parseEndpointSlice({ ...pod(), endpoints })?.endpoints).toEqual([
      { address: '10.0.0.1', pod: undefined, zone: undefined, serving: true, terminating: false },
    ])
    const ports = [{ port: 0 }, { port: 70_000 }, { port: '80' }, {}, null, { name: null, port: 80 }]
    expect(parseEndpointSlice({ ...pod(), ports })?.ports).toEqual([{ name: '', port: 80 }])
  })

  test('lists that are missing or null are empty', () => {
    expect(parseEndpointSlice({ metadata: { name: 's' }, addressType: 'IPv6', ports: null })).toEqual({
      name: 's',
      namespace: '',
      service: '',
      version: '',
      family: 'IPv6',
      ports: [],
      endpoints: [],
    })
  })

  test('never more endpoints than the API allows', () => {
    const endpoints = Array.from({ length: 5000 }, () => ({ addresses: ['10.0.0.1'] }))
    expect(parseEndpointSlice({ ...pod(), endpoints })?.endpoints).toHaveLength(1000)
  })

  test('any JSON is a slice or none, and never an error', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        parseEndpointSlice(value)
        parseEndpointSlice({ metadata: { name: 's' }, addressType: 'IPv4', ports: value, endpoints: value })
        parseEndpointSlice({
          metadata: { name: 's' },
          addressType: value,
          endpoints: [value, { addresses: value }],
        })
      }),
    )
    for (const value of [null, 1, 'x', [], {}, { metadata: {} }, { metadata: { name: '' } }]) {
      expect(parseEndpointSlice(value)).toBeUndefined()
    }
  })
})
