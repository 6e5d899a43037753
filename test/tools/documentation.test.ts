import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const linksIn = (text: string) => [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)

test('docs/README.md lists every page once', () => {
  const pages = globSync('docs/*.md', { cwd: root }).map((path) => path.replace('docs/', ''))
  const listed = linksIn(read('docs/README.md')).filter((target) => target.endsWith('.md'))
  expect(listed.toSorted()).toEqual(pages.filter((page) => page !== 'README.md').toSorted())
})

test('every link within the documentation leads to a file and to a heading', () => {
  const broken: string[] = []
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    ...globSync(['docs/**/*.md', '{helm,manifests}/**/*.md'], { cwd: root }),
  ]
  for (const page of pages) {
    for (const link of linksIn(read(page)).filter((target) => !/^[a-z]+:/.test(target))) {
      const [path = '', heading] = link.split('#')
      const target = path === '' ? page : join(dirname(page), path)
      const found = existsSync(join(root, target))
      if (!found || (heading !== undefined && !headingsOf(read(target)).includes(heading))) {
        broken.push(`${page}: ${link}`)
      }
    }
  }
  expect(broken).toEqual([])
})

test.each(['architecture', 'memberlist-protocol'])(
  'every source file that docs/%s.md names is there',
  (page) => {
    const files = globSync('{src,monitoring,test,tools,helm}/**/*.*', { cwd: root })
    const named = [...read(`docs/${page}.md`).matchAll(/`(\w[\w./-]*\.(?:ts|json|yaml))`/g)].map(
      ([, path = '']) => path,
    )
    expect(named.length).toBeGreaterThan(20)
    const missing = named.filter((path) => !files.some((file) => `/${file}`.endsWith(`/${path}`)))
    expect(missing).toEqual([])
  },
)

/** The anchors that headings get. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}
