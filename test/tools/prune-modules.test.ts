import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { pruneModules } from '../../tools/prune-modules.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringman-prune-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true })
})

function plant(paths: readonly string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), 'text')
  }
}

const KEPT = [
  'a/package.json',
  'a/index.js',
  'a/index.cjs',
  'a/index.mjs',
  'a/data.json',
  'a/native.node',
  'a/code.wasm',
  'a/bin',
  'a/LICENSE',
  'a/LICENSE.md',
  'a/licence.txt',
  'a/NOTICE.md',
  'a/LICENSE-MIT',
  'a/LICENSES.txt',
  'a/test/LICENSE',
  // Only beside a manifest are such folders what they seem.
  'a/lib/test/index.js',
  'a/lib/doc/document.js',
  '@scope/b/package.json',
  '@scope/b/tests.js',
  'c/package.json',
  'c/node_modules/d/package.json',
  'c/node_modules/d/index.js',
]

const REMOVED = [
  'a/index.d.ts',
  'a/index.d.mts',
  'a/index.ts',
  'a/index.cts',
  'a/index.js.map',
  'a/notices.d.ts',
  'a/notices.js.map',
  'a/README.md',
  'a/addon.cpp',
  'a/binding.gyp',
  'a/prebuilds/linux-x64/a.bare',
  'a/test/index.js',
  'a/.github/workflows/x.yml',
  '@scope/b/__tests__/deep/index.js',
  '@scope/b/examples/package.json',
  'c/node_modules/d/benchmark/index.js',
  '@types/e/package.json',
  '@types/e/index.d.ts',
]

test('keeps what Node.js can load, and licences; removes the rest and empty folders', () => {
  plant([...KEPT, ...REMOVED])
  expect(pruneModules(folder)).toEqual({ files: REMOVED.length, bytes: 4 * REMOVED.length })
  expect(KEPT.filter((path) => !existsSync(join(folder, path)))).toEqual([])
  expect(REMOVED.filter((path) => existsSync(join(folder, path)))).toEqual([])
  expect(['@types', 'a/prebuilds', 'a/.github'].filter((path) => existsSync(join(folder, path)))).toEqual([])
  expect(pruneModules(folder)).toEqual({ files: 0, bytes: 0 })
})

test('keeps of the Kubernetes client only the modules that its entry leads to', () => {
  const library = '@kubernetes/client-node'
  const modules = {
    'package.json': '{ "main": "dist/index.js" }',
    'dist/index.js': `import './a.js'\nexport * from "./gen/b.js"\nimport https from 'node:https'`,
    'dist/a.js': `export const later = () => import('./gen/c.js')`,
    'dist/gen/b.js': '',
    'dist/gen/c.js': `import {\n  b,\n} from './b.js'`,
    'dist/gen/unused.js': `import './b.js'`,
  }
  const paths = Object.keys(modules).map((name) => `${library}/${name}`)
  plant(paths)
  for (const [name, text] of Object.entries(modules)) writeFileSync(join(folder, library, name), text)
  expect(pruneModules(folder).files).toBe(1)
  expect(paths.filter((path) => !existsSync(join(folder, path)))).toEqual([`${library}/dist/gen/unused.js`])
})

test('follows no links', () => {
  plant(['elsewhere/index.d.ts', 'modules/a/package.json'])
  symlinkSync('../../elsewhere', join(folder, 'modules/a/linked'))
  expect(pruneModules(join(folder, 'modules'))).toEqual({ files: 0, bytes: 0 })
  expect(existsSync(join(folder, 'elsewhere/index.d.ts'))).toBe(true)
})
