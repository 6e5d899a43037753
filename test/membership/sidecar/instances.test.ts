import { describe, expect, test } from 'vitest'
import { placeMembers } from '../../../src/membership/placement.ts'
import { parseJson, parseState, STATUS } from '../../../src/membership/sidecar/catalog.ts'
import { membersOf, selectInstances } from '../../../src/membership/sidecar/instances.ts'
import { golden, stateJson, tick, type Described } from './sidecar-fixtures.ts'

const select = (...instances: readonly Described[]) =>
  selectInstances(parseState(stateJson(tick(1), instances), 'some-svc').services, 9999)

describe('selectInstances', () => {
  test('takes the address and port of a recorded state, and says what it skipped', () => {
    const { services } = parseState(parseJson(golden('sidecar-state.json')), 'some-svc')
    const selection = selectInstances(services, 9999)
    expect(selection.instances).toEqual([
      { name: '10.0.0.3:12345', address: '10.0.0.3', port: 12_345, state: 'dead' },
      { name: '127.0.0.1:23423', address: '127.0.0.1', port: 23_423, state: 'alive' },
      { name: 'host-b:12345', address: 'host-b', port: 12_345, state: 'alive' },
    ])
    expect(selection.skipped).toEqual([
      { id: 'eeeeeeeeeeee', hostname: 'host-d', reason: 'no-matching-port' },
    ])
  })

  test.each([
    [STATUS.alive, 'alive'],
    [STATUS.draining, 'left'],
    [STATUS.tombstone, 'dead'],
    [STATUS.unhealthy, 'dead'],
    [STATUS.unknown, 'dead'],
    [17, 'dead'],
  ])('status %i is %s', (status, state) => {
    expect(select({ id: 'a', ip: '10.0.0.1', status }).instances).toMatchObject([{ state }])
  })

  test('only the alive are on the ring, under IP:Port or Hostname:Port', () => {
    const selection = select(
      { id: 'a', ip: '10.0.0.1', port: 23_423 },
      { id: 'b', hostname: 'host-b', port: 12_345 },
      { id: 'c', ip: '::1', port: 80 },
      ...[1, 2, 3, 4, 9].map((status) => ({ id: `s${status}`, ip: `10.0.1.${status}`, status })),
    )
    const nodes = placeMembers(membersOf(selection, [], 0), 'address')
    expect(nodes.map(({ ringKey }) => ringKey)).toEqual(['10.0.0.1:23423', '::1:80', 'host-b:12345'])
    expect(placeMembers(membersOf(selection, [], 0), 'name').map(({ ringKey }) => ringKey)).toEqual(
      nodes.map(({ ringKey }) => ringKey),
    )
  })

  test('the first port that matches is the one', () => {
    const services = [
      {
        id: 'a',
        name: 'some-svc',
        hostname: 'h',
        status: 0,
        updated: 0n,
        ports: [
          { port: 1, servicePort: 8888, ip: '10.0.0.1' },
          { port: 2, servicePort: 9999, ip: '10.0.0.2' },
          { port: 3, servicePort: 9999, ip: '10.0.0.3' },
        ],
      },
    ]
    expect(selectInstances(services, 9999).instances.map(({ name }) => name)).toEqual(['10.0.0.2:2'])
  })

  test.each([
    ['no port matches', { servicePort: 8888 }, 'no-matching-port'],
    ['port 0', { port: 0 }, 'port-out-of-range'],
    ['port 65536', { port: 65_536 }, 'port-out-of-range'],
    ['neither IP nor host name', { hostname: '' }, 'address-unusable'],
    ['a space in the address', { ip: '10.0.0.1 evil' }, 'address-unusable'],
    ['a line break in the address', { ip: '10.0.0.1\n' }, 'address-unusable'],
    ['half a character in the address', { hostname: 'h\ud800' }, 'address-unusable'],
    ['an over-long address', { hostname: 'h'.repeat(254) }, 'address-unusable'],
  ])('skips an instance with %s', (_, described, reason) => {
    const selection = select({ id: 'a', ...described }, { id: 'b', ip: '10.0.0.2' })
    expect(selection.instances.map(({ name }) => name)).toEqual(['10.0.0.2:8000'])
    expect(selection.skipped).toMatchObject([{ id: 'a', reason }])
    expect(select({ id: 'a', ...described, status: STATUS.tombstone }).skipped).toEqual([])
  })

  test('what is alive stands before the tombstone of what was there before it', () => {
    const dead = { id: 'old', ip: '10.0.0.1', status: STATUS.tombstone, updated: tick(9) }
    const alive = { id: 'new', ip: '10.0.0.1', updated: tick(1) }
    expect(select(dead, alive).instances).toMatchObject([{ state: 'alive' }])
    expect(select(alive, dead).instances).toMatchObject([{ state: 'alive' }])
  })

  test('of two that are not alive the one updated last stands, in whatever order they come', () => {
    const draining = { id: 'a', ip: '10.0.0.1', status: STATUS.draining, updated: tick(2) }
    const dead = { id: 'b', ip: '10.0.0.1', status: STATUS.tombstone, updated: tick(1) }
    expect(select(draining, dead).instances).toMatchObject([{ state: 'left' }])
    expect(select(dead, draining).instances).toMatchObject([{ state: 'left' }])
    const tie = { ...dead, updated: tick(2) }
    expect(select(draining, tie).signature).toBe(select(tie, draining).signature)
  })

  test('signatures are equal exactly when the instances are', () => {
    const a = { id: 'a', ip: '10.0.0.1' }
    const b = { id: 'b', ip: '10.0.0.2' }
    expect(select(a, b).signature).toBe(select({ ...b, id: 'z', updated: tick(5) }, a).signature)
    expect(select(a, b).signature).not.toBe(select(a).signature)
    expect(select(a).signature).not.toBe(select({ ...a, status: STATUS.draining }).signature)
  })
})

describe('membersOf', () => {
  test('keeps a member that is as it was, and dates a new state', () => {
    const before = membersOf(select({ id: 'a', ip: '10.0.0.1' }, { id: 'b', ip: '10.0.0.2' }), [], 1000)
    const after = membersOf(
      select({ id: 'a', ip: '10.0.0.1' }, { id: 'b', ip: '10.0.0.2', status: STATUS.draining }),
      before,
      2000,
    )
    expect(after[0]).toBe(before[0])
    expect(after[1]).toMatchObject({ state: 'left', stateSinceMs: 2000 })
    expect(before[1]).toMatchObject({ state: 'alive', stateSinceMs: 1000, metadata: { servicePort: '8000' } })
  })
})
