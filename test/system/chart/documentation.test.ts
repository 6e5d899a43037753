import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import { describe, expect, test } from 'vitest'
import {
  CHART_FOLDER,
  environmentOf,
  helm,
  memberContainer,
  renderChart,
  SEEN_CLUSTER,
  workloadOf,
} from '../../support/chart.ts'

const ROOT = resolve(import.meta.dirname, '../../..')
const PAGES = ['kubernetes', 'monitoring']
const texts = await Promise.all(PAGES.map((page) => readFile(join(ROOT, `docs/${page}.md`), 'utf8')))
const text = texts.join('\n')

/** Fenced blocks of a language, without the indentation of a list. */
function blocksOf(language: string): string[] {
  const fence = new RegExp(`^( *)\`\`\`${language}\\n([\\s\\S]*?)^ *\`\`\`$`, 'gm')
  return [...text.matchAll(fence)].map(([, indent = '', block = '']) =>
    block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  )
}

describe('docs/kubernetes.md and docs/monitoring.md', () => {
  const values = blocksOf('yaml').filter((block) => block.startsWith('# values.yaml\n'))

  test('has values for each choice', () => {
    expect(values.length).toBeGreaterThanOrEqual(10)
  })

  test.each(values.map((block) => [block.split('\n').slice(1, 3).join(' '), block]))(
    'has values that the chart takes: %s',
    async (_title, block) => {
      const { objects } = await renderChart({ values: parse(block) as Record<string, unknown> })
      expect(objects.length).toBeGreaterThan(5)
    },
  )

  test('names alerts and dashboards that exist in what it overrides', async () => {
    const withRules = values.filter((block) => block.includes('prometheusRule:'))
    expect(withRules).toHaveLength(1)
    // The chart refuses overrides of rules that it does not have.
    const { manifest } = await renderChart({ values: parse(withRules[0] ?? '') as Record<string, unknown> })
    expect(manifest).toContain('kind: PrometheusRule')
    expect(manifest).not.toContain('alert: RingmanShareOutOfBalance')
  })

  test('has helm commands that are understood', async () => {
    const commands = blocksOf('sh')
      .flatMap((block) => block.split('\n'))
      .filter((line) => /^helm (install|upgrade|show) /.test(line))
    expect(commands.length).toBeGreaterThanOrEqual(2)
    for (const command of commands) {
      const args = command
        .split(' ')
        .slice(1)
        .map((arg) => arg.replace(/^helm\/ringman$/, CHART_FOLDER))
      const offline =
        args[0] === 'show'
          ? args
          : [
              'template',
              ...args.slice(1).filter((arg) => !/^--(reset|create)/.test(arg)),
              '--api-versions',
              SEEN_CLUSTER,
            ]
      const { code, stderr } = await helm(offline)
      expect(code, `${command}\n${stderr}`).toBe(0)
    }
  })

  test('leads to files and headings that exist', async () => {
    const slug = (heading: string) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-')
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? join(ROOT, 'docs/kubernetes.md') : resolve(ROOT, 'docs', path)
      const isFolder = !/\.\w+$/.test(file)
      if (isFolder) {
        expect((await readdir(file)).length, target).toBeGreaterThan(0)
        continue
      }
      const content = await readFile(file, 'utf8')
      if (anchor === undefined) continue
      const headings = [...content.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => slug(heading))
      expect(headings, target).toContain(anchor)
    }
  })
})

describe('a chart that has this one as a part', () => {
  test('gives it values, a global registry and a condition; twice by an alias', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ringman-umbrella-'))
    try {
      const block = blocksOf('yaml').find((one) => one.startsWith('# Chart.yaml\n'))
      const { dependencies } = parse(block ?? '') as { dependencies: Record<string, string>[] }
      const dependency = { ...dependencies[0], repository: `file://${CHART_FOLDER}` }
      const chart = { apiVersion: 'v2', name: 'platform', version: '1.0.0' }
      await mkdir(join(folder, 'templates'))
      await writeFile(
        join(folder, 'Chart.yaml'),
        stringify({
          ...chart,
          dependencies: [dependency, { ...dependency, alias: 'sessions', condition: 'sessions.enabled' }],
        }),
      )
      await writeFile(
        join(folder, 'values.yaml'),
        stringify({
          global: { imageRegistry: 'registry.example.com', other: { charts: 'need this' } },
          ringman: { enabled: true, replicas: 5 },
          sessions: { enabled: true, 'x-anchor': { a: 1 } },
        }),
      )
      const built = await helm(['dependency', 'build', folder])
      expect(built.code, built.stderr).toBe(0)
      const { objects } = await renderChart({ chart: folder })
      const sets = objects.filter(({ kind }) => kind === 'StatefulSet')
      expect(sets.map(({ metadata }) => metadata.name).sort()).toEqual(['prod-ringman', 'prod-sessions'])
      const labels = sets.map((set) => environmentOf(memberContainer(set))['RINGMAN_LABEL'])
      expect(new Set(labels).size).toBe(2)
      for (const set of sets) expect(memberContainer(set)['image']).toBe('registry.example.com/ringman:0.1.0')

      const without = await renderChart({ chart: folder, values: { ringman: { enabled: false } } })
      expect(workloadOf(without.objects).metadata.name).toBe('prod-sessions')
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
