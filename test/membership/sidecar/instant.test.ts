import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { tryParseInstant, ZERO_INSTANT } from '../../../src/membership/sidecar/catalog.ts'

const SECOND = 1_000_000_000n

describe('tryParseInstant', () => {
  test.each([
    ['1970-01-01T00:00:00Z', 0n],
    ['1970-01-01T00:00:00.000000001Z', 1n],
    ['1969-12-31T23:59:59.999999999Z', -1n],
    ['2019-05-10T10:00:00Z', 1_557_482_400n * SECOND],
    ['2019-05-10T12:00:00+02:00', 1_557_482_400n * SECOND],
    ['2019-05-10T04:30:00.5-05:30', 1_557_482_400n * SECOND + SECOND / 2n],
    ['2019-05-10T10:00:00.1234567899Z', 1_557_482_400n * SECOND + 123_456_789n],
    ['2020-02-29T00:00:00Z', 1_582_934_400n * SECOND],
    ['2000-02-29T23:59:59Z', 951_868_799n * SECOND],
    ['0001-01-01T00:00:00Z', ZERO_INSTANT],
    ['0099-12-31T00:00:00Z', -59_011_545_600n * SECOND],
    ['9999-12-31T23:59:59.999999999Z', 253_402_300_799n * SECOND + 999_999_999n],
  ])('reads %s', (text, instant) => {
    expect(tryParseInstant(text)).toBe(instant)
  })

  test.each([
    '',
    'now',
    '2019-05-10',
    '2019-05-10 10:00:00Z',
    '2019-05-10T10:00:00',
    '2019-05-10T10:00:00z',
    '2019-05-10t10:00:00Z',
    '2019-05-10T10:00Z',
    '2019-05-10T10:00:00.Z',
    '2019-05-10T10:00:00,5Z',
    '2019-5-10T10:00:00Z',
    '2019-13-10T10:00:00Z',
    '2019-00-10T10:00:00Z',
    '2019-02-29T10:00:00Z',
    '1900-02-29T10:00:00Z',
    '2019-04-31T10:00:00Z',
    '2019-05-00T10:00:00Z',
    '2019-05-10T24:00:00Z',
    '2019-05-10T10:60:00Z',
    '2019-05-10T10:00:60Z',
    '2019-05-10T10:00:00+24:00',
    '2019-05-10T10:00:00+01:60',
    '2019-05-10T10:00:00+0100',
    '12019-05-10T10:00:00Z',
    `2019-05-10T10:00:00.${'1'.repeat(31)}Z`,
    ' 2019-05-10T10:00:00Z',
    '2019-05-10T10:00:00Z\n',
  ])('refuses %j', (text) => {
    expect(tryParseInstant(text)).toBeUndefined()
  })

  test('orders times that differ in the last digit of the nanosecond only', () => {
    const before = tryParseInstant('2026-11-22T22:30:15.123456788Z')
    const after = tryParseInstant('2026-11-22T22:30:15.123456789Z')
    if (before === undefined || after === undefined) expect.unreachable()
    expect(after - before).toBe(1n)
  })

  test('agrees with Date on whole milliseconds', () => {
    fc.assert(
      fc.property(
        fc.date({
          min: new Date('0001-01-01T00:00:00.000Z'),
          max: new Date('9999-12-31T23:59:59.999Z'),
          noInvalidDate: true,
        }),
        (date) => {
          expect(tryParseInstant(date.toISOString())).toBe(BigInt(date.getTime()) * 1_000_000n)
        },
      ),
    )
  })
})
