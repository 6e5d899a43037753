import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parsePod } from '../../src/kubernetes/pod-watch.ts'

const metadata = { name: 'ring-0', uid: 'u1' }

describe('parsePod', () => {
  test('takes name, UID, phase and the addresses of both families', () => {
    const status = { phase: 'Running', podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] }
    expect(parsePod({ metadata, status })).toEqual({
      name: 'ring-0',
      uid: 'u1',
      phase: 'Running',
      terminating: false,
      ready: true,
      addresses: ['10.0.0.1', 'fd00::1'],
    })
  })

  test('is not ready where Kubernetes says so, not where it says nothing yet', () => {
    const ready = (status: unknown) =>
      parsePod({ metadata, status: { conditions: [{ type: 'Initialized', status: 'False' }, status] } })
        ?.ready
    expect(ready({ type: 'Ready', status: 'False', reason: 'NodeNotReady' })).toBe(false)
    expect(ready({ type: 'Ready', status: 'Unknown' })).toBe(false)
    expect(ready({ type: 'Ready', status: 'True' })).toBe(true)
    expect(ready({ type: 'ContainersReady', status: 'False' })).toBe(true)
  })

  test('a pod without a network has no address; one that is being deleted says so', () => {
    const deleted = { ...metadata, deletionTimestamp: '2026-01-01T00:00:00Z' }
    expect(parsePod({ metadata: deleted, status: { phase: 'Pending' } })).toMatchObject({
      terminating: true,
      addresses: [],
    })
    expect(parsePod({ metadata })).toMatchObject({ phase: 'Unknown', addresses: [] })
  })

  test('what is no address is left out', () => {
    const status = { podIP: 'name', podIPs: [{ ip: 7 }, null, { ip: '' }, { ip: '10.0.0.2' }] }
    expect(parsePod({ metadata, status })?.addresses).toEqual(['10.0.0.2'])
  })

  test('any JSON is a pod or none, and never an error', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        parsePod(value)
        parsePod({ metadata, status: value })
        parsePod({ metadata, status: { podIP: value, podIPs: value, phase: value, conditions: value } })
      }),
    )
    for (const value of [null, [], {}, { metadata: {} }, { metadata: { name: 'a' } }]) {
      expect(parsePod(value)).toBeUndefined()
    }
  })
})
