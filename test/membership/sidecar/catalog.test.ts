import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  changeCounts,
  INSTANCE_LIMIT,
  parseJson,
  parseState,
  parseUpdate,
  STATUS,
  tryParseInstant,
  ZERO_INSTANT,
} from '../../../src/membership/sidecar/catalog.ts'
import { golden, serviceJson, stateJson, tick, updateJson } from './sidecar-fixtures.ts'
import { codeOf } from '../../support/error-code.ts'

describe('parseJson', () => {
  test('gives the decoder error of Go as its message', () => {
    expect(() => parseJson(Buffer.from('{bad'))).toThrow(
      "invalid character 'b' looking for beginning of object key string",
    )
    expect(codeOf(() => parseJson(Buffer.alloc(0)))).toBe('BODY_INVALID')
  })

  test('takes a view into a larger buffer, and refuses a byte order mark as Go does', () => {
    expect(parseJson(Buffer.from('xx{"a":1}xx').subarray(2, 9))).toEqual({ a: 1 })
    expect(codeOf(() => parseJson(Buffer.from('\ufeff{}')))).toBe('BODY_INVALID')
  })
})

describe('parseState', () => {
  test('picks the instances of one service out of a recorded state', () => {
    const state = parseState(parseJson(golden('sidecar-state.json')), 'some-svc')
    expect(state.lastChanged).toBe(tryParseInstant('2019-05-10T10:00:00Z'))
    expect(state.services.map(({ id, hostname, status }) => [id, hostname, status])).toEqual([
      ['aaaaaaaaaaaa', 'host-a', STATUS.alive],
      ['bbbbbbbbbbbb', 'host-b', STATUS.alive],
      ['cccccccccccc', 'host-c', STATUS.unhealthy],
      ['eeeeeeeeeeee', 'host-d', STATUS.alive],
    ])
    expect(state.services[0]?.ports).toEqual([{ port: 23_423, servicePort: 9999, ip: '127.0.0.1' }])
  })

  test('gives what is absent or null its zero value', () => {
    expect(parseState({}, 'some-svc')).toEqual({ lastChanged: ZERO_INSTANT, services: [] })
    expect(parseState({ Servers: null, LastChanged: null }, 'x')).toEqual({
      lastChanged: ZERO_INSTANT,
      services: [],
    })
    const bare = {
      Servers: { h: null, i: { Services: null }, j: { Services: { a: { Name: 'x' }, b: null } } },
    }
    expect(parseState(bare, 'x').services).toEqual([
      { id: '', hostname: '', ports: [], status: 0, updated: ZERO_INSTANT },
    ])
  })

  test('does not read what other services say', () => {
    const state = { Servers: { h: { Services: { a: { Name: 'other', Status: 'odd', Ports: 7 } } } } }
    expect(parseState(state, 'some-svc').services).toEqual([])
  })

  test.each([
    ['no object', []],
    ['null', null],
    ['text', 'state'],
    ['a time that is none', { LastChanged: 'yesterday' }],
    ['an empty time', { LastChanged: '' }],
    ['a number as time', { LastChanged: 7 }],
    ['servers in a list', { Servers: [] }],
    ['a server that is a number', { Servers: { h: 1 } }],
    ['services in a list', { Servers: { h: { Services: [] } } }],
    ['a service that is text', { Servers: { h: { Services: { a: 'x' } } } }],
    ['a name that is a number', { Servers: { h: { Services: { a: { Name: 7 } } } } }],
    ...Object.entries({
      ID: 1,
      Hostname: {},
      Ports: {},
      Status: 'Alive',
      Updated: 'soon',
    }).map(([field, value]): [string, unknown] => [
      `a ${field} of another type`,
      { Servers: { h: { Services: { a: { ...serviceJson({ id: 'a' }), [field]: value } } } } },
    ]),
    ...Object.entries({ Port: '80', ServicePort: 1.5, IP: 7 }).map(([field, value]): [string, unknown] => [
      `a port's ${field} of another type`,
      { Servers: { h: { Services: { a: { Name: 'some-svc', Ports: [{ [field]: value }] } } } } },
    ]),
    ['a port that is a number', { Servers: { h: { Services: { a: { Name: 'some-svc', Ports: [80] } } } } }],
  ])('refuses %s', (_, value) => {
    expect(codeOf(() => parseState(value, 'some-svc'))).toBe('BODY_INVALID')
  })

  test('refuses more instances than the limit, and takes as many', () => {
    const instances = Array.from({ length: INSTANCE_LIMIT + 1 }, (_, n) => ({ id: String(n), hostname: 'h' }))
    expect(codeOf(() => parseState(stateJson(tick(1), instances), 'some-svc'))).toBe('BODY_INVALID')
    expect(parseState(stateJson(tick(1), instances.slice(1)), 'some-svc').services).toHaveLength(
      INSTANCE_LIMIT,
    )
    expect(parseState(stateJson(tick(1), instances), 'another').services).toEqual([])
  })

  test('throws BODY_INVALID and nothing else, whatever the value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(['none', 'BODY_INVALID']).toContain(codeOf(() => parseState(value, 'some-svc')))
        expect(['none', 'BODY_INVALID']).toContain(
          codeOf(() => parseUpdate({ State: value, ChangeEvent: value }, 'x')),
        )
      }),
    )
  })
})

describe('parseUpdate', () => {
  test('reads a recorded update', () => {
    const update = parseUpdate(parseJson(golden('sidecar-event.json')), 'some-svc')
    expect(update.change).toEqual({
      serviceName: 'some-svc',
      status: STATUS.alive,
      previousStatus: STATUS.unknown,
    })
    expect(update.state.services).toHaveLength(4)
  })

  test('refuses a body without a state, and one whose change is out of form', () => {
    for (const body of [{}, null, [], 'x', { State: null }, { ChangeEvent: {} }]) {
      expect(codeOf(() => parseUpdate(body, 'some-svc'))).toBe('BODY_INVALID')
    }
    const state = stateJson(tick(1), [])
    expect(codeOf(() => parseUpdate({ State: state, ChangeEvent: 'x' }, 'x'))).toBe('BODY_INVALID')
    expect(
      codeOf(() => parseUpdate({ ...updateJson(state), ChangeEvent: { PreviousStatus: '3' } }, 'x')),
    ).toBe('BODY_INVALID')
    expect(parseUpdate({ State: state }, 'x').change).toEqual({
      serviceName: '',
      status: 0,
      previousStatus: 0,
    })
  })
})

describe('changeCounts', () => {
  const { alive, tombstone, unhealthy, unknown, draining } = STATUS
  const all = [alive, tombstone, unhealthy, unknown, draining]

  test.each([alive, tombstone, draining])('%i counts from anywhere', (status) => {
    for (const previous of [...all, 9, -1]) expect(changeCounts(status, previous)).toBe(true)
  })

  test.each([unhealthy, unknown])('%i counts from alive only', (status) => {
    for (const previous of [...all, 9, -1]) expect(changeCounts(status, previous)).toBe(previous === alive)
  })

  test('a status that Sidecar does not have never counts', () => {
    for (const previous of all) expect(changeCounts(5, previous) || changeCounts(-1, previous)).toBe(false)
  })
})
