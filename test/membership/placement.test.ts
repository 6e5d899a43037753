import { expect, test } from 'vitest'
import { placeMembers, ringKeyOf } from '../../src/membership/placement.ts'
import { fakeMember } from '../support/fake-source.ts'

test('the ring key is the address with the service port, or the name', () => {
  const member = fakeMember('pod-0', '10.0.0.1', { servicePort: '8080' })
  expect(ringKeyOf(member, 'address')).toBe('10.0.0.1:8080')
  expect(ringKeyOf(member, 'name')).toBe('pod-0')
  expect(ringKeyOf(fakeMember('six', '::1'), 'address')).toBe('::1:8000')
  expect(ringKeyOf({ ...member, metadata: undefined }, 'name')).toBeUndefined()
})

test('those alive or suspect with metadata own something', () => {
  const nodes = placeMembers(
    [
      fakeMember('a', '10.0.0.1', { weight: 3, zone: 'z' }),
      fakeMember('b', '10.0.0.2', { state: 'suspect' }),
      fakeMember('c', '10.0.0.3', { state: 'dead' }),
      fakeMember('d', '10.0.0.4', { state: 'left' }),
      { ...fakeMember('e', '10.0.0.5'), metadata: undefined },
    ],
    'address',
  )
  expect(nodes).toStrictEqual([
    { ringKey: '10.0.0.1:8000', weight: 3, name: 'a', address: '10.0.0.1', port: 8000, zone: 'z' },
    { ringKey: '10.0.0.2:8000', weight: 1, name: 'b', address: '10.0.0.2', port: 8000 },
  ])
})

test('of two members with one ring key the lower name stands for both', () => {
  const twins = [fakeMember('a', '10.0.0.1'), fakeMember('b', '10.0.0.1', { weight: 5 })]
  expect(placeMembers(twins, 'address').map(({ name, weight }) => [name, weight])).toEqual([['a', 1]])
  expect(placeMembers(twins, 'name').map(({ ringKey }) => ringKey)).toEqual(['a', 'b'])
  const [dead, alive] = [fakeMember('a', '10.0.0.1', { state: 'dead' }), fakeMember('b', '10.0.0.1')]
  expect(placeMembers([dead, alive], 'address').map(({ name }) => name)).toEqual(['b'])
})

test('a name that cannot be a ring key keeps its member, and no other, off the ring', () => {
  const members = ['', 'a\nb', 'a\ud800', 'pod-0'].map((name, i) => fakeMember(name, `10.0.0.${i}`))
  expect(placeMembers(members, 'name').map(({ ringKey }) => ringKey)).toEqual(['pod-0'])
  expect(placeMembers(members, 'address')).toHaveLength(4)
})
