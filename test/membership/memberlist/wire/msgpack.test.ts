import { describe, expect, test } from 'vitest'
import { MsgpackReader } from '../../../../src/membership/memberlist/wire/msgpack-reader.ts'
import { MsgpackScanner } from '../../../../src/membership/memberlist/wire/msgpack-scanner.ts'
import { MsgpackWriter } from '../../../../src/membership/memberlist/wire/msgpack-writer.ts'
import { concat, thrownCode, utf8 } from './values.ts'

/** A big-endian number of so many bytes. */
function numeral(value: number | bigint, bytes: number): Uint8Array {
  const hex = BigInt.asUintN(8 * bytes, BigInt(value)).toString(16)
  return Uint8Array.from(Buffer.from(hex.padStart(2 * bytes, '0'), 'hex'))
}
const ofType = (type: number, ...parts: Uint8Array[]) => concat(Uint8Array.of(type), ...parts)
const zeros = (length: number) => new Uint8Array(length)
/** The type, a length of so many bytes, and so many bytes of content. */
const sized = (type: number, lengthBytes: number, length: number, content = length) =>
  ofType(type, numeral(length, lengthBytes), zeros(content))

/** Every form of a value in the specification, at the ends of its range. */
const VALUES: readonly (readonly [form: string, value: Uint8Array])[] = [
  ...[0, 1, 0x7f, 0xe0, 0xff].map((type) => ['small integer', ofType(type)] as const),
  ...[0xc0, 0xc2, 0xc3].map((type) => ['nil or boolean', ofType(type)] as const),
  ...[1, 2, 4, 8].flatMap((bytes, i) =>
    [0xcc, 0xd0].map((first) => ['integer', ofType(first + i, zeros(bytes).fill(0xff))] as const),
  ),
  ['float 32', ofType(0xca, zeros(4))],
  ['float 64', ofType(0xcb, zeros(8))],
  ...[0, 1, 2, 16, 31].map((length) => ['fixstr', ofType(0xa0 + length, zeros(length))] as const),
  ...([0xd9, 0xc4] as const).flatMap((type) =>
    [0, 1, 255].map((length) => ['str or bin 8', sized(type, 1, length)] as const),
  ),
  ...([0xda, 0xc5] as const).flatMap((type) =>
    [0, 1, 256, 65_535].map((length) => ['str or bin 16', sized(type, 2, length)] as const),
  ),
  ...([0xdb, 0xc6] as const).flatMap((type) =>
    [0, 1, 256, 65_536, 2 ** 20 + 1].map((length) => ['str or bin 32', sized(type, 4, length)] as const),
  ),
  ...[1, 2, 4, 8, 16].map((length, i) => ['fixext', ofType(0xd4 + i, zeros(1 + length))] as const),
  ...[0, 1, 255].map((length) => ['ext 8', sized(0xc7, 1, length, 1 + length)] as const),
  ...[0, 1, 256].map((length) => ['ext 16', sized(0xc8, 2, length, 1 + length)] as const),
  ...[0, 1, 65_536].map((length) => ['ext 32', sized(0xc9, 4, length, 1 + length)] as const),
  ...[0, 1, 8, 15].map((count) => ['fixarray', ofType(0x90 + count, zeros(count))] as const),
  ...[0, 1, 256].map((count) => ['array 16', sized(0xdc, 2, count)] as const),
  ...[0, 1, 65_536].map((count) => ['array 32', sized(0xdd, 4, count)] as const),
  ...[0, 1, 8, 15].map((count) => ['fixmap', ofType(0x80 + count, zeros(2 * count))] as const),
  ...[0, 1, 256].map((count) => ['map 16', sized(0xde, 2, count, 2 * count)] as const),
  ...[0, 1, 65_536].map((count) => ['map 32', sized(0xdf, 4, count, 2 * count)] as const),
  ['nested', Uint8Array.of(0x93, 0x92, 0xa2, 1, 2, 0x81, 0xc0, 0xcd, 1, 2, 0x90, 0xd4, 1, 2)],
]

describe.each(
  VALUES.map(
    ([form, value]) => [`${form} ${Buffer.from(value.subarray(0, 6)).toString('hex')}`, value] as const,
  ),
)('%s', (_, value) => {
  const before = utf8('---')
  const bytes = concat(before, value, Uint8Array.of(0xa1, 0x62))
  const [start, end] = [before.length, before.length + value.length]
  /** Places at which it is cut: every one of a short value, those at both ends of a long one. */
  const cuts = Array.from(value, (_byte, i) => start + i).filter((at) => at < start + 20 || at > end - 3)

  test('is scanned to its end, in one go and as it arrives', () => {
    expect(new MsgpackScanner(start, end).advance(bytes, bytes.length)).toBe(end)
    const scanner = new MsgpackScanner(start, end)
    for (const cut of cuts) {
      expect(scanner.advance(bytes, cut)).toBeUndefined()
      expect(new MsgpackScanner(start, end).advance(bytes, cut)).toBeUndefined()
    }
    expect(scanner.advance(bytes, end)).toBe(end)
  })

  test('must not reach beyond the end that is set', () => {
    const run = () => new MsgpackScanner(start, end - 1).advance(bytes, bytes.length)
    if (value.length > 1) expect(thrownCode(run)).toBe('WIRE_MALFORMED')
  })

  test('is passed over by a reader, unless it is cut off', () => {
    const reader = new MsgpackReader(bytes, start, end)
    reader.skip()
    expect(reader.offset).toBe(end)
    for (const cut of cuts)
      expect(thrownCode(() => new MsgpackReader(bytes, start, cut).skip())).toBe('WIRE_MALFORMED')
  })
})

test('a type that the specification leaves unused is refused', () => {
  expect(thrownCode(() => new MsgpackScanner(0, 10).advance(Uint8Array.of(0xc1), 1))).toBe('WIRE_MALFORMED')
})

/** Reads one value that lies among other bytes; gives it, or the code of the error, and holds the reader to its bounds. */
function read(value: Uint8Array, how: (reader: MsgpackReader) => unknown): unknown {
  const bytes = concat(Uint8Array.of(0xff), value, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0))
  const reader = new MsgpackReader(bytes, 1, 1 + value.length)
  let result: unknown
  const code = thrownCode(() => {
    result = how(reader)
  })
  if (code !== undefined) return code
  expect(reader.offset).toBe(1 + value.length)
  return result
}

describe('a reader', () => {
  const widths = [
    [1, 0xcc, 0xd0],
    [2, 0xcd, 0xd1],
    [4, 0xce, 0xd2],
    [8, 0xcf, 0xd3],
  ] as const

  test.each([
    0,
    1,
    127,
    128,
    255,
    256,
    65_535,
    65_536,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 33 + 5,
    2 ** 52 + 1,
  ])('takes %i in every width that holds it, up to the highest that is allowed', (value) => {
    const forms = [
      ...(value < 128 ? [Uint8Array.of(value)] : []),
      ...widths.flatMap(([bytes, unsigned, signed]) => [
        ...(value < 2 ** (8 * bytes) ? [ofType(unsigned, numeral(value, bytes))] : []),
        ...(value < 2 ** (8 * bytes - 1) ? [ofType(signed, numeral(value, bytes))] : []),
      ]),
    ]
    for (const form of forms) {
      expect(read(form, (reader) => reader.readUint(value))).toBe(value)
      expect(read(form, (reader) => reader.readUint(value - 1))).toBe('WIRE_MALFORMED')
      const cut = form.subarray(0, form.length - 1)
      expect(read(cut, (reader) => reader.readUint(value))).toBe('WIRE_MALFORMED')
    }
  })

  test('refuses what is negative, or no integer', () => {
    for (const [bytes, , signed] of widths)
      for (const value of [-1, -128])
        expect(read(ofType(signed, numeral(value, bytes)), (reader) => reader.readUint(2 ** 53))).toBe(
          'WIRE_MALFORMED',
        )
    for (const value of [[0xe0], [0xff], [0xc0], [0xca, 0, 0, 0, 0], [0xa0], [0x80]])
      expect(read(Uint8Array.from(value), (reader) => reader.readUint(2 ** 53))).toBe('WIRE_MALFORMED')
  })

  test('takes a boolean or nil, and nothing else for it', () => {
    expect(read(Uint8Array.of(0xc2), (reader) => reader.readBoolean())).toBe(false)
    expect(read(Uint8Array.of(0xc3), (reader) => reader.readBoolean())).toBe(true)
    expect(read(Uint8Array.of(0xc0), (reader) => reader.tryReadNil())).toBe(true)
    expect(read(new Uint8Array(0), (reader) => reader.tryReadNil())).toBe(false)
    expect(new MsgpackReader(Uint8Array.of(0xc0), 0, 0).tryReadNil()).toBe(false)
    for (const type of [0, 1, 0xc0, 0xc1, 0xc4])
      expect(read(Uint8Array.of(type), (reader) => reader.readBoolean())).toBe('WIRE_MALFORMED')
    const other = new MsgpackReader(Uint8Array.of(0xc2))
    expect([other.tryReadNil(), other.offset]).toEqual([false, 0])
  })

  test.each([
    ['fixmap', [0x80], 0],
    ['fixmap', [0x8f], 15],
    ['map 16', [0xde, 1, 2], 258],
    ['map 32', [0xdf, 0, 1, 0, 2], 65_538],
  ] as const)('takes the head of a %s, if as many bytes follow as its entries take', (_, head, count) => {
    const enough = concat(Uint8Array.from(head), zeros(2 * count))
    const reader = new MsgpackReader(enough)
    expect([reader.readMapHeader(), reader.offset]).toEqual([count, head.length])
    if (count > 0)
      expect(thrownCode(() => new MsgpackReader(enough, 0, enough.length - 1).readMapHeader())).toBe(
        'WIRE_MALFORMED',
      )
    for (const type of [0x7f, 0x90, 0xdd, 0xc0])
      expect(thrownCode(() => new MsgpackReader(enough.with(0, type)).readMapHeader())).toBe('WIRE_MALFORMED')
  })

  test.each([
    ...[0, 1, 31].map((length) => ['fixstr', Uint8Array.of(0xa0 + length), length] as const),
    ...[0xd9, 0xc4].flatMap((type) => [0, 255].map((n) => ['8', ofType(type, numeral(n, 1)), n] as const)),
    ...[0xda, 0xc5].flatMap((type) => [0, 258].map((n) => ['16', ofType(type, numeral(n, 2)), n] as const)),
    ...[0xdb, 0xc6].flatMap((type) =>
      [0, 65_539].map((n) => ['32', ofType(type, numeral(n, 4)), n] as const),
    ),
  ])('takes text, bytes and keys as %s %s of %i', (_, head, length) => {
    const content = utf8('abcdefg'.repeat(10_000)).subarray(0, length)
    const value = concat(head, content)
    expect(read(value, (reader) => reader.readBytes())).toEqual(content)
    expect(read(value, (reader) => reader.readText(length))).toBe(Buffer.from(content).toString())
    expect(read(value, (reader) => reader.readKey([utf8('other'), content], 0))).toBe(1)
    expect(read(value, (reader) => reader.readKey([utf8('other'), content], 1))).toBe(1)
    expect(read(value, (reader) => reader.readKey([utf8('other'), content], 7))).toBe(1)
    expect(read(value, (reader) => reader.readKey([utf8('other')], 0))).toBe(-1)
    expect(read(value, (reader) => reader.readText(length - 1))).toBe('WIRE_MALFORMED')
    if (length === 0) return
    const last = content.with(length - 1, 0xff)
    expect(read(concat(head, last), (reader) => reader.readText(length))).toBe('WIRE_MALFORMED')
    expect(read(value, (reader) => reader.readKey([last, content.with(0, 0)], 0))).toBe(-1)
    expect(read(value.subarray(0, value.length - 1), (reader) => reader.readBytes())).toBe('WIRE_MALFORMED')
  })

  test('takes nothing else for text or bytes', () => {
    for (const type of [0, 0x80, 0x9f, 0xc0, 0xc7, 0xcc, 0xd8, 0xdc, 0xe0])
      expect(read(ofType(type, zeros(8)), (reader) => reader.readBytes())).toBe('WIRE_MALFORMED')
    for (const head of [[0xd9], [0xda, 0], [0xdb, 0, 0, 0]])
      expect(read(Uint8Array.from(head), (reader) => reader.readBytes())).toBe('WIRE_MALFORMED')
  })
})

describe('a writer', () => {
  const written = (write: (writer: MsgpackWriter) => void) => {
    const writer = new MsgpackWriter(1)
    writer.writeByte(7)
    write(writer)
    return writer.finish().subarray(1)
  }

  test.each([
    [0, []],
    [127, []],
    [128, [0xcc, 1]],
    [255, [0xcc, 1]],
    [256, [0xcd, 2]],
    [65_535, [0xcd, 2]],
    [65_536, [0xce, 4]],
    [0x0102_0304, [0xce, 4]],
    [0xffff_ffff, [0xce, 4]],
  ])('writes %i in as few bytes as can be', (value, [type, bytes = 0]) => {
    const expected = type === undefined ? Uint8Array.of(value) : ofType(type, numeral(value, bytes))
    expect(written((writer) => writer.writeUint(value))).toEqual(expected)
  })

  test.each([-1, 0.5, 2 ** 32, Number.NaN])('refuses the number %d', (value) => {
    expect(thrownCode(() => written((writer) => writer.writeUint(value)))).toBe('INTERNAL')
  })

  test.each([0, 1, 31, 32, 65_535, 65_536, 0x1_0203])('writes text and bytes of %i', (length) => {
    const head =
      length < 32
        ? Uint8Array.of(0xa0 + length)
        : length < 65_536
          ? ofType(0xda, numeral(length, 2))
          : ofType(0xdb, numeral(length, 4))
    const bytes = zeros(length).fill(0x61)
    expect(written((writer) => writer.writeBytes(bytes))).toEqual(concat(head, bytes))
    expect(written((writer) => writer.writeText('a'.repeat(length)))).toEqual(concat(head, bytes))
    // A text that is found to be more than ASCII at its end is written over from its head.
    const text = `${'a'.repeat(length)}é`
    const whole = written((writer) => writer.writeText(text))
    expect(new MsgpackReader(whole).readText(length + 2)).toBe(text)
    expect(whole.length).toBe(written((writer) => writer.writeBytes(utf8(text))).length)
  })

  test('writes heads of maps, nil and booleans', () => {
    for (const count of [0, 1, 15])
      expect(written((writer) => writer.writeMapHeader(count))).toEqual(Uint8Array.of(0x80 + count))
    expect(thrownCode(() => written((writer) => writer.writeMapHeader(16)))).toBe('INTERNAL')
    expect(written((writer) => writer.writeNil())).toEqual(Uint8Array.of(0xc0))
    expect(written((writer) => writer.writeBoolean(false))).toEqual(Uint8Array.of(0xc2))
    expect(written((writer) => writer.writeBoolean(true))).toEqual(Uint8Array.of(0xc3))
  })
})
