import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { withTables } from './readme-tables.ts'
import { readValues } from './values-document.ts'
import { schemaOf, settingRules } from './values-schema.ts'

/** The chart's folder. */
export const CHART_FOLDER = resolve(import.meta.dirname, '../../helm/ringman')

/** What is made from `values.yaml` and from ringman's settings: text by file name within the chart. */
export async function generateChartFiles(): Promise<Readonly<Record<string, string>>> {
  const sections = readValues(await readFile(join(CHART_FOLDER, 'values.yaml'), 'utf8'))
  const readmePath = join(CHART_FOLDER, 'README.md')
  const readme = withTables(await readFile(readmePath, 'utf8'), sections)
  const style = await resolveConfig(readmePath)
  return {
    'values.schema.json': `${JSON.stringify(schemaOf(sections), null, 2)}\n`,
    'files/settings.json': `${JSON.stringify(settingRules(), null, 2)}\n`,
    'README.md': await format(readme, { ...style, parser: 'markdown' }),
  }
}

if (import.meta.main) {
  for (const [name, text] of Object.entries(await generateChartFiles())) {
    await writeFile(join(CHART_FOLDER, name), text)
    console.log(`wrote helm/ringman/${name}`)
  }
}
