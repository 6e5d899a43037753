import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Metric } from '../../../src/telemetry/metric.ts'
import { METRICS } from '../../../src/telemetry/metrics.ts'
import { GOSSIP, serve } from '../../support/child-process.ts'
import { promtool, promtoolWith } from './alerts/promtool.ts'

/** Writes these rules to a file and has promtool check them. */
function checkRules(rules: readonly object[]) {
  const folder = mkdtempSync(join(tmpdir(), 'ringman-promtool-'))
  try {
    const file = join(folder, 'rules.yaml')
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'examples', rules }] }))
    return promtool('check', 'rules', file)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('promtool', () => {
  test('finds nothing wrong with what two members serve', async () => {
    const member = (name: string, port: number, ...more: string[]) =>
      serve([...GOSSIP, '--name', name, '--service-port', String(port), ...more])
    await using one = member('one', 8001)
    const first = await one.ready()
    await using two = member('two', 8002, '--seeds', `127.0.0.1:${first.gossip.port}`)
    await two.ready()
    await one.event('ring.changed', ({ nodes }) => nodes === 2)
    expect((await fetch(`${first.http.url}/v1/owner?key=k`)).status).toBe(200)
    const text = await (await fetch(`${first.admin.url}/metrics`)).text()
    expect(text).toContain('ringman_ring_nodes 2')
    expect(promtoolWith(text, 'check', 'metrics')).toEqual({ status: 0, output: '' })
  })

  test('parses every query of the table', () => {
    const queries = Object.values<Metric>(METRICS).flatMap(({ name, query }) =>
      query === undefined ? [] : [{ name, query }],
    )
    expect(queries.length).toBeGreaterThan(20)
    const rules = queries.map(({ query }, i) => ({ record: `example:query:${i}`, expr: query }))
    expect(checkRules(rules)).toMatchObject({ status: 0 })
  })

  test('a query that is none is found', () => {
    expect(checkRules([{ record: 'a:b:c', expr: 'sum by (' }]).status).not.toBe(0)
  })
})
