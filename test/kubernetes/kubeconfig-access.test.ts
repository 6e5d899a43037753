import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { KubeconfigAccess } from '../../src/kubernetes/kubeconfig-access.ts'

test.each(['token: "hunter-23\n  x: [', 'users:\n- user:\n    token: hunter-23\n   bad: x'])(
  'a kubeconfig that cannot be read is not quoted: %j',
  async (text) => {
    const folder = mkdtempSync(join(tmpdir(), 'ringman-kubeconfig-'))
    const path = join(folder, 'config')
    writeFileSync(path, text)
    const error: unknown = await new KubeconfigAccess(path, () => 0).connection().catch((e: unknown) => e)
    expect(inspect(error, { depth: 9 })).toContain(path)
    expect(inspect(error, { depth: 9 })).not.toContain('hunter')
    rmSync(folder, { recursive: true })
  },
)

test.each(['kubeconfig', 'tokenFile'])('a %s that is a pipe is refused at once', async (which) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringman-kubeconfig-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const path = join(folder, 'config')
  const named = [
    ['clusters', 'cluster', { server: 'https://127.0.0.1:1' }],
    ['users', 'user', { tokenFile: 'pipe' }],
    ['contexts', 'context', { cluster: 'x', user: 'x' }],
  ] as const
  const lists = named.map(([list, kind, value]) => [list, [{ name: 'x', [kind]: value }]] as const)
  writeFileSync(path, JSON.stringify({ 'current-context': 'x', ...Object.fromEntries(lists) }))
  const access = new KubeconfigAccess(which === 'kubeconfig' ? pipe : path, () => 0)
  await expect(access.connection()).rejects.toThrow('it is no plain file')
})
