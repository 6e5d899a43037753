import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

/** What the lint must find: a file of this name with this text, by this rule. */
const planted: readonly (readonly [path: string, rule: string, text: string])[] = [
  ['src/ring/a.ts', 'no-restricted-imports', `import { readFileSync } from 'node:fs'\nreadFileSync('x')`],
  ['src/ring/b.ts', 'no-restricted-imports', `export { systemClock } from '../clock.ts'`],
  [
    'src/ring/c.ts',
    'no-restricted-imports',
    `export { HashRingManager } from '../manager/hash-ring-manager.ts'`,
  ],
  ['src/ring/d.ts', 'no-restricted-globals', `export const now = () => Date.now()`],
  ['src/ring/e.ts', 'no-restricted-properties', `export const chance = () => Math.random()`],
  ['src/ring/f.ts', 'no-restricted-globals', `export const env = process.env`],
  ['src/manager/a.ts', 'no-restricted-imports', `export { placeMembers } from '../membership/placement.ts'`],
  ['src/manager/b.ts', 'no-restricted-imports', `import { Socket } from 'node:net'\nnew Socket()`],
  ['src/membership/memberlist/wire/a.ts', 'no-restricted-imports', `export { isIP } from 'node:net'`],
  ['src/membership/memberlist/wire/b.ts', 'no-restricted-globals', `export const t = performance.now()`],
  ['src/membership/memberlist/protocol/a.ts', 'no-restricted-imports', `export { isIP } from 'node:net'`],
  ['src/membership/memberlist/protocol/b.ts', 'no-restricted-globals', `setTimeout(() => {}, 1)`],
  ['src/membership/memberlist/protocol/c.ts', 'no-restricted-properties', `export const r = Math.random()`],
  ['src/membership/static/a.ts', 'no-restricted-imports', `import Koa from 'koa'\nnew Koa()`],
  [
    'src/kubernetes/a.ts',
    'no-restricted-imports',
    `export { StaticSource } from '../membership/static/static-source.ts'`,
  ],
  [
    'src/http/a.ts',
    'no-restricted-imports',
    `export { StaticSource } from '../membership/static/static-source.ts'`,
  ],
  ['src/http/c.ts', 'no-restricted-imports', `export { createRing } from '../compose/create-ring.ts'`],
  ['src/http/d.ts', 'no-restricted-imports', `export { createPage } from '../page/page.ts'`],
  ['src/page/view/a.ts', 'no-restricted-imports', `export { asciiJson } from '../../http/respond.ts'`],
  ['src/forward/a.ts', 'no-restricted-imports', `export { createRing } from '../compose/create-ring.ts'`],
  ['src/rings/a.ts', 'no-restricted-imports', `export { createRing } from '../compose/create-ring.ts'`],
  ['src/service/a.ts', 'no-restricted-imports', `export { createRing } from '../compose/create-ring.ts'`],
  [
    'src/telemetry/a.ts',
    'no-restricted-imports',
    `export { StaticSource } from '../membership/static/static-source.ts'`,
  ],
  ['src/client/a.ts', 'no-restricted-imports', `export { default as Koa } from 'koa'`],
  ['src/client/b.ts', 'no-restricted-imports', `export { DEFAULT_HTTP_LIMITS } from '../http/limits.ts'`],
  ['src/client/c.ts', 'no-restricted-imports', `export { parseSeed } from '../seeds/seed.ts'`],
  ['src/seeds/a.ts', 'no-restricted-imports', `export { trace } from '@opentelemetry/api'`],
  ['src/http/b.ts', 'no-restricted-imports', `export { trace } from '@opentelemetry/api'`],
  ['src/compose/a.ts', 'no-restricted-imports', `export { hrTime } from '@opentelemetry/core'`],
  ['src/membership/static/b.ts', 'no-restricted-imports', `export { hrTime } from '@opentelemetry/core'`],
  ['src/float/a.ts', 'no-floating-promises', `async function f() {}\nf()`],
  ['src/float/b.ts', 'no-floating-promises', `async function f() {}\nf().then(() => {})`],
  [
    'src/float/c.ts',
    'no-floating-promises',
    `import type { Middleware } from 'koa'\nexport const m: Middleware = async (ctx, next) => {\n  next()\n  ctx.body = ''\n}`,
  ],
  ['src/float/d.ts', 'no-floating-promises', `Promise.all([Promise.resolve()])`],
  ['src/float/e.ts', 'no-misused-promises', `[1].forEach(async () => {})`],
  [
    'src/float/f.ts',
    'no-misused-promises',
    `async function f() { return true }\nif (f()) f().catch(() => {})`,
  ],
  ['src/float/g.ts', 'no-explicit-any', `export const x: any = 1`],
]

let root: string

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ringman-lint-'))
  for (const path of ['.oxlintrc.json', 'tsconfig.json', 'src']) {
    cpSync(path, join(root, path), { recursive: true })
  }
  symlinkSync(resolve('node_modules'), join(root, 'node_modules'))
  for (const [path, , text] of planted) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), `${text}\n`)
  }
})

afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

interface Diagnostic {
  readonly code: string
  readonly filename: string
}

test('the lint finds each planted breach of layering and each floating promise', () => {
  const { stdout } = spawnSync('node_modules/.bin/oxlint', ['--type-aware', '--format', 'json', 'src'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: Diagnostic[] }
  const found = new Set(
    diagnostics.map(({ filename, code }) => `${filename} ${/\(([^)]+)\)/.exec(code)?.[1] ?? code}`),
  )
  expect(planted.map(([path, rule]) => `${path} ${rule}`).filter((expected) => !found.has(expected))).toEqual(
    [],
  )
})
