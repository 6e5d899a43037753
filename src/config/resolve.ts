import { hideSecrets, quoteGiven, type ConfigProblem } from './problem.ts'
import { NotAllowed, splitList, type Refusal } from './value-type.ts'
import { fileKeyOf, type Origin, type Setting, type SettingTable, type ValuesOf } from './setting.ts'

/** What one place says about a setting, before it is checked. */
export interface Given {
  readonly value: unknown
  /** What stands in messages in place of the value that was made of it. */
  readonly written?: unknown
  readonly origin: Origin
}

/** What one place (flags, variables, a file) says, by property name. */
export type Layer = ReadonlyMap<string, Given>

/** Checked values, and for each where it came from. */
export interface Resolved<Table extends SettingTable> {
  /** Frozen, all the way down. */
  readonly values: ValuesOf<Table>
  readonly origins: Readonly<Record<keyof Table, Origin>>
}

/**
 * Puts layers together: of the places that set a value the first one wins, then comes the default. Every place is
 * checked, also where another one wins. With problems, values are missing.
 *
 * @param layers - The strongest first. Names that the table does not have are ignored: whoever made the layer has
 *   looked for those.
 */
export function resolveSettings<Table extends SettingTable>(
  table: Table,
  layers: readonly Layer[],
): { readonly resolved: Resolved<Table>; readonly problems: readonly ConfigProblem[] } {
  const problems: ConfigProblem[] = []
  const values: Record<string, unknown> = {}
  const origins: Record<string, Origin> = {}
  for (const [property, setting] of Object.entries(table)) {
    origins[property] = { kind: 'default' }
    values[property] = undefined
    const places = layers.flatMap((layer) => layer.get(property) ?? [])
    const fallback = setting.default ?? setting.computedDefault?.compute()
    if (fallback !== undefined) places.push({ value: fallback, origin: { kind: 'default' } })
    for (const given of places.toReversed()) {
      try {
        values[property] = deepFreeze(setting.type.read(given.value))
        origins[property] = given.origin
      } catch (error) {
        if (!(error instanceof NotAllowed)) throw error
        problems.push(...problemsOf(property, setting, given, error.refusals))
      }
    }
  }
  const resolved = Object.freeze({
    values: Object.freeze(values) as ValuesOf<Table>,
    origins: deepFreeze(origins) as Record<keyof Table, Origin>,
  })
  return { resolved, problems }
}

function problemsOf(
  property: string,
  setting: Setting,
  given: Given,
  refusals: readonly Refusal[],
): ConfigProblem[] {
  const problems = refusals.map(({ message, index, whole = false, hidden = false }) => {
    const items: unknown = typeof given.value === 'string' ? splitList(given.value) : given.value
    const part: unknown = index !== undefined && Array.isArray(items) ? items[index] : given.value
    // A parser quotes what it was given.
    const quotes = whole && typeof part === 'string' && hideSecrets(part) !== part
    return {
      key: fileKeyOf(property),
      origin: given.origin,
      ...(hidden ? {} : { given: quoteGiven(given.written ?? part) }),
      // What a parser says is a sentence of its own; everything else says what is allowed.
      message: whole && !quotes ? message : `allowed: ${quotes ? setting.type.allowed : message}`,
    }
  })
  // The same item twice in a list is one problem still.
  return problems.filter(
    ({ given: shown, message }, at) =>
      problems.findIndex((other) => other.given === shown && other.message === message) === at,
  )
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) deepFreeze(part)
    Object.freeze(value)
  }
  return value
}
