import * as fc from 'fast-check'

const character = fc
  .oneof(
    fc.integer({ min: 0, max: 0x7f }),
    fc.integer({ min: 0, max: 0xd7ff }),
    fc.integer({ min: 0xe000, max: 0x10_ffff }),
  )
  .map((codePoint) => String.fromCodePoint(codePoint))

/**
 * Well-formed text of any characters. (The same as fast-check's unit `binary`, which takes seconds to set up.)
 *
 * @param maxLength - In characters.
 */
export function anyText(maxLength = 20, minLength = 0): fc.Arbitrary<string> {
  return fc.array(character, { minLength, maxLength }).map((characters) => characters.join(''))
}
