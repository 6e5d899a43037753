import type { SourceKind } from '../membership/source.ts'
import type { PlainValue, ValueType } from './value-type.ts'

/** Where a person can set something. */
export type Place = 'flag' | 'variable' | 'file'

/** One setting: everything that its flag, variable, file key, help and documentation are made of. */
export interface Setting<T = unknown> {
  readonly type: ValueType<T>
  /** What counts when nobody sets it, as a file would hold it; absent: then there is no value. */
  readonly default?: string | number | boolean
  /** For a default that depends on the machine: how it is found and what the documentation says of it. */
  readonly computedDefault?: { readonly compute: () => string; readonly words: string }
  /** One sentence, without full stop. */
  readonly help: string
  readonly category: string
  /** The sources that it is for; another value than the default is refused with another one. @default all */
  readonly sources?: readonly SourceKind[] | undefined
  /** The setting that must be set or on for it to have an effect; another value than the default is refused without. */
  readonly needs?: string
  /** Settings beside which it has no effect: setting it and one of them, each to another value than its default, is refused. */
  readonly excludes?: readonly string[]
  /** Where it can be set. @default all of them */
  readonly places?: readonly Place[]
  /** A second, short flag such as `-n`. */
  readonly short?: string
}

/**
 * A table of settings by property name. A property's unit suffix, `Ms` or `Bytes`, belongs to the value in the
 * program; the names that people write go without it: see {@link fileKeyOf}.
 */
export type SettingTable = Readonly<Record<string, Setting>>

/** Makes rows of a table that have something in common. */
export function settingsWith<const Common extends Omit<Partial<Setting>, 'type'>>(common: Common) {
  return <const Rows extends Readonly<Record<string, Omit<Setting, keyof Common>>>>(rows: Rows) =>
    Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, { ...common, ...row }])) as {
      readonly [Name in keyof Rows]: Common & Rows[Name]
    }
}

/** The values of a table: what has no default may be undefined. */
export type ValuesOf<Table extends SettingTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Setting<infer T>
    ? Table[Name] extends
        { readonly default: string | number | boolean } | { readonly computedDefault: object }
      ? T
      : T | undefined
    : never
}

/** The key in the configuration file: `minMembersTimeoutMs` is `minMembersTimeout`. */
export function fileKeyOf(property: string): string {
  return property.replace(/(Ms|Bytes)$/, '')
}

/** The flag: `minMembersTimeoutMs` is `--min-members-timeout`. */
export function flagOf(property: string): string {
  return `--${fileKeyOf(property).replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** The environment variable: `minMembersTimeoutMs` is `RINGMAN_MIN_MEMBERS_TIMEOUT`. */
export function variableOf(property: string): string {
  return `RINGMAN_${flagOf(property).slice(2).replaceAll('-', '_').toUpperCase()}`
}

/** Whether a setting can be set in a place. */
export function isSettableIn(setting: Setting, place: Place): boolean {
  return setting.places?.includes(place) ?? true
}

/** The values of a table by file key, as a file would hold them; what has none is left out. */
export function encodeValues<Table extends SettingTable>(
  table: Table,
  values: ValuesOf<Table>,
): Record<string, PlainValue> {
  return Object.fromEntries(
    Object.entries(table).flatMap(([property, setting]) => {
      const value: unknown = values[property as keyof Table]
      return value === undefined ? [] : [[fileKeyOf(property), setting.type.encode(value)] as const]
    }),
  )
}

/** Where a value came from. */
export type Origin =
  | { readonly kind: 'flag' | 'argument' | 'variable' | 'option'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string; readonly key: string }
  | { readonly kind: 'default' }

/** An origin in words, such as `flag --http-port`. */
export function describeOrigin(origin: Origin): string {
  if (origin.kind === 'default') return 'default'
  return origin.kind === 'file' ? `${origin.key} in ${origin.path}` : `${origin.kind} ${origin.name}`
}

/** Words of a choice as one says them: `a, b or c`. */
export function listChoice(words: readonly string[]): string {
  return new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(words)
}
