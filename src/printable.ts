/**
 * What a terminal acts upon or does not show: control characters, characters that reorder or hide text, line separators
 * and lone surrogates.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** Text of others as part of one line for people: `\u{1b}` stands for the character that a terminal would act upon. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** Text of others that is longer than a message shows, measured in UTF-16 units: its beginning, and … in place of the rest. */
export function shortened(text: string, limit: number): string {
  // No half of a character stands at the end.
  return text.length <= limit ? text : `${text.slice(0, limit).replace(/[\ud800-\udbff]$/, '')}…`
}

/** A value of JSON with every string in it, keys too, made {@link printable}. */
export function printableValue<T>(value: T): T {
  const walk = (part: unknown): unknown => {
    if (typeof part === 'string') return printable(part)
    if (Array.isArray(part)) return part.map(walk)
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [printable(key), walk(inner)]))
  }
  return walk(value) as T
}

/** JSON text that means the same, with escapes in the place of what a terminal would act upon. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) =>
    // Line ends stand between the tokens; those within strings are escapes already.
    character === '\n' ? character : character.replace(/[^]/g, unitEscape),
  )
}

/** A unit of UTF-16 as JSON escapes it, such as `\u001b`. */
export function unitEscape(unit: string): string {
  return String.raw`\u` + unit.charCodeAt(0).toString(16).padStart(4, '0')
}
