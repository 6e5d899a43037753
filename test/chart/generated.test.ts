import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { parse } from 'yaml'
import { describe, expect, test } from 'vitest'
import { SERVE_SETTINGS } from '../../src/config/serve-settings.ts'
import { fileKeyOf } from '../../src/config/setting.ts'
import { CHART_FOLDER, generateChartFiles } from '../../tools/chart/generate.ts'
import { withTables } from '../../tools/chart/readme-tables.ts'
import { readValues } from '../../tools/chart/values-document.ts'
import { schemaOf } from '../../tools/chart/values-schema.ts'

const read = (name: string) => readFile(join(CHART_FOLDER, name), 'utf8')

describe('what is made from values.yaml', () => {
  test('is current; `node tools/chart/generate.ts` writes it', async () => {
    for (const [name, text] of Object.entries(await generateChartFiles())) {
      expect(await read(name), name).toBe(text)
    }
  })

  test('describes every value, and the defaults are valid', async () => {
    const values: unknown = parse(await read('values.yaml'))
    const schema = JSON.parse(await read('values.schema.json')) as object
    const validate = new Ajv({ strict: false }).compile(schema)
    expect(validate(values), JSON.stringify(validate.errors)).toBe(true)
    const readme = await read('README.md')
    for (const path of leavesOf(values)) expect(readme).toContain(`| \`${path}\``)
  })
})

test('the chart, its image and the plain manifests have the version of the package', async () => {
  const root = (name: string) => readFile(join(CHART_FOLDER, '../..', name), 'utf8')
  const { version } = JSON.parse(await root('package.json')) as { version: string }
  expect(parse(await read('Chart.yaml'))).toMatchObject({ version, appVersion: version })
  for (const file of ['manifests/ringman.yaml', 'manifests/kustomization.yaml', 'docs/kubernetes.md']) {
    const text = await root(file)
    const versions = [...text.matchAll(/(?:ringman:|newTag: )(\d+\.\d+\.\d+)/g)].map(([, found]) => found)
    expect(new Set(versions), file).toEqual(new Set([version]))
  }
})

/** Paths down to where the chart's own structure ends: what the README must have, whatever the tool made of it. */
function leavesOf(values: unknown): string[] {
  const top = Object.keys(values as object)
  expect(top.length).toBeGreaterThan(50)
  const groups = [
    'image',
    'keyring',
    'seeds',
    'tracing',
    'prometheusRule',
    'autoscaling',
    'podDisruptionBudget',
  ]
  return top.flatMap((key) => {
    if (!groups.includes(key)) return []
    return Object.keys((values as Record<string, object>)[key] ?? {}).map((inner) => `${key}.${inner}`)
  })
}

describe('the schema', async () => {
  const schema = schemaOf(readValues(await read('values.yaml')))
  const validate = new Ajv({ strict: false }).compile(schema)
  const isValid = (values: unknown) => validate(values)

  test('knows every setting of ringman, and refuses others', () => {
    const keys = Object.keys(SERVE_SETTINGS)
      .map(fileKeyOf)
      .filter((key) => key !== 'config')
    for (const key of keys) expect(isValid({ config: { [key]: null } }), key).toBe(true)
    expect(isValid({ config: { minMember: 3 } })).toBe(false)
    expect(isValid({ config: { config: '/etc/other.yaml' } })).toBe(false)
  })

  test.each([
    [{ httpPort: 9000 }, true],
    [{ httpPort: 70_000 }, false],
    [{ drain: '1.5s' }, true],
    [{ drain: 0 }, true],
    [{ drain: 5 }, false],
    [{ drain: '5 seconds' }, false],
    [{ label: '{{ .Release.Name }}' }, true],
    [{ source: 'memberlist' }, true],
    [{ source: 'consul' }, false],
    [{ tcpOnly: true }, true],
    [{ tcpOnly: 'yes' }, false],
    [{ seeds: 'a:7946,b:7946' }, true],
    [{ seeds: ['a:7946'] }, true],
    [{ seeds: [1] }, false],
    [{ maxKey: '1KiB' }, true],
    [{ maxKey: '1kb' }, false],
    [{ weight: 2 }, true],
    [{ weight: 0 }, false],
  ])('takes the setting %j: %s', (config, expected) => {
    expect(isValid({ config })).toBe(expected)
  })

  test.each([
    [{ replicas: '3' }, false],
    [{ replica: 3 }, false],
    [{ image: { tags: 'x' } }, false],
    [{ image: { digest: 'sha256:abc' } }, false],
    [{ kind: 'DaemonSet' }, false],
    [{ podDisruptionBudget: { minAvailable: '50%', maxUnavailable: null } }, true],
    [
      { prometheusRule: { overrides: { RingmanSplit: { enabled: false, for: '5m', severity: 'page' } } } },
      true,
    ],
    [{ prometheusRule: { overrides: { RingmanSplit: { fro: '5m' } } } }, false],
    [{ global: { imageRegistry: 'x', anything: { of: 'others' } } }, true],
    [{ enabled: true, tags: { rings: true } }, true],
    [{ 'x-anchors': { a: 1 }, _shared: [] }, true],
  ])('takes the values %j: %s', (values, expected) => {
    expect(isValid(values)).toBe(expected)
  })
})

describe('the tool', () => {
  test('refuses values that are not documented, or of a kind that nobody can tell', () => {
    expect(() => readValues('## A\n\na: 1\n')).toThrow('a has no comment')
    expect(() => readValues('# What.\na: 1\n')).toThrow('without a heading')
    expect(() => schemaOf(readValues('## A\n\n# What.\na: {}\n'))).toThrow('@schema')
    expect(() => schemaOf(readValues('## A\n\n# What.\na: null\n'))).toThrow('@schema')
    expect(() => withTables('no marks', [])).toThrow('no place')
  })

  test('reads groups, descriptions and annotations', () => {
    const [section] = readValues(
      '## A\n#\n# Of things.\n\n# One\n# two.\n# @schema {minimum: 1}\na: 1\nb:\n  # C.\n  c: x|y\n',
    )
    expect(section).toMatchObject({
      title: 'A',
      text: 'Of things.',
      values: [
        { path: 'a', description: 'One two.', annotation: { minimum: 1 }, value: 1 },
        { path: 'b', children: [{ path: 'b.c', description: 'C.', shown: 'x|y' }] },
      ],
    })
    expect(schemaOf(section === undefined ? [] : [section])).toMatchObject({
      properties: {
        a: { type: 'integer', minimum: 1, default: 1 },
        b: { type: 'object', additionalProperties: false, properties: { c: { type: 'string' } } },
      },
    })
    const marks = withTables(
      '<!-- values: made from values.yaml by `node tools/chart/generate.ts` -->\n<!-- end of values -->\n',
      section === undefined ? [] : [section],
    )
    expect(marks).toContain('| `b.c` | C. | `x\\|y` |')
  })
})
