import { stringify } from 'yaml'
import type { Resolved } from './resolve.ts'
import { describeOrigin, fileKeyOf, type Origin, type SettingTable } from './setting.ts'
import type { PlainValue } from './value-type.ts'

/** One setting as `--print-config` shows it. */
export interface DescribedSetting {
  /** As a file would hold it; null when it has no value; absent when it is secret. */
  readonly value?: PlainValue | null
  readonly secret?: true
  readonly origin: Origin
}

/** Every setting by file key, with its value and where that came from; what is secret is left out. */
export function describeConfig<Table extends SettingTable>(
  table: Table,
  { values, origins }: Resolved<Table>,
): Record<string, DescribedSetting> {
  const described: Record<string, DescribedSetting> = {}
  for (const property of Object.keys(table) as (keyof Table & string)[]) {
    const setting = table[property]
    if (setting === undefined) continue
    const value: unknown = values[property]
    described[fileKeyOf(property)] = {
      ...(setting.secret === true
        ? { secret: true as const }
        : { value: value === undefined ? null : setting.type.encode(value) }),
      origin: origins[property],
    }
  }
  return described
}

/**
 * The same for people, as YAML that can be used as a configuration file: where each value came from is a comment, and
 * so is whatever a file cannot hold.
 */
export function renderConfig<Table extends SettingTable>(table: Table, resolved: Resolved<Table>): string {
  const described = describeConfig(table, resolved)
  const rows = Object.entries(table).map(([property, setting]) => {
    const key = fileKeyOf(property)
    const { value, secret, origin } = described[key] ?? { origin: { kind: 'default' } }
    const hidden = secret === true ? '(hidden)' : undefined
    const noValue = value === null || value === undefined
    const comment = noValue || setting.places?.includes('file') === false ? '# ' : ''
    const shown = hidden ?? (noValue ? '' : ` ${renderValue(value)}`)
    return {
      left: `${comment}${key}:${shown}`,
      right: noValue && hidden === undefined ? 'not set' : describeOrigin(origin),
    }
  })
  const width = Math.max(...rows.map(({ left }) => (left.length > 60 ? 0 : left.length)))
  return rows.map(({ left, right }) => `${left.padEnd(width)}  # ${right}\n`).join('')
}

function renderValue(value: PlainValue): string {
  return stringify(value, { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 }).trim()
}
