/** `npm run monitoring`: writes the dashboards and alert rules that the chart ships. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { CHART_FILES, renderArtifacts } from './artifacts.ts'

const root = resolve(import.meta.dirname, '..')
for (const [path, text] of renderArtifacts()) {
  const file = resolve(root, CHART_FILES, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  process.stdout.write(`${CHART_FILES}/${path} (${text.length} characters)\n`)
}
