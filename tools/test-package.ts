/**
 * `npm run test:package`: packs the package, installs it into an empty project as a user would, without what is optional,
 * and uses it there: the command, the library, its types.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** Most that an install without the optional dependencies may take, in bytes on the disk. */
const SIZE_LIMIT = 60e6

/** The command, as it is installed. */
const COMMAND = 'node_modules/ringman/dist/cli.js'

/** Most that the page of a small ring may take with all that it loads, in bytes. */
const PAGE_LIMIT = 150_000

/** What a member without a kubeconfig, a YAML file and a terminal does not load. */
const LAZY = ['@kubernetes/client-node', 'yaml', 'pino-pretty', 'prom-client', 'undici', './tracing-sdk.js']

/** The small entry points, each with the other packages and parts of Node.js that loading it loads. */
const ENTRIES = { 'ringman/client': ['eventsource-parser'], 'ringman/ring': [] }

/** What examples in the docs leave to the reader's program. */
const READERS_OWN = `import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type Koa from 'koa'
import type { Ring, RingNode } from 'ringman'
declare global {
  const app: Koa
  const server: Server
  const ring: Ring
  const body: string
  const store: Map<string, string>
  function handle(): void
  function forwardTo(node: RingNode): void
  function redirectTo(address: string, port: number): void
  function answer(): void
  function answer(request: IncomingMessage, response: ServerResponse): void
  function answer(ring: Ring, request: IncomingMessage, response: ServerResponse): void
  function accept(request: IncomingMessage, socket: Duplex, head: Buffer): void
  function fetchFrom(from: RingNode | undefined, start: number, end: number): void
  const digestsOfTheSender: readonly string[]
  function listen(server: Server): Promise<void>
  function serve(name: string, options: { readonly signal: AbortSignal }): Promise<void>
  function reply(text: string): void
}
`

const root = mkdtempSync(join(tmpdir(), 'ringman-package-'))

function run(cwd: string, command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

function step(title: string, body: () => void): void {
  body()
  console.log(`passed  ${title}`)
}

const project = join(root, 'project')

/**
 * Writes each example of a page for users into a module of its own, named by the line where it begins: also those that go on from
 * an example before them.
 */
function writeExamples(page: string): string[] {
  if (!page.endsWith('.md') || page === 'docs/testing.md') return []
  const text = readFileSync(page, 'utf8')
  return [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map(({ 1: code = '', index }) => {
    const name = `${page.replaceAll('/', '-')}-line-${text.slice(0, index).split('\n').length}.ts`
    writeFileSync(join(project, name), `${code}export {}\n`)
    return name
  })
}

try {
  step('pack', () => {
    run('.', 'npm', 'pack', '--silent', '--pack-destination', root)
  })
  const tarball = join(root, readdirSync(root).find((name) => name.endsWith('.tgz')) ?? '')
  step('carry no native code of this machine', () => {
    const native = run(root, 'tar', '--list', '--file', tarball).match(/^.*(?:\.node|msgpackr-extract.*)$/gm)
    if (native !== null) throw new Error(`packed: ${native.join(', ')}`)
  })
  step('install into an empty project', () => {
    run(root, 'mkdir', project)
    writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n')
    run(project, 'npm', 'install', '--silent', '--omit=optional', tarball)
  })
  step(`take at most ${SIZE_LIMIT / 1e6} MB`, () => {
    const bytes =
      1024 * Number(run(project, 'du', '--summarize', '--block-size=1K', 'node_modules').split('\t', 1)[0])
    console.log(`        ${(bytes / 1e6).toFixed(1)} MB: du --summarize node_modules`)
    if (bytes > SIZE_LIMIT) throw new Error(`it takes ${bytes} bytes`)
  })
  step('say what a kubeconfig takes', () => {
    writeFileSync(join(project, 'kubeconfig'), '{}')
    const args = '--source kubernetes --kubernetes-service a --kubernetes-kubeconfig kubeconfig'
    const ports = '--http-port 0 --admin-port 0'
    const serve = [COMMAND, 'serve', ...`${args} ${ports}`.split(' ')]
    const { stdout } = spawnSync(process.execPath, serve, { cwd: project, encoding: 'utf8', timeout: 60_000 })
    if (!stdout.includes('npm install @kubernetes/client-node')) throw new Error(`it said: ${stdout}`)
  })
  step('load what is seldom needed only when it is', () => {
    const hooks = `import { registerHooks } from 'node:module'
import { writeSync } from 'node:fs'
const loaded = new Set()
registerHooks({ resolve(specifier, context, next) {
  loaded.add(specifier)
  return next(specifier, context)
} })
process.on('exit', () => writeSync(2, 'loaded ' + ${JSON.stringify(LAZY)}.filter((name) => loaded.has(name)).join(' ')))
// Before it takes signals it would end without a word.
const look = setInterval(() => {
  if (process.listenerCount('SIGTERM') === 0) return
  clearInterval(look)
  setTimeout(() => process.kill(process.pid, 'SIGTERM'), 2000)
}, 50)`
    writeFileSync(join(project, 'hooks.mjs'), hooks)
    const settings = '--source static --static-members a:1 --http-port 0 --admin-port 0 --drain 0'
    const serve = ['--import', './hooks.mjs', COMMAND, 'serve', ...settings.split(' ')]
    const { stderr } = spawnSync(process.execPath, serve, { cwd: project, encoding: 'utf8', timeout: 60_000 })
    if (stderr.trim() !== 'loaded') throw new Error(stderr)
  })
  step('hold what its package.json says, as publint and arethetypeswrong see it', () => {
    run('.', 'node_modules/.bin/publint', 'run', tarball, '--strict')
    // ESM alone, which `require` of Node 22 and 24 takes as well.
    run('.', 'node_modules/.bin/attw', tarball, '--profile', 'esm-only', '--format', 'ascii', '--no-color')
  })
  step('load for the client alone no more than it needs', () => {
    for (const [entry, others] of Object.entries(ENTRIES)) {
      const script = `import { registerHooks } from 'node:module'
const loaded = new Set()
registerHooks({ resolve(specifier, context, next) {
  if (!specifier.startsWith('.') && !specifier.startsWith('file:')) loaded.add(specifier)
  return next(specifier, context)
} })
await import('${entry}')
console.log([...loaded].join(' '))`
      const loaded = run(project, process.execPath, '--input-type=module', '--eval', script).trim()
      if (loaded !== [entry, ...others].join(' ')) throw new Error(`${entry} loads ${loaded}`)
    }
  })
  step('run the command', () => {
    const version = run(project, process.execPath, COMMAND, '--version').trim()
    if (!/^\d+\.\d+\.\d+/.test(version)) throw new Error(`not a version: ${version}`)
  })
  step(`serve the page, in at most ${PAGE_LIMIT} bytes, with a thread that the package has to have`, () => {
    const script = `import { spawn } from 'node:child_process'
const args = 'serve --source static --static-members a:1,b:2,c:3 --http-port 0 --admin-port 0 --log-format json'.split(' ')
if (process.platform === 'linux') args.push('--http-threads', '2')
const member = spawn(process.execPath, ['node_modules/ringman/dist/cli.js', ...args], { timeout: 60_000 })
let log = ''
for await (const chunk of member.stdout) if (/"event":"ready"/.test((log += chunk))) break
const { url } = JSON.parse(log.split('\\n').find((line) => line.includes('"event":"ready"'))).http
const document = await (await fetch(url, { headers: { accept: 'text/html' } })).text()
let bytes = document.length
for (const [, name] of document.matchAll(/(?:href|src)="(assets[^"]*)"/g)) {
  const file = await fetch(url + '/' + name)
  if (!file.ok) throw new Error(name + ' is not there')
  bytes += (await file.arrayBuffer()).byteLength
}
member.kill()
console.log(bytes)`
    const bytes = Number(run(project, process.execPath, '--input-type=module', '--eval', script))
    console.log(`        ${bytes} bytes`)
    if (!(bytes > 20_000 && bytes < PAGE_LIMIT)) throw new Error(`it takes ${bytes} bytes`)
  })
  step('use the library, with the swim source that it bundles', () => {
    writeFileSync(
      join(project, 'main.ts'),
      `import { createRing, type Ring } from 'ringman'
import { RingClient, type RingClientOptions } from 'ringman/client'
import { HashRing, plan } from 'ringman/ring'

for (const source of ['memberlist', 'swim'] as const) {
  const ring: Ring = await createRing({
    source,
    name: 'packaged',
    bind: '127.0.0.1',
    gossipPort: 0,
    servicePort: 8000,
  })
  const owner: string = ring.manager.getNode('key').ringKey
  console.log(source, owner)
  await ring.shutdown()
}

const options: RingClientOptions = { url: 'http://127.0.0.1:9', ringFile: 'ring.json' }
await using client = new RingClient(options)
await client.ready()
console.log('client', client.owner('key').ringKey, plan(HashRing.of(client.ring.nodes), { leave: ['a'] }).movedShare)
`,
    )
    writeFileSync(
      join(project, 'ring.json'),
      '{"nodes":[{"ringKey":"a","weight":1,"share":1}],"digest":"bbe57a5ad29662cd","epoch":1,"sinceChangeMs":0}',
    )
    const owners = run(project, process.execPath, 'main.ts').trim()
    if (owners !== 'memberlist 127.0.0.1:8000\nswim 127.0.0.1:8000\nclient a 1') {
      throw new Error(`unexpected owners: ${owners}`)
    }
  })
  step('type-check against its declarations, and with it the code of the README and the docs', () => {
    const files = ['README.md', ...readdirSync('docs').map((name) => `docs/${name}`)].flatMap(writeExamples)
    if (files.length < 10) throw new Error(`found ${files.length} examples in the docs`)
    writeFileSync(join(project, 'readers-own.d.ts'), READERS_OWN)
    const tsc = resolve('node_modules/.bin/tsc')
    const types = resolve('node_modules/@types')
    run(
      project,
      tsc,
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--skipLibCheck',
      '--typeRoots',
      types,
      '--types',
      'node',
      'main.ts',
      'readers-own.d.ts',
      ...files,
    )
  })
} finally {
  rmSync(root, { recursive: true, force: true })
}
