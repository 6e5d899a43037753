/** How much JSON may hold. */
export interface JsonLimits {
  /** Commas and opened brackets, which is about how many values there are. */
  readonly maxValues: number
  readonly maxDepth: number
}

/**
 * Says in what way JSON is larger than allowed. It is counted in the text, before anything is made of it: a parsed value
 * takes many times the bytes of its text.
 *
 * @param json - Text, or its UTF-8 bytes. What is not JSON is not noticed.
 * @returns The rest of a sentence, such as `is nested too deep; …`; undefined when nothing is too much.
 */
export function jsonExcess(
  json: string | Uint8Array,
  { maxValues, maxDepth }: JsonLimits,
): string | undefined {
  let depth = 0
  let values = 0
  for (let i = 0; i < json.length; i++) {
    const unit = unitAt(json, i)
    if (unit === QUOTE) {
      // A loop of its own: nearly all of a batch is within strings.
      for (i++; i < json.length; i++) {
        const inner = unitAt(json, i)
        if (inner === QUOTE) break
        if (inner === BACKSLASH) i++
      }
    } else if (unit === OPEN_LIST || unit === OPEN_OBJECT) {
      depth++
      values++
    } else if (unit === CLOSE_LIST || unit === CLOSE_OBJECT) depth--
    else if (unit === COMMA) values++
    if (values > maxValues) return `has too many values; at most ${maxValues} are allowed`
    if (depth > maxDepth) return `is nested too deep; ${maxDepth} levels are allowed`
  }
  return undefined
}

function unitAt(json: string | Uint8Array, at: number): number | undefined {
  return typeof json === 'string' ? json.charCodeAt(at) : json[at]
}

const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_LIST = 0x5b
const BACKSLASH = 0x5c
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
