import { setTimeout as wait } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { METRICS } from '../../src/telemetry/metrics.ts'
import { dial, get } from '../http/raw-client.ts'
import { GOSSIP, serve, type TestProcess } from '../support/child-process.ts'
import { parseExposition, type ParsedMetric } from '../support/exposition.ts'
import { freePort } from '../support/free-port.ts'

const member = (name: string, servicePort: number, more: readonly string[] = [], env = {}) =>
  serve([...GOSSIP, '--name', name, '--service-port', String(servicePort), ...more], { env })

async function ready(process: TestProcess) {
  const { http, admin, gossip } = await process.ready()
  return { url: http.url, admin: admin.url, adminPort: admin.port, gossip: `127.0.0.1:${gossip.port}` }
}

async function scrape(adminUrl: string, accept?: string): Promise<Map<string, ParsedMetric>> {
  const answer = await fetch(`${adminUrl}/metrics`, accept === undefined ? {} : { headers: { accept } })
  expect(answer.status).toBe(200)
  const openMetrics = answer.headers.get('content-type')?.startsWith('application/openmetrics-text') === true
  expect(openMetrics).toBe(accept?.includes('openmetrics') ?? false)
  return parseExposition(await answer.text(), openMetrics ? 'openmetrics' : 'prometheus')
}

function valueOf(
  metrics: Map<string, ParsedMetric>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  return metrics
    .get(name)
    ?.samples.find((sample) =>
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    )?.value
}

describe('the metrics of ringman serve', () => {
  test('say what two members do, under look-ups, and what became of the one that died', async () => {
    await using one = member('one', 8001)
    const first = await ready(one)
    await using two = member('two', 8002, ['--seeds', first.gossip])
    const second = await ready(two)
    const digests = async () => [await digestOf(first.admin), await digestOf(second.admin)]
    const digestOf = async (admin: string) =>
      (await scrape(admin)).get(METRICS.ringInfo.name)?.samples[0]?.labels['digest']
    await expect.poll(async () => new Set(await digests()).size).toBe(1)
    await expect
      .poll(async () => valueOf(await scrape(first.admin), METRICS.members.name, { state: 'alive' }))
      .toBe(2)

    // Scraped while look-ups are under way.
    const before = await scrape(first.admin)
    let asked = 0
    const asking = new AbortController()
    const load = (async () => {
      while (!asking.signal.aborted) {
        expect((await fetch(`${first.url}/v1/owner?key=${asked}`)).status).toBe(200)
        asked++
      }
    })()
    const texts = []
    for (let i = 0; i < 20; i++) texts.push(await scrape(first.admin))
    asking.abort()
    await load
    const after = await scrape(first.admin, 'application/openmetrics-text;version=1.0.0')
    const lookUps = (metrics: Map<string, ParsedMetric>, suffix = '_total') =>
      valueOf(metrics, `ringman_lookups${suffix}`, { route: '/v1/owner', result: 'ok' }) ?? 0
    let last = lookUps(before)
    for (const text of texts) {
      expect(lookUps(text)).toBeGreaterThanOrEqual(last)
      last = lookUps(text)
    }
    expect(lookUps(after, '')).toBe(lookUps(before) + asked)
    const shares = await Promise.all(
      [first, second].map(
        async ({ admin }) => valueOf(await scrape(admin), METRICS.ringShareRatio.name) ?? 0,
      ),
    )
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9)
    expect(valueOf(after, METRICS.ready.name)).toBe(1)
    expect(valueOf(after, METRICS.processResidentMemory.name)).toBeGreaterThan(10_000_000)
    expect(valueOf(after, METRICS.processOpenFds.name)).toBeGreaterThan(5)
    expect(valueOf(after, METRICS.eventLoopActive.name.replace(/_total$/, ''))).toBeGreaterThan(0)
    expect(
      after.get(METRICS.eventLoopDelay.name)?.samples.find(({ name }) => name.endsWith('_count'))?.value,
    ).toBeGreaterThan(0)

    two.signal('SIGKILL')
    await two.ended
    await expect
      .poll(async () => valueOf(await scrape(first.admin), METRICS.ringChanges.name, { cause: 'dead' }))
      .toBe(1)
    const alone = await scrape(first.admin)
    expect(valueOf(alone, METRICS.ringShareRatio.name)).toBe(1)
    expect(valueOf(alone, METRICS.ringKeysMoved.name, { cause: 'dead' })).toBeCloseTo(shares[1] ?? 0, 9)
    expect(valueOf(alone, METRICS.gossipDeclaredDead.name, { evidence: 'silence' })).toBeDefined()
  })

  test('answer or refuse cleanly while the process ends, and do not keep it', async () => {
    // Nobody else answers where it did.
    const adminPort = String(await freePort())
    await using one = member('one', 8001, ['--drain', '300ms', '--admin-port', adminPort])
    const { admin } = await ready(one)
    const outcomes: string[] = []
    const over = new AbortController()
    const scraping = (async () => {
      while (!over.signal.aborted) {
        try {
          const answer = await fetch(`${admin}/metrics`)
          parseExposition(await answer.text(), 'prometheus')
          outcomes.push(String(answer.status))
        } catch (error) {
          const { cause } = error as { readonly cause?: { readonly code?: string } }
          outcomes.push(cause?.code ?? String(error))
          await wait(5)
        }
      }
    })()
    await expect.poll(() => outcomes.length).toBeGreaterThan(3)
    one.signal('SIGTERM')
    const end = await one.ended
    over.abort()
    await scraping
    expect(end).toEqual({ code: 0, signal: null })
    expect(one.err).toBe('')
    expect(one.events.map(({ event }) => event)).not.toContain('process.lingered')
    expect(one.events.map(({ event }) => event)).not.toContain('request.failed')
    expect(outcomes.filter((outcome) => outcome === '200').length).toBeGreaterThan(3)
    for (const outcome of outcomes) expect(outcome).toMatch(/^(200|ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET)$/)
  })

  test('scrapers that ask and do not read cannot fill the memory', async () => {
    // 2000 answers of 24 KB are 48 MB, of which the buffers of the system take a few.
    const env = { NODE_OPTIONS: '--max-old-space-size=64' }
    await using one = member('one', 8001, [], env)
    const { admin, adminPort, url } = await ready(one)
    const sockets = await Promise.all(
      Array.from({ length: 2 }, async () => {
        const socket = await dial(adminPort)
        socket.pause()
        socket.write(get('/metrics').repeat(1000))
        return socket
      }),
    )
    for (let i = 0; i < 5; i++) {
      await scrape(admin)
      expect((await fetch(`${url}/v1/owner?key=k`)).status).toBe(200)
    }
    for (const socket of sockets) socket.destroy()
    one.signal('SIGTERM')
    expect(await one.ended).toEqual({ code: 0, signal: null })
  })
})
