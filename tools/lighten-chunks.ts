/**
 * What the bundler cannot do for memory, on the code that it wrote: a member takes 2.5 MB less by it.
 *
 * - **Modules of Node.js** come from `process.getBuiltinModule`. An `import` of one reads everything that it exports, and much of
 *   that is loaded when it is first read: `fs.promises`, `crypto.webcrypto`, `process.report`. Those of `node:fs/promises`, which
 *   most members never call, are loaded when one is called.
 * - **Code is ASCII**: one character beyond Latin-1, in a text somewhere, and V8 holds two bytes for each character of the file.
 */
import { decode, encode } from '@jridgewell/sourcemap-codec'

/** A chunk as the bundler has written it. */
export interface Chunk {
  readonly code: string
  /** The `mappings` of its source map. */
  readonly mappings: string
}

/** A part of the code that gives way to another; it lies on one line. */
interface Edit {
  readonly at: number
  readonly length: number
  readonly text: string
}

const IMPORT = /\bimport\s*(?:([\w$]+)\s*,?\s*)?(?:\{([^}]*)\}\s*)?from\s*"(node:[\w/]+)";?/g

export function lightenChunk({ code, mappings }: Chunk): Chunk {
  const edits: Edit[] = []
  for (const { 0: all, 1: whole, 2: names, 3: name = '', index } of code.matchAll(IMPORT)) {
    edits.push({ at: index, length: all.length, text: declare(whole, names, name) })
  }
  for (const { 0: character, index } of code.matchAll(/[^\0-\x7f]/g)) {
    const text = `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
    edits.push({ at: index, length: 1, text })
  }
  edits.sort((a, b) => a.at - b.at)
  let edited = ''
  let from = 0
  for (const { at, length, text } of edits) {
    edited += code.slice(from, at) + text
    from = at + length
  }
  return { code: edited + code.slice(from), mappings: shiftMappings(code, mappings, edits) }
}

/** What takes the place of an import. */
function declare(whole: string | undefined, names: string | undefined, module: string): string {
  const get = `process.getBuiltinModule("${module}")`
  const pairs = (names ?? '')
    .split(',')
    .filter((name) => name.trim() !== '')
    .map((name) => name.trim().split(/\s+as\s+/))
  if (whole === undefined && module === 'node:fs/promises') {
    return pairs.map(([name = '', as = name]) => `const ${as}=(...args)=>${get}.${name}(...args);`).join('')
  }
  const list = pairs.map(([name = '', as = name]) => `${name}:${as}`).join(',')
  return (whole === undefined ? '' : `const ${whole}=${get};`) + (list === '' ? '' : `const{${list}}=${get};`)
}

/** Moves what a source map says of the code after each edit to where that is now. */
function shiftMappings(code: string, mappings: string, edits: readonly Edit[]): string {
  const lines = decode(mappings)
  let start = 0
  let next = 0
  for (const segments of lines) {
    let shift = 0
    for (const segment of segments) {
      for (; next < edits.length && edits[next]!.at < start + segment[0]; next++) {
        shift += edits[next]!.text.length - edits[next]!.length
      }
      segment[0] += shift
    }
    const end = code.indexOf('\n', start)
    start = end === -1 ? code.length : end + 1
    // Those behind the last segment of the line concern nobody.
    while (next < edits.length && edits[next]!.at < start) next++
  }
  return encode(lines)
}
