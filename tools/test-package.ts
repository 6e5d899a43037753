/**
 * `npm run test:package`: packs the package, installs it into an empty project as a user would, and uses it there:
 * the command, the library, its types.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const root = mkdtempSync(join(tmpdir(), 'ringman-package-'))

function run(cwd: string, command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

function step(title: string, body: () => void): void {
  body()
  console.log(`passed  ${title}`)
}

try {
  const project = join(root, 'project')
  step('pack', () => {
    run('.', 'npm', 'pack', '--silent', '--pack-destination', root)
  })
  step('install into an empty project', () => {
    const tarball = readdirSync(root).find((name) => name.endsWith('.tgz')) ?? ''
    run(root, 'mkdir', project)
    writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n')
    run(project, 'npm', 'install', '--silent', join(root, tarball))
  })
  step('run the command', () => {
    const version = run(project, process.execPath, 'node_modules/ringman/dist/cli.js', '--version').trim()
    if (!/^\d+\.\d+\.\d+/.test(version)) throw new Error(`not a version: ${version}`)
  })
  step('use the library, with the swim source that it bundles', () => {
    writeFileSync(
      join(project, 'main.ts'),
      `import { createRing, type Ring } from 'ringman'

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
`,
    )
    const owners = run(project, process.execPath, 'main.ts').trim()
    if (owners !== 'memberlist 127.0.0.1:8000\nswim 127.0.0.1:8000') {
      throw new Error(`unexpected owners: ${owners}`)
    }
  })
  step('type-check against its declarations', () => {
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
    )
  })
} finally {
  rmSync(root, { recursive: true, force: true })
}
