import { stringify } from 'yaml'
import type { Resolved } from './resolve.ts'
import { describeOrigin, fileKeyOf, isSettableIn, type Origin, type SettingTable } from './setting.ts'
import type { PlainValue } from './value-type.ts'

/** One setting as `--print-config` shows it. */
export interface DescribedSetting {
  /** As a file would hold it; null when it has none. */
  readonly value: PlainValue | null
  readonly origin: Origin
}

/** Every setting by file key, with its value and where that came from. */
export function describeConfig(
  table: SettingTable,
  { values, origins }: Resolved<SettingTable>,
): Record<string, DescribedSetting> {
  return Object.fromEntries(
    Object.entries(table).map(([property, { type }]) => {
      const value = values[property]
      const origin = origins[property] ?? { kind: 'default' }
      return [fileKeyOf(property), { value: value === undefined ? null : type.encode(value), origin }]
    }),
  )
}

/**
 * The same for people, as YAML that can be used as a configuration file: where each value came from is a comment, and
 * so is whatever a file cannot hold.
 */
export function renderConfig(table: SettingTable, resolved: Resolved<SettingTable>): string {
  const described = describeConfig(table, resolved)
  const rows = Object.entries(table).map(([property, setting]) => {
    const key = fileKeyOf(property)
    const { value = null, origin = { kind: 'default' as const } } = described[key] ?? {}
    const isHeld = value !== null && isSettableIn(setting, 'file')
    return {
      left: `${isHeld ? '' : '# '}${key}:${value === null ? '' : ` ${renderValue(value)}`}`,
      right: value === null ? 'not set' : describeOrigin(origin),
    }
  })
  const width = Math.max(...rows.map(({ left }) => (left.length > 60 ? 0 : left.length)))
  return rows.map(({ left, right }) => `${left.padEnd(width)}  # ${right}\n`).join('')
}

function renderValue(value: PlainValue): string {
  return stringify(value, { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 }).trim()
}
