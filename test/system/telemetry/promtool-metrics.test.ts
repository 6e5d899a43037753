import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Metric } from '../../../src/telemetry/metric.ts'
import { METRICS } from '../../../src/telemetry/metrics.ts'
import { ringman } from '../../support/child-process.ts'

/** Debian's promtool. Without it these tests fail; they are never left out. */
function promtool(
  args: readonly string[],
  input?: string,
): { readonly status: number; readonly output: string } {
  const { error, status, stdout, stderr } = spawnSync('promtool', args, {
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
  })
  if (error !== undefined) {
    throw new Error('promtool cannot be run; apt-get install prometheus brings it', { cause: error })
  }
  return { status: status ?? -1, output: `${stdout}${stderr}` }
}

describe('promtool', () => {
  test('finds nothing wrong with what two members serve', async () => {
    const member = (name: string, port: number, ...more: string[]) =>
      ringman([
        'serve',
        ...['--http-host', '127.0.0.1', '--http-port', '0', '--admin-port', '0'],
        ...['--bind', '127.0.0.1', '--gossip-port', '0', '--preset', 'local', '--drain', '0'],
        ...['--name', name, '--service-port', String(port), ...more],
      ])
    await using one = member('one', 8001)
    const first = (await one.event('ready')) as Ready
    await using two = member('two', 8002, '--seeds', `${first.gossip.host}:${first.gossip.port}`)
    await two.event('ready')
    await one.event('ring.changed', ({ nodes }) => nodes === 2)
    expect((await fetch(`${first.http.url}/v1/owner?key=k`)).status).toBe(200)
    const text = await (await fetch(`${first.admin.url}/metrics`)).text()
    expect(text).toContain('ringman_ring_nodes 2')
    expect(promtool(['check', 'metrics'], text)).toEqual({ status: 0, output: '' })
  })

  test('parses every query of the table', () => {
    const queries = Object.values<Metric>(METRICS).flatMap(({ name, query }) =>
      query === undefined ? [] : [{ name, query }],
    )
    expect(queries.length).toBeGreaterThan(20)
    const rules = queries.map(
      ({ query }, i) => `      - record: example:query:${i}\n        expr: ${JSON.stringify(query)}\n`,
    )
    const folder = mkdtempSync(join(tmpdir(), 'ringman-promtool-'))
    try {
      const file = join(folder, 'rules.yaml')
      writeFileSync(file, `groups:\n  - name: examples\n    rules:\n${rules.join('')}`)
      expect(promtool(['check', 'rules', file])).toMatchObject({ status: 0 })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('a query that is none is found', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ringman-promtool-'))
    try {
      const file = join(folder, 'rules.yaml')
      writeFileSync(
        file,
        'groups:\n  - name: examples\n    rules:\n      - record: a:b:c\n        expr: "sum by ("\n',
      )
      expect(promtool(['check', 'rules', file]).status).not.toBe(0)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

interface Ready extends Record<string, unknown> {
  readonly http: { readonly url: string }
  readonly admin: { readonly url: string }
  readonly gossip: { readonly host: string; readonly port: number }
}
