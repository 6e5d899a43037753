/** The environment of a process. */
export type Variables = Readonly<Record<string, string | undefined>>

/**
 * Reads OpenTelemetry's variables as its specification says: an empty one counts as not set, a bad value is told of and
 * then ignored.
 *
 * @see https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
 */
export class OtelVariables {
  /** Sentences for the log: which variable, what was given, what is allowed, what counts instead. No secrets. */
  readonly warnings: string[] = []
  readonly #env: Variables

  constructor(env: Variables) {
    this.#env = env
  }

  /** The value of the first of these variables that is set. */
  text(...names: readonly string[]): string | undefined {
    return this.#first(names)?.value
  }

  /** Whether it is `true`, whatever the case. */
  flag(name: string): boolean {
    const value = this.text(name)?.toLowerCase()
    if (value !== undefined && value !== 'true' && value !== 'false') {
      this.warn(name, value, 'true and false are allowed; false counts')
    }
    return value === 'true'
  }

  /** A whole number within bounds, of the first variable that has one. */
  integer(
    names: readonly string[],
    bounds: { readonly min: number; readonly max: number },
  ): number | undefined {
    for (const name of names) {
      const value = this.text(name)
      if (value === undefined) continue
      const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
      if (number >= bounds.min && number <= bounds.max) return number
      this.warn(name, value, `a whole number from ${bounds.min} to ${bounds.max} is allowed; it is ignored`)
    }
    return undefined
  }

  /** One of a list of words, of the first variable that has one. */
  choice<T extends string>(names: readonly string[], allowed: readonly T[]): T | undefined {
    for (const name of names) {
      const value = this.text(name)
      if (value === undefined) continue
      const found = allowed.find((word) => word === value)
      if (found !== undefined) return found
      this.warn(
        name,
        value,
        `${allowed.join(', ')} ${allowed.length === 1 ? 'is' : 'are'} allowed here; it is ignored`,
      )
    }
    return undefined
  }

  /** The words of a comma list; undefined when it is not set. */
  list(name: string): readonly string[] | undefined {
    return this.text(name)
      ?.split(',')
      .map((word) => word.trim())
      .filter((word) => word !== '')
  }

  /**
   * `name=value` pairs, percent-encoded, of all these variables; the first variable wins. One that is malformed is
   * ignored whole, and never quoted: headers are secrets.
   */
  pairs(...names: readonly string[]): Readonly<Record<string, string>> {
    const pairs: Record<string, string> = {}
    for (const name of names.toReversed()) {
      const value = this.text(name)
      if (value === undefined) continue
      try {
        Object.assign(pairs, parsePairs(value))
      } catch {
        // What is wrong is not said in more words, because the value may not be shown.
        this.warnings.push(
          `Ignored ${name}: it is not a list of NAME=VALUE pairs, percent-encoded, between commas`,
        )
      }
    }
    return pairs
  }

  warn(name: string, value: string, what: string): void {
    const shown = value.length <= 80 ? value : `${value.slice(0, 80)}…`
    this.warnings.push(`${name}=${JSON.stringify(shown)}: ${what}`)
  }

  #first(names: readonly string[]): { readonly name: string; readonly value: string } | undefined {
    for (const name of names) {
      const value = this.#env[name]?.trim()
      if (value !== undefined && value !== '') return { name, value }
    }
    return undefined
  }
}

function parsePairs(text: string): Record<string, string> {
  const pairs: Record<string, string> = {}
  for (const part of text.split(',')) {
    if (part.trim() === '') continue
    const [, name, value] = /^\s*([^=]+?)\s*=([\s\S]*)$/.exec(part) ?? []
    if (name === undefined || value === undefined) throw new SyntaxError('not a pair')
    pairs[decodeURIComponent(name)] = decodeURIComponent(value.trim())
  }
  return pairs
}
