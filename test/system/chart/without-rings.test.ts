import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { CHART_FOLDER, matrixFiles, renderChart } from '../../support/chart.ts'

/** A copy of the chart as if it had never heard of HashRings. */
let without: string

async function edit(path: string, change: (text: string) => string): Promise<void> {
  const text = await readFile(path, 'utf8')
  const changed = change(text)
  if (changed !== text) await writeFile(path, changed)
}

beforeAll(async () => {
  without = await mkdtemp(join(tmpdir(), 'ringman-without-rings-'))
  await cp(CHART_FOLDER, without, { recursive: true })
  const templates = join(without, 'templates')
  for (const name of await readdir(templates)) {
    if (name.startsWith('hash-ring-')) await rm(join(templates, name))
    else if (/\.(tpl|yaml|txt)$/.test(name)) {
      // What asks whether rings are on is told that they are not; what reads the values of rings finds none.
      await edit(join(templates, name), (text) => text.replaceAll(/\$?\.Values\.rings\.enabled/g, 'false'))
    }
  }
  await rm(join(without, 'files/dashboards/ringman-hash-rings.json'))
  await edit(join(without, 'files/rules.yaml'), (text) => {
    const rules = parse(text) as { groups: { name: string }[] }
    const groups = rules.groups.filter(({ name }) => name !== 'ringman-hash-rings')
    expect(groups).toHaveLength(rules.groups.length - 1)
    return stringify({ ...rules, groups }, { lineWidth: 0 })
  })
  await edit(join(without, 'values.yaml'), (text) => {
    const { rings, crds, ...values } = parse(text) as Record<string, unknown>
    expect(rings).toMatchObject({ enabled: false })
    expect(crds).toBeDefined()
    return stringify(values, { lineWidth: 0 })
  })
  await rm(join(without, 'values.schema.json'))
})
afterAll(async () => {
  await rm(without, { recursive: true, force: true })
})

/** All that is rendered, byte by byte, but keys that are random. */
async function render(chart: string, valuesFile: string): Promise<string> {
  const { manifest } = await renderChart({ chart, valuesFiles: [valuesFile] })
  return manifest.replaceAll(/(?<=: )"[\w+/]{43,60}=*"/g, '"random"')
}

/** The values of the matrix in which rings are off, with what they choose. */
async function ringlessFiles() {
  const files = await matrixFiles()
  const values = await Promise.all(
    files.map(async (file) => ({
      ...file,
      rings: (parse(await readFile(file.valuesFile, 'utf8')) as { rings?: unknown } | null)?.rings,
    })),
  )
  return values.filter(({ rings }) => rings === undefined)
}

const RINGLESS = await ringlessFiles()

test('most of the matrix has no rings', async () => {
  expect(RINGLESS.length).toBeGreaterThan(15)
  expect((await matrixFiles()).length).toBeGreaterThan(RINGLESS.length)
})

test.each(RINGLESS)(
  'with $name, HashRings do not change a byte of what is rendered',
  async ({ valuesFile }) => {
    const own = await render(CHART_FOLDER, valuesFile)
    expect(own.length).toBeGreaterThan(1000)
    expect(own).toBe(await render(without, valuesFile))
  },
)

test('with rings, they do', async () => {
  const [ringless] = RINGLESS
  const { manifest } = await renderChart({
    valuesFiles: [ringless!.valuesFile],
    values: { rings: { enabled: true } },
  })
  expect(manifest).not.toBe(await render(without, ringless!.valuesFile))
})
