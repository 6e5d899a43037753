import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { goJsonSyntaxError } from '../../../src/membership/sidecar/go-json-syntax.ts'

interface Recorded {
  readonly cases: readonly { readonly body: string; readonly times?: number; readonly error: string }[]
}

const recorded = JSON.parse(
  readFileSync(new URL('../../golden/sidecar-json-errors.json', import.meta.url), 'utf8'),
) as Recorded

describe('goJsonSyntaxError', () => {
  test.each(
    recorded.cases.map(({ body, times = 1, error }) => {
      const text = Buffer.from(body, 'base64')
      return { bytes: Buffer.concat(Array.from({ length: times }, () => text)), error }
    }),
  )('says what Go says: $error', ({ bytes, error }) => {
    expect(goJsonSyntaxError(bytes) ?? '').toBe(error)
  })

  test('finds a fault exactly where JSON.parse finds one', () => {
    const piece = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '\\',
        '"a"',
        '1',
        '-',
        '.5',
        'e+1',
        'true',
        'nul',
        ' ',
        '\u00e9',
        '\n',
      ],
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece, { maxLength: 12 }).map((parts) => parts.join('')),
          fc.json(),
        ),
        (text) => {
          let valid = true
          try {
            JSON.parse(text)
          } catch {
            // Not JSON is one of the two outcomes compared.
            valid = false
          }
          expect(goJsonSyntaxError(Buffer.from(text)) === undefined).toBe(valid)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('returns on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(goJsonSyntaxError(bytes) ?? 'ok').toMatch(
          /^(ok|invalid character '.*' .+|unexpected end of JSON input)$/su,
        )
      }),
    )
  })
})
