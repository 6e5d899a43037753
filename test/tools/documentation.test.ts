import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { createProgram } from '../../src/cli/program.ts'
import { RecordingTerminal } from '../support/recording-terminal.ts'

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
    'CHANGELOG.md',
    ...globSync('{bench,clients,conformance,docs,helm,manifests}/**/*.md', { cwd: root }),
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
    const files = globSync('{bench,conformance,examples,helm,lab,monitoring,src,test,tools}/**/*.*', {
      cwd: root,
    })
    const named = [...read(`docs/${page}.md`).matchAll(/`(\w[\w./-]*\.(?:ts|json|yaml))`/g)].map(
      ([, path = '']) => path,
    )
    expect(named.length).toBeGreaterThan(20)
    const missing = named.filter((path) => !files.some((file) => `/${file}`.endsWith(`/${path}`)))
    expect(missing).toEqual([])
  },
)

test('every command of ringman in the documentation has a name and flags that there are', () => {
  const program = createProgram({
    terminal: new RecordingTerminal(),
    env: {},
    version: '',
    finish: () => {},
  })
  const flagsOf = new Map(
    program.commands.map((command) => [command.name(), command.options.map(({ long }) => long ?? '')]),
  )
  const pages = ['README.md', ...globSync('{clients,docs,helm,manifests}/**/*.md', { cwd: root })]
  const wrong: string[] = []
  let count = 0
  for (const page of pages) {
    const text = read(page).replaceAll(/\\\n\s*/g, ' ')
    // In a block, or between backticks.
    const fenced = [...text.matchAll(/^ *```(?:sh|console)\n([^]*?)^ *```$/gm)].flatMap(([, block = '']) =>
      block.split('\n'),
    )
    const inline = [...text.matchAll(/`(ringman [^`\n]+)`/g)].map(([, code = '']) => code)
    for (const line of [...fenced, ...inline]) {
      // The plugin of kubectl has flags of its own.
      const [, name, rest = ''] = /(?<!kubectl |-n )\bringman ([a-z]+)\b([^#|;&>]*)/.exec(line) ?? []
      if (name === undefined || /\b(helm|docker|kind|minikube|podman) /.test(line)) continue
      count++
      const flags = flagsOf.get(name)
      const unknown = [...rest.matchAll(/(?<=\s)--[a-z][a-z-]*/g)].filter(
        ([flag]) => flags?.includes(flag) !== true,
      )
      if (flags === undefined || unknown.length > 0) wrong.push(`${page}: ${line}`)
    }
  }
  expect(wrong).toEqual([])
  expect(count).toBeGreaterThan(100)
})

test('the commands for rotating keys put into the Secret what they are given', () => {
  const line = /^put\(\) .*$/m.exec(read('docs/kubernetes.md'))?.[0] ?? ''
  // Every character of base64, so that none can get lost on the way.
  const keys = ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef', 'ghijklmnopqrstuvwxyz0123456789+/', 'n'.repeat(32)]
  const script = `kubectl() { for last; do :; done; printf %s "$last"; }\nNS=a SECRET=b\n${line}\nput "$@"`
  const patch = execFileSync('sh', ['-c', script, 'sh', ...keys], { encoding: 'utf8' })
  const { data } = JSON.parse(patch) as { data: { keyring: string } }
  expect(Buffer.from(data.keyring, 'base64').toString()).toBe(`${keys.join('\n')}\n`)
})

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
