import { expect, test } from 'vitest'
import { describeHealth, type HealthFacts } from '../../../src/membership/swim/swim-health.ts'
import type { SeedStatus } from '../../../src/seeds/seed-resolver.ts'
import { fakeMember } from '../../support/fake-source.ts'

const resolved = (fields: Partial<SeedStatus> = {}): SeedStatus => ({
  rounds: 1,
  addresses: [],
  foundSelf: false,
  failures: [],
  ...fields,
})
const address = { address: '10.0.0.2', port: 7946 }
const self = fakeMember('me', '10.0.0.1')

const health = (fields: Partial<HealthFacts>) =>
  describeHealth({
    state: 'running',
    members: [self],
    selfName: 'me',
    seedTexts: ['dns:ring'],
    seeds: resolved(),
    conflicts: [],
    drops: new Map(),
    sendErrors: 0,
    lastSendError: undefined,
    longestStallMs: 0,
    ...fields,
  })

test.each<[string, boolean, RegExp, Partial<HealthFacts>]>([
  ['new', false, /not started/i, { state: 'new' }],
  ['stopped', false, /stopped/i, { state: 'stopped' }],
  [
    'with others',
    true,
    /with 1 other member$/,
    { members: [self, fakeMember('b', '10.0.0.2', { state: 'suspect' })] },
  ],
  ['left', true, /left/i, { state: 'left' }],
  ['alone without seeds', true, /no seeds/, { seedTexts: [] }],
  ['before the first round', false, /being resolved/, { seeds: resolved({ rounds: 0 }) }],
  [
    'DNS fails',
    false,
    /dns:ring does not resolve \(ENOTFOUND\)/,
    { seeds: resolved({ failures: [{ seed: 'dns:ring', reason: 'ENOTFOUND' }] }) },
  ],
  ['DNS has only me', false, /only to this process/, { seeds: resolved({ foundSelf: true }) }],
  [
    'no seed answers',
    false,
    /no seed answers at 1 address \(/,
    { seeds: resolved({ addresses: [address] }) },
  ],
  [
    'the network refuses',
    false,
    /ENETUNREACH/,
    { seeds: resolved({ addresses: [address] }), sendErrors: 3, lastSendError: 'ENETUNREACH' },
  ],
  [
    'something else speaks to the port',
    false,
    /7 datagrams/,
    { seeds: resolved({ addresses: [address] }), drops: new Map([['type-unknown', 7]]) },
  ],
  ['IPv6 only', false, /IPv6/, { seeds: resolved({ addresses: [{ address: 'fd00::1', port: 1 }] }) }],
  [
    'dead members only',
    false,
    /Alone/,
    {
      members: [self, fakeMember('b', '10.0.0.2', { state: 'dead' })],
      seeds: resolved({ addresses: [address] }),
    },
  ],
  [
    'a name twice',
    false,
    /"b".*10.0.0.2:1 and 10.0.0.3:1/,
    {
      members: [self, fakeMember('b', '10.0.0.2')],
      conflicts: [{ name: 'b', winner: '10.0.0.2:1', losers: ['10.0.0.3:1'] }],
    },
  ],
])('%s', (_name, ok, message, fields) => {
  expect(health(fields)).toMatchObject({ ok, message: expect.stringMatching(message) as string })
})

test('the facts are flat', () => {
  const { detail } = health({
    members: [
      self,
      fakeMember('b', '10.0.0.2', { state: 'dead' }),
      fakeMember('c', '10.0.0.3', { state: 'left' }),
    ],
    drops: new Map([['oversized', 2]]),
    longestStallMs: 12.4,
  })
  expect(detail).toMatchObject({
    alive: 1,
    suspect: 0,
    dead: 1,
    left: 1,
    seeds: 1,
    longestStallMs: 12,
    'dropped.oversized': 2,
  })
})
