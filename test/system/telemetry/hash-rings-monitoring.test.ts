import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALERT_GROUPS, renderHashRingsPage } from '../../../monitoring/artifacts.ts'
import { renderRulesYaml } from '../../../monitoring/rules/render-rules.ts'
import { shortenRules } from '../../support/shortened-rules.ts'
import { systemClock } from '../../../src/clock.ts'
import { PHASES, sliceOf, type SlicePod } from '../../membership/kubernetes/slice-fixtures.ts'
import { COLLECTIONS, FakeKubernetesApi } from '../../support/fake-kubernetes-api.ts'
import { eventually } from '../../support/eventually.ts'
import { FakeKubernetesServer } from '../../support/fake-kubernetes-server.ts'
import { TcpRelay } from '../../support/tcp-relay.ts'
import { KubeletStandIn } from './cluster/kubelet-stand-in.ts'
import { MonitoredCluster, NAMESPACE, RELEASE } from './cluster/monitored-cluster.ts'
import { askPage, fillIn } from './cluster/panel-queries.ts'
import { PrometheusServer } from './cluster/prometheus-server.ts'

/** As in `monitoring.test.ts`: a second is half a minute. */
const TIMES_AS_OFTEN = 30
const LOOK_BACK_SECONDS = 10

const VARIABLES = {
  namespace: NAMESPACE,
  release: RELEASE,
  pod: '.*',
  __rate_interval: '4s',
  ring_namespace: '.*',
  ring: '.*',
}

const ALERT = /^RingmanHashRing/

/**
 * A real Prometheus scrapes two members that make rings of HashRings, of which one hears of the API server through a relay,
 * while the rings get into each of the troubles that there are alerts for.
 */
describe('rings of HashRings in Prometheus', () => {
  const api = new FakeKubernetesApi(systemClock)
  const stack = new AsyncDisposableStack()
  let prometheus: PrometheusServer
  let relay: TcpRelay
  let startedSeconds: number

  const putRing = (name: string) => {
    api.put(COLLECTIONS.hashRings, {
      metadata: { name, namespace: 'shop', generation: 1, uid: `uid-${name}` },
      spec: { service: { name } },
    })
  }
  const putPods = (service: string, count: number) => {
    const pods: SlicePod[] = Array.from({ length: count }, (_, i) => ({
      name: `${service}-${i}`,
      address: `10.0.0.${i + 1}`,
      ...PHASES.serving,
    }))
    const slice = sliceOf(`${service}-a`, pods, { labels: { 'kubernetes.io/service-name': service } })
    api.put(COLLECTIONS.allSlices, { ...slice, metadata: { ...slice.metadata, namespace: 'shop' } })
  }

  beforeAll(async () => {
    for (const name of ['cache', 'rooms']) {
      putPods(name, 4)
      putRing(name)
    }
    const server = stack.use(await FakeKubernetesServer.open(api))
    relay = await TcpRelay.start({ host: '127.0.0.1', port: 0 }, { host: '127.0.0.1', port: server.port })
    stack.defer(() => relay.stop())
    const direct = server.kubeconfig({ token: 't' })
    const relayed = `${direct}-relayed`
    const text = await readFile(direct, 'utf8')
    await writeFile(relayed, text.replace(`:${server.port}`, `:${relay.port}`))

    const rules = shortenRules(renderRulesYaml(ALERT_GROUPS), TIMES_AS_OFTEN)
    prometheus = stack.use(await PrometheusServer.start(rules, LOOK_BACK_SECONDS))
    const kubelet = stack.use(await KubeletStandIn.start(() => cluster?.pods ?? []))
    const cluster: MonitoredCluster | undefined = stack.use(new MonitoredCluster(prometheus, kubelet.address))
    for (const [index, kubeconfig] of [direct, relayed].entries()) {
      const flags = ['--hash-rings', '--kubernetes-kubeconfig', kubeconfig]
      await cluster.start(`ringman-${index}`, index, { flags })
    }
    startedSeconds = Date.now() / 1000
    await until('both rings are settled', async () => {
      const settled = await prometheus.query('ringman_hash_ring_settled == 1')
      return new Set(settled.map(({ labels }) => labels['ring'])).size === 2
    })
  })
  afterAll(async () => {
    await stack.disposeAsync()
  })

  /** What fires of the alerts of HashRings, as `ALERT RING`. */
  async function firing(expr = 'ALERTS{alertstate="firing"}'): Promise<string[]> {
    const series = await prometheus.query(expr)
    return series
      .filter(({ labels }) => ALERT.test(labels['alertname'] ?? ''))
      .map(({ labels }) => `${labels['alertname']} ${labels['ring_namespace']}/${labels['ring']}`)
      .toSorted()
  }

  function until(what: string, holds: () => Promise<boolean>) {
    const facts = async () => `Firing: ${(await firing()).join(', ')}\n${prometheus.log}`
    return eventually(what, holds, { everyMs: 250, facts })
  }

  async function valueOf(expr: string): Promise<number | undefined> {
    const [series] = await prometheus.query(fillIn(expr, VARIABLES))
    return series?.values[0]?.[1]
  }

  test('nothing fires while workloads are scaled', async () => {
    for (const count of [5, 6, 5]) {
      putPods('cache', count)
      await wait(1500)
    }
    await wait(6000)
    expect(await firing('count_over_time(ALERTS{alertstate="firing"}[10m])')).toEqual([])
  })

  test('an alert fires for a brake, for a ring that is not accepted, and for one that is not the same everywhere', async () => {
    putPods('rooms', 1)
    putRing('lost')
    const first = ['RingmanHashRingBraked shop/rooms', 'RingmanHashRingNotAccepted shop/lost']
    await until(`the alerts fire: ${first.join(', ')}`, async () => String(await firing()) === String(first))
    // What the alert tells: so many nodes do not serve.
    expect(await valueOf('max(ringman_hash_ring_held_nodes{ring="rooms"})')).toBe(3)

    relay.stall()
    putPods('cache', 7)
    const all = [...first, 'RingmanHashRingNotSettled shop/cache']
    await until(`the alerts fire: ${all.join(', ')}`, async () => String(await firing()) === String(all))
  })

  test('every query of the page has data', async () => {
    const range = { fromSeconds: startedSeconds, toSeconds: Date.now() / 1000, stepSeconds: 1 }
    const answers = await askPage(prometheus, renderHashRingsPage(), VARIABLES, range)
    const empty = answers.filter(
      ({ series }) => !series.some(({ values }) => values.some(([, value]) => Number.isFinite(value))),
    )
    expect(empty.map(({ panel, refId, expr }) => `${panel} ${refId}: ${expr}`)).toEqual([])
    expect(answers.length).toBeGreaterThan(15)

    const last = (panel: string) =>
      answers.find((answer) => answer.panel === panel)?.series[0]?.values.at(-1)?.[1]
    expect(last('HashRings')).toBe(3)
    expect(last('Brake on')).toBe(1)
    expect(last('Not accepted')).toBe(1)
    expect(last('Not settled')).toBe(1)
    expect(last('Rings without series')).toBe(0)
    const moved = answers.find(({ panel }) => panel === 'Keys that moved')?.series ?? []
    const most = (ring: string) =>
      Math.max(
        ...moved
          .filter(({ labels }) => labels['ring'] === ring)
          .flatMap(({ values }) => values.map(([, value]) => value)),
      )
    expect(most('cache')).toBeGreaterThan(0)
    // A brake moves nothing.
    expect(most('rooms')).toBe(0)
  })

  test('every variable of the page has values', async () => {
    const choices: Record<string, string[]> = {}
    for (const { name, definition = '' } of renderHashRingsPage().templating.list ?? []) {
      const [, selector, label = ''] = /^label_values\((.*), (\w+)\)$/.exec(definition) ?? []
      if (selector === undefined) continue
      const series = await prometheus.query(`group by (${label}) (${fillIn(selector, VARIABLES)})`)
      choices[name] = series.map(({ labels }) => labels[label] ?? '').toSorted()
    }
    expect(choices).toEqual({
      namespace: [NAMESPACE],
      release: [RELEASE],
      pod: ['ringman-0', 'ringman-1'],
      ring_namespace: ['shop'],
      ring: ['cache', 'lost', 'rooms'],
    })
  })

  test('nothing fires any more when all is cured', async () => {
    relay.pass()
    putPods('rooms', 4)
    putPods('lost', 2)
    await until('nothing fires any more', async () => (await firing()).length === 0)
    expect(await prometheus.ruleErrors()).toEqual([])
  })
})
