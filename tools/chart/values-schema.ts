import { SERVE_SETTINGS } from '../../src/config/serve-settings.ts'
import {
  fileKeyOf,
  isSettableIn,
  listChoice,
  type Setting,
  type SettingTable,
} from '../../src/config/setting.ts'
import type { DocumentedValue, ValueSection } from './values-document.ts'

type Schema = Readonly<Record<string, unknown>>

/** Keys at the root that belong to whoever uses the chart as a part of another one. */
const FOREIGN_ROOT: Readonly<Record<string, Schema>> = {
  global: {
    type: ['object', 'null'],
    description: 'Values that charts share. Read here: imageRegistry, imagePullSecrets.',
    properties: {
      imageRegistry: { type: ['string', 'null'] },
      imagePullSecrets: { type: ['array', 'null'], items: { type: ['string', 'object'] } },
    },
  },
  enabled: { description: 'For the condition of a chart that has this one as a part; not read here.' },
  tags: { type: 'object', description: 'As enabled.' },
}

/**
 * The JSON schema of a chart's values (draft 7, which every Helm reads). Unknown keys are refused everywhere, because a
 * typing error would pass unseen; at the root `global`, `enabled` and `tags` are taken, and keys that begin with `x-` or
 * `_`, for what a chart above this one needs.
 */
export function schemaOf(sections: readonly ValueSection[]): Schema {
  const values = sections.flatMap((section) => section.values)
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the chart ringman',
    type: 'object',
    properties: { ...FOREIGN_ROOT, ...propertiesOf(values) },
    patternProperties: { '^(x-|_)': {} },
    additionalProperties: false,
  }
}

/**
 * What the templates cannot know by themselves of single settings, by their keys in a file: the sources that they are for, the
 * setting without which they have no effect, and the default, which may stand anywhere.
 */
export function settingRules(): {
  readonly sources: Readonly<Record<string, readonly string[]>>
  readonly needs: Readonly<Record<string, string>>
  readonly defaults: Readonly<Record<string, string | number | boolean>>
} {
  const table: SettingTable = SERVE_SETTINGS
  const rows = Object.entries(table)
  return {
    sources: Object.fromEntries(
      rows.flatMap(([property, { sources }]) =>
        sources === undefined ? [] : [[fileKeyOf(property), sources]],
      ),
    ),
    needs: Object.fromEntries(
      rows.flatMap(([property, { needs }]) =>
        needs === undefined ? [] : [[fileKeyOf(property), fileKeyOf(needs)]],
      ),
    ),
    defaults: Object.fromEntries(
      rows.flatMap(([property, { default: value }]) =>
        value === undefined ? [] : [[fileKeyOf(property), value]],
      ),
    ),
  }
}

function propertiesOf(values: readonly DocumentedValue[]): Record<string, Schema> {
  return Object.fromEntries(values.map((value) => [value.key, schemaOfValue(value)]))
}

function schemaOfValue(value: DocumentedValue): Schema {
  const { annotation, children, description } = value
  if (children !== undefined) {
    return { type: 'object', properties: propertiesOf(children), additionalProperties: false }
  }
  const base = { description, default: value.value }
  if (annotation['config'] === true) return { ...base, ...configSchema() }
  if (annotation['probe'] === true) return { ...base, ...PROBE }
  if (annotation['ruleOverrides'] === true) return { ...base, ...RULE_OVERRIDES }
  const isTyped = 'enum' in annotation || 'type' in annotation
  return { ...base, ...(isTyped ? {} : { type: typeOf(value) }), ...annotation }
}

function typeOf({ path, value, annotation }: DocumentedValue): string {
  if (Array.isArray(value) && 'items' in annotation) return 'array'
  if (typeof value === 'string' || typeof value === 'boolean') return typeof value
  if (typeof value === 'number') return 'integer'
  throw new Error(
    `values.yaml: ${path} needs a line "# @schema {type: …}" (or items:), its default does not tell`,
  )
}

/** Every setting that a file can hold. Text may always be a template, so its form is left to ringman. */
function configSchema(): Schema {
  const table: SettingTable = SERVE_SETTINGS
  const properties = Object.entries(table)
    .filter(([, setting]) => isSettableIn(setting, 'file'))
    .map(([property, setting]) => [fileKeyOf(property), settingSchema(setting)])
  return { type: 'object', properties: Object.fromEntries(properties), additionalProperties: false }
}

const DURATION_PATTERN = String.raw`^(0+|\d+(\.\d+)?(ms|s|m|h))$|\{\{`
const SIZE_PATTERN = String.raw`^\d+(B|KiB|MiB)?$|\{\{`

function settingSchema({ type, help, sources, needs }: Setting): Schema {
  const only = sources === undefined ? '' : ` Only for the source ${listChoice(sources)}.`
  const beside = needs === undefined ? '' : ` Only with ${fileKeyOf(needs)}.`
  const description = `${help}. Allowed: ${type.allowed}.${only}${beside}`
  // A key without a value is not set.
  if (type.placeholder === 'DURATION') {
    const text: Schema = { type: ['string', 'null'], pattern: DURATION_PATTERN }
    // Apart from the text, so that helm says of a number without a unit that text is wanted.
    return { description, anyOf: [text, { const: 0 }] }
  }
  if (type.placeholder === 'SIZE') {
    return { description, type: ['string', 'integer', 'null'], pattern: SIZE_PATTERN }
  }
  if (type.placeholder.endsWith(',…')) {
    return { description, type: ['array', 'string', 'null'], items: { type: 'string' } }
  }
  if (type.schema === undefined) return { description, type: ['string', 'null'] }
  if ('enum' in type.schema) return { description, enum: [...type.schema.enum, null] }
  return { description, ...type.schema, type: [type.schema.type, 'null'] }
}

const PROBE: Schema = {
  type: 'object',
  properties: Object.fromEntries(
    [
      'initialDelaySeconds',
      'periodSeconds',
      'timeoutSeconds',
      'failureThreshold',
      'successThreshold',
      'terminationGracePeriodSeconds',
    ].map((name) => [name, { type: ['integer', 'null'], minimum: name === 'initialDelaySeconds' ? 0 : 1 }]),
  ),
  additionalProperties: false,
}

const TEXTS: Schema = { type: 'object', additionalProperties: { type: 'string' } }

const RULE_OVERRIDES: Schema = {
  type: 'object',
  additionalProperties: {
    type: ['object', 'null'],
    properties: {
      enabled: { type: 'boolean' },
      expr: { type: 'string' },
      for: { type: 'string' },
      severity: { type: 'string' },
      labels: TEXTS,
      annotations: TEXTS,
    },
    additionalProperties: false,
  },
}
