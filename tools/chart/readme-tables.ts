import type { DocumentedValue, ValueSection } from './values-document.ts'

/** Between these marks of a README the tables are written. */
const TABLES_BEGIN = '<!-- values: made from values.yaml by `node tools/chart/generate.ts` -->'
const TABLES_END = '<!-- end of values -->'

/**
 * Puts the tables of all values into a README.
 *
 * @throws {Error} when the marks are not there.
 */
export function withTables(readme: string, sections: readonly ValueSection[]): string {
  const begin = readme.indexOf(TABLES_BEGIN)
  const end = readme.indexOf(TABLES_END)
  if (begin < 0 || end < begin)
    throw new Error(`the README has no place between "${TABLES_BEGIN}" and "${TABLES_END}"`)
  const tables = sections.map(renderSection).join('\n')
  return `${readme.slice(0, begin)}${TABLES_BEGIN}\n\n${tables}\n${readme.slice(end)}`
}

function renderSection({ title, text, values }: ValueSection): string {
  const rows = values.flatMap(leavesOf).map(({ path, description, shown }) => {
    return `| \`${path}\` | ${escapeCell(description)} | \`${escapeCell(shown)}\` |\n`
  })
  const intro = text === '' ? '' : `${text}\n\n`
  return `### ${title}\n\n${intro}| value | what | default |\n| --- | --- | --- |\n${rows.join('')}`
}

function leavesOf(value: DocumentedValue): readonly DocumentedValue[] {
  return value.children === undefined ? [value] : value.children.flatMap(leavesOf)
}

function escapeCell(text: string): string {
  return text.replaceAll('|', String.raw`\|`)
}
