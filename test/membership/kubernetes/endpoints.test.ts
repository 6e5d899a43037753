import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseEndpointSlice, type EndpointSlice } from '../../../src/membership/kubernetes/endpoint-slice.ts'
import {
  viewEndpoints as viewInSteps,
  type FamilyChoice,
  type PortChoice,
} from '../../../src/membership/kubernetes/endpoints.ts'
import { finish } from '../../../src/ring/steps.ts'
import { PHASES, sliceOf, type SlicePod } from './slice-fixtures.ts'

const viewEndpoints = (...args: Parameters<typeof viewInSteps>) => finish(viewInSteps(...args))

const slice = (...args: Parameters<typeof sliceOf>): EndpointSlice => {
  const parsed = parseEndpointSlice(sliceOf(...args))
  if (parsed === undefined) throw new Error('no slice')
  return parsed
}

const places = (slices: readonly EndpointSlice[], port?: PortChoice, family: FamilyChoice = 'auto') =>
  Array.from(
    viewEndpoints(slices, port, family).endpoints.values(),
    ({ name, address, port: at }) => `${name} ${address} ${at}`,
  ).sort()

const a4: SlicePod = { name: 'a', address: '10.0.0.1' }
const a6: SlicePod = { name: 'a', address: 'fd00::1' }
const b4: SlicePod = { name: 'b', address: '10.0.0.2' }
const b6: SlicePod = { name: 'b', address: 'fd00::2' }

describe('viewEndpoints', () => {
  test('merges slices; an endpoint in two of them counts once', () => {
    expect(places([slice('s1', [a4, b4]), slice('s2', [b4])])).toEqual(['a 10.0.0.1 8000', 'b 10.0.0.2 8000'])
  })

  test('endpoints without a pod go by address and port', () => {
    const byHand = parseEndpointSlice({ ...sliceOf('s', []), endpoints: [{ addresses: ['10.0.0.9'] }] })
    expect(places(byHand === undefined ? [] : [byHand])).toEqual(['10.0.0.9:8000 10.0.0.9 8000'])
  })

  describe('of a dual-stack Service one family counts for all', () => {
    const v4 = slice('v4', [a4])
    const v6 = slice('v6', [a6, b6], { addressType: 'IPv6' })

    test('IPv4 where there is any, also while only some pods have it', () => {
      expect(places([v6, v4])).toEqual(['a 10.0.0.1 8000'])
      expect(places([v6, slice('v4', [])])).toEqual([])
    })

    test('IPv6 where there is nothing else', () => {
      expect(places([v6])).toEqual(['a fd00::1 8000', 'b fd00::2 8000'])
    })

    test('or the one that was chosen', () => {
      expect(places([v4, v6], undefined, 'IPv6')).toEqual(['a fd00::1 8000', 'b fd00::2 8000'])
      expect(places([v6], undefined, 'IPv4')).toEqual([])
    })
  })

  describe('the port', () => {
    const ports = [
      { name: 'app', port: 8000 },
      { name: 'metrics', port: 9000 },
    ]

    test('by name, which may be another number in another slice', () => {
      const other = slice('s2', [b4], { ports: [{ name: 'metrics', port: 9100 }] })
      expect(places([slice('s1', [a4], { ports }), other], 'metrics')).toEqual([
        'a 10.0.0.1 9000',
        'b 10.0.0.2 9100',
      ])
    })

    test('by number, which must be one of the ports unless the slice has none', () => {
      expect(places([slice('s', [a4], { ports })], 8000)).toEqual(['a 10.0.0.1 8000'])
      expect(places([slice('s', [a4], { ports })], 80)).toEqual([])
      expect(places([slice('s', [a4], { ports: null })], 80)).toEqual([])
      expect(places([slice('s', [a4], { ports: [] })], 80)).toEqual(['a 10.0.0.1 80'])
    })

    test('the only one there is, TCP and UDP being one', () => {
      expect(places([slice('s', [a4])])).toEqual(['a 10.0.0.1 8000'])
      const both = [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns-tcp', port: 53, protocol: 'TCP' },
      ]
      expect(places([slice('s', [a4], { ports: both })])).toEqual(['a 10.0.0.1 53'])
    })

    test('where it is not to be had, the endpoints are counted and the ports named', () => {
      expect(viewEndpoints([slice('s', [a4, b4], { ports })], undefined, 'auto')).toMatchObject({
        portlessCount: 2,
        otherPorts: ['app=8000', 'metrics=9000'],
      })
      expect(viewEndpoints([slice('s', [a4], { ports })], 'http', 'auto').portlessCount).toBe(1)
      expect(viewEndpoints([slice('s', [], { ports })], 'http', 'auto').portlessCount).toBe(0)
    })
  })

  test('who serves stands for the name, then who is not about to go, then the lower address', () => {
    const old = { ...a4, address: '10.0.0.1' }
    const successor = { ...a4, address: '10.0.0.9', uid: 'u2' }
    const cases: [SlicePod, SlicePod, string][] = [
      [{ ...old, ...PHASES.draining }, { ...successor, ...PHASES.serving }, '10.0.0.9'],
      [{ ...old, ...PHASES.terminating }, { ...successor, ...PHASES.unready }, '10.0.0.9'],
      [{ ...old, ...PHASES.serving }, { ...successor, ...PHASES.unready }, '10.0.0.1'],
      [{ ...old, ...PHASES.serving }, { ...successor, ...PHASES.serving }, '10.0.0.1'],
    ]
    for (const [one, other, address] of cases) {
      expect(places([slice('s1', [one]), slice('s2', [other])])).toEqual([`a ${address} 8000`])
    }
  })

  test('slices with host names are counted and left out', () => {
    const names = slice('s', [a4], { addressType: 'FQDN' })
    expect(viewEndpoints([names], undefined, 'auto')).toMatchObject({ hostNameSlices: 1, family: undefined })
  })

  test('the order of the slices does not matter', () => {
    const pod = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      uid: fc.constantFrom('u1', 'u2'),
      host: fc.integer({ min: 1, max: 4 }),
      phase: fc.constantFrom(...Object.values(PHASES)),
    })
    const anySlice = fc
      .tuple(fc.array(pod, { maxLength: 5 }), fc.boolean(), fc.constantFrom(8000, 8001))
      .map(([pods, v6, port]) =>
        slice(
          's',
          pods.map(({ name, uid, host, phase }) => ({
            name,
            uid,
            address: v6 ? `fd00::${host}` : `10.0.0.${host}`,
            ...phase,
          })),
          { addressType: v6 ? 'IPv6' : 'IPv4', ports: [{ name: 'app', port }] },
        ),
      )
    const shuffled = fc
      .array(anySlice, { maxLength: 6 })
      .chain((slices) =>
        fc.tuple(fc.constant(slices), fc.shuffledSubarray(slices, { minLength: slices.length })),
      )
    fc.assert(
      fc.property(shuffled, ([slices, others]) => {
        const [one, other] = [slices, others].map((some) => viewEndpoints(some, 'app', 'auto'))
        expect(new Map(one?.endpoints)).toEqual(new Map(other?.endpoints))
        expect({ ...one, endpoints: 0 }).toEqual({ ...other, endpoints: 0 })
      }),
    )
  })
})
