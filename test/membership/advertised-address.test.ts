import type { NetworkInterfaceInfo } from 'node:os'
import { expect, test } from 'vitest'
import { chooseAdvertisedAddress, leadsToThisMachine } from '../../src/membership/advertised-address.ts'

const info = (address: string) =>
  ({
    address,
    internal: address === '::1',
    family: address.includes(':') ? 'IPv6' : 'IPv4',
  }) as NetworkInterfaceInfo

const choose = (bindHost: string, addresses: readonly string[], advertise?: string) =>
  chooseAdvertisedAddress({
    advertise,
    bindHost,
    local: false,
    interfaces: { eth0: addresses.map(info), down: undefined },
  })

test.each([
  ['IPv4 before IPv6 where a socket serves both', '::', ['fd00::1', '10.0.0.1'], '10.0.0.1'],
  ['IPv6 where there is nothing else', '::', ['::1', 'fe80::1', 'fd00::1'], 'fd00::1'],
  ['only IPv4 for an IPv4 socket', '0.0.0.0', ['fd00::1', 'fd00::2', '10.0.0.1'], '10.0.0.1'],
  ['what it is bound to', 'fd00::2', ['fd00::1', '10.0.0.1'], 'fd00::2'],
  ['no link-local one where there is another', '0.0.0.0', ['169.254.1.1', '10.0.0.1'], '10.0.0.1'],
  ['a link-local one of IPv4 where there are no others', '::', ['fe80::1', '169.254.1.1'], '169.254.1.1'],
  ['loopback where there is nothing', '0.0.0.0', ['fd00::1'], '127.0.0.1'],
])('finds %s', (_, bindHost, addresses, expected) => {
  expect(choose(bindHost, addresses)).toBe(expected)
})

test('takes loopback where all members are on this machine, unless bound or told otherwise', () => {
  const interfaces = { eth0: [info('10.0.0.1')] }
  const local = (bindHost: string, advertise?: string) =>
    chooseAdvertisedAddress({ advertise, bindHost, local: true, interfaces })
  expect([local('0.0.0.0'), local('::'), local('127.0.0.2'), local('::', '10.9.9.9')]).toEqual([
    '127.0.0.1',
    '127.0.0.1',
    '127.0.0.2',
    '10.9.9.9',
  ])
})

test('takes an IPv6 address when told so, and refuses what leads nowhere or to one link only', () => {
  expect(choose('::', [], 'fd00::7')).toBe('fd00::7')
  for (const advertise of ['::', '0.0.0.0', '0:0::0', 'fe80::1%eth0', 'host', '']) {
    expect(() => choose('::', [], advertise)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  }
})

test('names the candidates when there are several', () => {
  expect(() => choose('::', ['fd00::1', 'fd00::2'])).toThrow(
    expect.objectContaining({
      code: 'CONFIG_INVALID',
      message:
        'there are several addresses to advertise: fd00::1, fd00::2; give one of them to advertise (--advertise) or to bind (--bind)',
      detail: { candidates: ['fd00::1', 'fd00::2'] },
    }),
  )
})

test.each([
  ['0.0.0.0', '127.0.1.1', true],
  ['0.0.0.0', '127.200.0.1', true],
  ['0.0.0.0', '126.0.0.1', false],
  ['0.0.0.0', '::1', true],
  ['0.0.0.0', '10.0.0.1', true],
  ['0.0.0.0', '10.0.0.2', false],
  ['::', '10.0.0.1', true],
  ['::', 'fd00:0:0::1', true],
  ['::', 'fd00::2', false],
  ['10.0.0.1', '10.0.0.1', true],
  ['10.0.0.1', '127.0.0.1', false],
  ['fd00::1', 'fd00:0::1', true],
])('what is bound to %s takes what is sent to %s: %s', (bindHost, address, expected) => {
  const interfaces = { eth0: [info('10.0.0.1'), info('fd00::1')], down: undefined }
  expect(leadsToThisMachine(address, bindHost, interfaces)).toBe(expected)
})
