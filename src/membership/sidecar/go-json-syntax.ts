/** Go's decoder gives up on arrays and objects nested deeper than this. */
const DEPTH_LIMIT = 10_000

/** What the decoder has just read, and so what it takes next. */
type Place =
  | 'value'
  | 'first element or ]'
  | 'first key or }'
  | 'key'
  | 'after key'
  | 'after object value'
  | 'after array element'
  | 'end'

const isSpace = (byte: number) => byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39
const isHexDigit = (byte: number) =>
  isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66)

/**
 * What Go's `encoding/json` says of bytes that are not JSON, such as
 * `invalid character 'b' looking for beginning of object key string`. Clients of the Go library match these
 * texts. Like Go it looks at single bytes, so that one of a longer UTF-8 character shows as a Latin-1 letter.
 *
 * @returns undefined when the bytes are one JSON value.
 */
export function goJsonSyntaxError(bytes: Uint8Array): string | undefined {
  const scanner = new Scanner(bytes)
  try {
    scanner.scan()
    return undefined
  } catch (error) {
    if (error instanceof SyntaxFault) return error.message
    throw error
  }
}

/** Carries Go's text out of the scanner; it never leaves this file. */
class SyntaxFault extends Error {}

class Scanner {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  scan(): void {
    /** True for each open object, false for each open array. */
    const open: boolean[] = []
    let place: Place = 'value'
    const close = () => {
      open.pop()
      return this.#afterValue(open)
    }
    for (;;) {
      while (this.#at < this.#bytes.length && isSpace(this.#peek())) this.#at++
      if (place === 'end') {
        if (this.#at < this.#bytes.length) this.#refuse('after top-level value')
        return
      }
      this.#requireMore()
      const byte = this.#peek()
      switch (place) {
        case 'first key or }':
        case 'key':
          if (byte === 0x7d && place === 'first key or }') {
            this.#at++
            place = close()
            break
          }
          if (byte !== 0x22) this.#refuse('looking for beginning of object key string')
          this.#string()
          place = 'after key'
          break
        case 'after key':
          if (byte !== 0x3a) this.#refuse('after object key')
          this.#at++
          place = 'value'
          break
        case 'after object value':
          if (byte !== 0x2c && byte !== 0x7d) this.#refuse('after object key:value pair')
          this.#at++
          place = byte === 0x2c ? 'key' : close()
          break
        case 'after array element':
          if (byte !== 0x2c && byte !== 0x5d) this.#refuse('after array element')
          this.#at++
          place = byte === 0x2c ? 'value' : close()
          break
        case 'first element or ]':
        case 'value':
          if (byte === 0x5d && place === 'first element or ]') {
            this.#at++
            place = close()
          } else if (byte === 0x7b || byte === 0x5b) {
            if (open.length >= DEPTH_LIMIT) this.#refuse('exceeded max depth')
            open.push(byte === 0x7b)
            this.#at++
            place = byte === 0x7b ? 'first key or }' : 'first element or ]'
          } else {
            this.#scalar(byte)
            place = this.#afterValue(open)
          }
      }
    }
  }

  #afterValue(open: readonly boolean[]): Place {
    const inObject = open.at(-1)
    if (inObject === undefined) return 'end'
    return inObject ? 'after object value' : 'after array element'
  }

  #scalar(byte: number): void {
    if (byte === 0x22) this.#string()
    else if (byte === 0x2d || isDigit(byte)) this.#number()
    else if (byte === 0x74) this.#literal('true')
    else if (byte === 0x66) this.#literal('false')
    else if (byte === 0x6e) this.#literal('null')
    else this.#refuse('looking for beginning of value')
  }

  #literal(word: string): void {
    for (let index = 0; index < word.length; index++) {
      if (this.#peek() !== word.charCodeAt(index))
        this.#refuse(`in literal ${word} (expecting '${word[index]}')`)
      this.#at++
    }
  }

  #string(): void {
    this.#at++
    for (;;) {
      this.#requireMore()
      const byte = this.#peek()
      if (byte < 0x20) this.#refuse('in string literal')
      this.#at++
      if (byte === 0x22) return
      if (byte !== 0x5c) continue
      const escape = this.#peek()
      if (escape === 0x75) {
        this.#at++
        for (let digit = 0; digit < 4; digit++) {
          if (!isHexDigit(this.#peek())) this.#refuse(String.raw`in \u hexadecimal character escape`)
          this.#at++
        }
      } else if (String.raw`"\/bfnrt`.includes(String.fromCharCode(escape))) {
        this.#at++
      } else {
        this.#refuse('in string escape code')
      }
    }
  }

  #number(): void {
    if (this.#peek() === 0x2d) {
      this.#at++
      if (!isDigit(this.#peek())) this.#refuse('in numeric literal')
    }
    if (this.#peek() === 0x30) this.#at++
    else this.#digits()
    if (this.#tryPeek() === 0x2e) {
      this.#at++
      if (!isDigit(this.#peek())) this.#refuse('after decimal point in numeric literal')
      this.#digits()
    }
    const exponent = this.#tryPeek()
    if (exponent === 0x65 || exponent === 0x45) {
      this.#at++
      if (this.#peek() === 0x2b || this.#peek() === 0x2d) this.#at++
      if (!isDigit(this.#peek())) this.#refuse('in exponent of numeric literal')
      this.#digits()
    }
  }

  #digits(): void {
    for (let byte = this.#tryPeek(); byte !== undefined && isDigit(byte); byte = this.#tryPeek()) this.#at++
  }

  #tryPeek(): number | undefined {
    return this.#bytes[this.#at]
  }

  /** The byte at hand, a space behind the last one: so Go blames a space where the text ends within a token. */
  #peek(): number {
    return this.#bytes[this.#at] ?? 0x20
  }

  /** Stands where a space would be taken: there the end is an error of its own. */
  #requireMore(): void {
    if (this.#at >= this.#bytes.length) throw new SyntaxFault('unexpected end of JSON input')
  }

  #refuse(context: string): never {
    throw new SyntaxFault(`invalid character ${quoted(this.#peek())} ${context}`)
  }
}

/** A byte as Go quotes it: a Latin-1 letter between single quotes, escaped where it does not print. */
function quoted(byte: number): string {
  switch (byte) {
    case 0x27:
      return String.raw`'\''`
    case 0x22:
      return `'"'`
    case 0x5c:
      return String.raw`'\\'`
    case 0x07:
      return String.raw`'\a'`
    case 0x08:
      return String.raw`'\b'`
    case 0x0c:
      return String.raw`'\f'`
    case 0x0a:
      return String.raw`'\n'`
    case 0x0d:
      return String.raw`'\r'`
    case 0x09:
      return String.raw`'\t'`
    case 0x0b:
      return String.raw`'\v'`
  }
  if (byte < 0x20 || byte === 0x7f) return `'\\x${byte.toString(16).padStart(2, '0')}'`
  if ((byte >= 0x80 && byte <= 0xa0) || byte === 0xad) return `'\\u00${byte.toString(16)}'`
  return `'${String.fromCharCode(byte)}'`
}
