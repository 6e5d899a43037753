import type { NetworkInterfaceInfo } from 'node:os'
import { describe, expect, test } from 'vitest'
import { isRingmanError } from '../../../src/errors.ts'
import { checkBindAddress, chooseIPv4Address } from '../../../src/membership/swim/ipv4-address.ts'

const info = (address: string, internal = false) =>
  ({ address, internal, family: address.includes(':') ? 'IPv6' : 'IPv4' }) as NetworkInterfaceInfo

const choose = (
  options: {
    advertise?: string
    bindHost?: string
    preset?: 'lan' | 'local'
    addresses?: readonly NetworkInterfaceInfo[]
  } = {},
) =>
  chooseIPv4Address({
    advertise: options.advertise,
    bindHost: options.bindHost ?? '0.0.0.0',
    local: options.preset === 'local',
    interfaces: { lo: [info('127.0.0.1', true), info('::1', true)], eth0: [...(options.addresses ?? [])] },
  })

const refusal = (fn: () => unknown): Error | undefined => {
  try {
    fn()
  } catch (error) {
    if (isRingmanError(error) && error.code === 'CONFIG_INVALID') return error
    throw error
  }
  return undefined
}

describe('the advertised address', () => {
  test('is the one given', () => {
    expect(choose({ advertise: '10.0.0.5', bindHost: '127.0.0.1' })).toBe('10.0.0.5')
  })

  test('or the one bound to', () => {
    expect(choose({ bindHost: '127.0.0.2', addresses: [info('10.0.0.1'), info('10.0.0.2')] })).toBe(
      '127.0.0.2',
    )
  })

  test('or the only one there is', () => {
    expect(choose({ addresses: [info('10.0.0.1'), info('fd00::1'), info('169.254.1.1')] })).toBe('10.0.0.1')
    expect(choose({ addresses: [info('169.254.1.1')] })).toBe('169.254.1.1')
    expect(choose({ addresses: [info('10.0.0.1'), info('10.0.0.1')] })).toBe('10.0.0.1')
  })

  test('or loopback, when there is none, and for clusters on one machine', () => {
    expect(choose()).toBe('127.0.0.1')
    expect(choose({ preset: 'local', addresses: [info('10.0.0.1'), info('10.0.0.2')] })).toBe('127.0.0.1')
  })

  test('is asked for when there are several, which are named', () => {
    const error = refusal(() => choose({ addresses: [info('10.0.0.1'), info('192.168.0.1')] }))
    expect(error?.message).toContain('10.0.0.1, 192.168.0.1')
  })

  test.each(['0.0.0.0', '::1', '::', 'pod-0', '', '224.0.0.1', '255.255.255.255', '10.0.0.1:7946'])(
    'cannot be %j',
    (advertise) => {
      expect(refusal(() => choose({ advertise }))).toBeDefined()
    },
  )
})

test('one can bind to an IPv4 address or to all of them', () => {
  for (const address of ['0.0.0.0', '127.0.0.1', '10.0.0.1']) checkBindAddress(address)
  for (const address of ['::', '::1', 'localhost', '', '224.0.0.1']) {
    expect(refusal(() => checkBindAddress(address))).toBeDefined()
  }
  expect(refusal(() => checkBindAddress('::1'))?.message).toContain('IPv6')
})
