/**
 * `npm run build`: compiles `src/` to `dist/`, from scratch: the library module by module, the command in one file for each part
 * that is loaded by itself. Those hold of other packages what is used of them, and take the place of 400 modules: the
 * command starts in half the time, and a member takes 14 MB less. What browsers load of the page is in `dist/browser/`.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, readFileSync, rmSync } from 'node:fs'
import { rolldown, type Plugin } from 'rolldown'
import { lightenChunk } from './lighten-chunks.ts'

rmSync('dist', { recursive: true, force: true })
const { status } = spawnSync('tsc', ['--project', 'tsconfig.build.json'], { stdio: 'inherit' })
if (status !== 0) process.exit(status ?? 1)

/** Packages that a member seldom loads, or that may be absent: they are loaded from where they are installed. */
const UNBUNDLED = ['@kubernetes/client-node', 'prom-client', 'undici', 'yaml']

/** The types of content that Koa looks up for ringman. */
const CONTENT_TYPES = ['application/json', 'application/octet-stream', 'text/html', 'text/plain']

/** Koa brings three tables of all types of content there are, 5 MB once they are loaded. */
const shortenContentTypes: Plugin = {
  name: 'shorten-content-types',
  load: {
    filter: { id: /mime-db[/\\]db\.json$/ },
    handler(id) {
      const all = JSON.parse(readFileSync(id, 'utf8')) as Record<string, unknown>
      const code = JSON.stringify(Object.fromEntries(CONTENT_TYPES.map((type) => [type, all[type]])))
      return { code, moduleType: 'json' }
    },
  },
}

/** What packages load at once, and members need seldom or never: with these edits it is loaded when it is needed. */
const POSTPONED = [
  {
    // Pino can write by a thread.
    file: /[\\/]pino[\\/]lib[\\/]tools\.js$/,
    edits: [
      ["const { isMainThread } = require('worker_threads')\n", ''],
      ['&& isMainThread', "&& require('worker_threads').isMainThread"],
    ],
  },
  {
    file: /[\\/]pino[\\/]lib[\\/]transport\.js$/,
    edits: [
      ["const ThreadStream = require('thread-stream')\n", ''],
      ['new ThreadStream(', "new (require('thread-stream'))("],
    ],
  },
  {
    // Koa asks whether a body that it gives up is that of a file: the class of those brings `fs.promises` along.
    file: /[\\/]destroy[\\/]index\.js$/,
    edits: [
      ["var ReadStream = require('fs').ReadStream\n", ''],
      ['instanceof ReadStream', "instanceof require('fs').ReadStream"],
    ],
  },
  {
    // Commander finds three dots behind the name of a flag's value by the letters of all languages; ours are ASCII.
    file: /[\\/]commander[\\/]lib[\\/]option\.js$/,
    edits: [[String.raw`/\p{ID_Continue}\.\.\.[>\]]$/u`, String.raw`/\w\.\.\.[>\]]$/`]],
  },
] as const

const postpone: Plugin[] = POSTPONED.map(({ file, edits }) => ({
  name: `postpone ${String(file)}`,
  transform: {
    filter: { id: file },
    handler(code) {
      let edited = code
      for (const [from, to] of edits) {
        // Half of the edits would leave code that fails once it runs.
        if (edited.split(from).length !== 2) this.error(`this is not there exactly once: ${from}`)
        edited = edited.replace(from, () => to)
      }
      return { code: edited, map: null }
    },
  },
}))

const lighten: Plugin = {
  name: 'lighten-chunks',
  generateBundle(_, bundle) {
    for (const chunk of Object.values(bundle)) {
      if (chunk.type !== 'chunk' || chunk.map === null) continue
      const { code, mappings } = lightenChunk({ code: chunk.code, mappings: chunk.map.mappings })
      chunk.code = code
      chunk.map = Object.assign(chunk.map, { mappings })
    }
  },
}

/** What is run by itself. */
const PROGRAMS = ['cli', 'kubectl-ringman']

const command = await rolldown({
  input: {
    ...Object.fromEntries(PROGRAMS.map((name) => [name, `src/${name}.ts`])),
    // Beside the chunk that starts it.
    'cli/look-up-thread': 'src/http/threads/look-up-thread.ts',
  },
  platform: 'node',
  external: UNBUNDLED,
  plugins: [shortenContentTypes, ...postpone, lighten],
  // Koa's deprecations are functions made of text.
  checks: { eval: false },
})
await command.write({
  dir: 'dist',
  // One folder deep, as every module is that asks where it is.
  chunkFileNames: 'cli/[name].js',
  minify: { compress: true, mangle: { keepNames: true }, codegen: true },
  sourcemap: true,
})

const page = await rolldown({ input: 'src/page/browser/app.ts', platform: 'browser' })
await page.write({ file: 'dist/browser/page/browser/app.js', minify: true })
for (const file of ['page/page.css', 'page/icon.svg']) copyFileSync(`src/${file}`, `dist/browser/${file}`)

for (const name of PROGRAMS) chmodSync(`dist/${name}.js`, 0o755)
