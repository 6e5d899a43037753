import { describe, expect, test } from 'vitest'
import { parseStaticMember, StaticSource } from '../../../src/membership/static/static-source.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { codeOf } from '../../support/error-code.ts'

describe('parseStaticMember', () => {
  test.each([
    ['10.0.0.1:8000', { name: '10.0.0.1:8000', address: '10.0.0.1', port: 8000, weight: 1 }],
    ['10.0.0.2:8000=3', { name: '10.0.0.2:8000', address: '10.0.0.2', port: 8000, weight: 3 }],
    [
      'app.example:65535=1000',
      { name: 'app.example:65535', address: 'app.example', port: 65_535, weight: 1000 },
    ],
    ['[::1]:8000=2', { name: '::1:8000', address: '::1', port: 8000, weight: 2 }],
  ])('%s', (text, member) => {
    expect(parseStaticMember(text)).toEqual(member)
  })

  test.each([
    '',
    '10.0.0.1',
    ':8000',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.1:x',
    '10.0.0.1:8000=',
    '10.0.0.1:8000=0',
    '10.0.0.1:8000=1001',
    '10.0.0.1:8000=1.5',
    '10.0.0.1:8000=-1',
    '10.0.0.1:8000=1=2',
    '::1:8000',
    '[nope]:8000',
    '[10.0.0.1]:8000',
    'a b:8000',
    '10.0.0.1:08000',
  ])('refuses %j', (text) => {
    expect(codeOf(() => parseStaticMember(text))).toBe('CONFIG_INVALID')
  })
})

test('a static source lists each member once, by HOST:PORT, the last weight counting', async () => {
  const clock = new VirtualClock()
  const source = new StaticSource(
    ['10.0.0.2:8000', '10.0.0.1:8000', '10.0.0.2:8000=3'].map(parseStaticMember),
    clock,
  )
  await source.start(new AbortController().signal)
  expect(source.members.map(({ name, metadata, state }) => [name, metadata, state])).toEqual([
    ['10.0.0.1:8000', { servicePort: '8000', weight: 1 }, 'alive'],
    ['10.0.0.2:8000', { servicePort: '8000', weight: 3 }, 'alive'],
  ])
  expect(source.health()).toMatchObject({ ok: true, detail: { members: 2 } })
  await source.leave()
  expect(source.members).toHaveLength(2)
  await source.stop()
})
