import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isRingmanError } from '../../src/errors.ts'
import { formatHostPort, isUnspecified } from '../../src/addresses.ts'
import { formatSeed, parseSeed } from '../../src/seeds/seed.ts'
import { codeOf } from '../support/error-code.ts'

describe('parseSeed', () => {
  test.each([
    ['a:7946', { kind: 'host', name: 'a', port: 7946 }],
    ['a', { kind: 'host', name: 'a' }],
    ['ring-0.ring_gossip.default.svc', { kind: 'host', name: 'ring-0.ring_gossip.default.svc' }],
    ['localhost:1', { kind: 'host', name: 'localhost', port: 1 }],
    ['1.2.3.4:7946', { kind: 'address', address: '1.2.3.4', port: 7946 }],
    ['1.2.3.4', { kind: 'address', address: '1.2.3.4' }],
    ['[::1]:7946', { kind: 'address', address: '::1', port: 7946 }],
    ['[2001:db8::5]', { kind: 'address', address: '2001:db8::5' }],
    ['dns:gossip.default.svc', { kind: 'dns', name: 'gossip.default.svc' }],
    [
      'dns:gossip.default.svc.cluster.local.:65535',
      {
        kind: 'dns',
        name: 'gossip.default.svc.cluster.local.',
        port: 65_535,
      },
    ],
    ['srv:_gossip._udp.ringman', { kind: 'srv', name: '_gossip._udp.ringman' }],
    ['pods:', { kind: 'pods' }],
    ['pods:7946', { kind: 'pods', port: 7946 }],
    ['pods', { kind: 'host', name: 'pods' }],
    ['dns', { kind: 'host', name: 'dns' }],
    ['dns:7946', undefined],
  ])('%s', (text, seed) => {
    if (seed === undefined) expect(codeOf(() => parseSeed(text))).toBe('CONFIG_INVALID')
    else expect(parseSeed(text)).toEqual(seed)
  })

  test.each([
    '',
    ':',
    ':7946',
    'a:',
    'a:0',
    'a:65536',
    'a:07946',
    'a:7e3',
    'a:b',
    '::1',
    '::1:7946',
    '[::1',
    '[::1]7946',
    '[::1]:',
    '[fe80::1%eth0]:1',
    '[1.2.3.4]:1',
    '[a]:1',
    '0.0.0.0:7946',
    '0.1.2.3',
    '224.0.0.1:7946',
    '239.255.1.1',
    '255.255.255.255:7946',
    '169.254.169.254:80',
    '[ff02::1]:7946',
    '[fe80::1]:7946',
    '[::ffff:224.0.0.1]:7946',
    '[::]:7946',
    '[0:0::0]:1',
    '1.2.3:1',
    '300.1.1.1',
    'a b',
    ' a',
    'a/b',
    'http://a',
    '-a',
    'a-',
    'a..b',
    '.',
    'a'.repeat(64),
    `${'a.'.repeat(130)}a`,
    'dns:',
    'dns:1.2.3.4',
    'dns:[::1]',
    'srv:',
    'srv:a:7946',
    'srv:1.2.3.4',
    'pods:0',
    'pods:a',
    'pods::7946',
    'DNS:a',
    'a:1:2',
    'é',
  ])('refuses %j', (text) => {
    expect(codeOf(() => parseSeed(text))).toBe('CONFIG_INVALID')
  })

  test('any text is a seed that formats back to an equal one, or CONFIG_INVALID', () => {
    const piece = fc.constantFrom(
      'dns:',
      'srv:',
      'pods:',
      '[',
      ']',
      ':',
      '::1',
      '1.2.3.4',
      '7946',
      'a',
      '.',
      '-',
      '_',
      ' ',
      '0',
    )
    const text = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
    )
    fc.assert(
      fc.property(text, (given) => {
        let seed
        try {
          seed = parseSeed(given)
        } catch (error) {
          expect(isRingmanError(error) && error.code).toBe('CONFIG_INVALID')
          return
        }
        expect(parseSeed(formatSeed(seed))).toEqual(seed)
      }),
      { numRuns: 2000 },
    )
  })
})

test('formatHostPort brackets IPv6', () => {
  expect(formatHostPort({ address: '::1', port: 1 })).toBe('[::1]:1')
  expect(formatHostPort({ address: '10.0.0.1', port: 2 })).toBe('10.0.0.1:2')
})

test('isUnspecified knows every spelling', () => {
  expect(['0.0.0.0', '::', '0::0', '::0.0.0.0'].map(isUnspecified)).toEqual([true, true, true, true])
  expect(['::1', '10.0.0.0', '0::1'].map(isUnspecified)).toEqual([false, false, false])
})
