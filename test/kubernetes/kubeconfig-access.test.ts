import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
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
