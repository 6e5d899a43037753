import { setTimeout as wait } from 'node:timers/promises'
import { VariableType, type Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { renderPodPage, renderRingPage, ALERT_GROUPS } from '../../../monitoring/artifacts.ts'
import { renderRulesYaml } from '../../../monitoring/rules/render-rules.ts'
import { eventually } from '../../support/eventually.ts'
import { shortenRules } from '../../support/shortened-rules.ts'
import { KubeletStandIn } from './cluster/kubelet-stand-in.ts'
import { LookUpLoad } from './cluster/look-up-load.ts'
import { MonitoredCluster, NAMESPACE, RELEASE } from './cluster/monitored-cluster.ts'
import { askPage, fillIn, type AnsweredQuery, type VariableValues } from './cluster/panel-queries.ts'
import { PrometheusServer } from './cluster/prometheus-server.ts'

/**
 * A real Prometheus scrapes real members while they are rolled, killed, frozen and misconfigured. It scrapes every
 * second instead of every 30, and all durations of the rules are shortened alike: a second is half a minute.
 */
/** A busy machine misses a scrape now and then. */
const PATIENCE = { timeout: 60_000, interval: 500 }
const TIMES_AS_OFTEN = 30
/** What Prometheus calls a series current for, 5 minutes, in this scale. */
const LOOK_BACK_SECONDS = 10

const NAMES = ['ringman-0', 'ringman-1', 'ringman-2', 'ringman-3', 'ringman-4'] as const
const KILLED = 'ringman-3'
const FROZEN = 'ringman-4'
const STRANGER = 'ringman-5'

/**
 * Alerts on processes that do not get to run in time. Here that is up to what else the machine does, and the start of
 * a process, which is slow, weighs 30 times as much. `alerts.test.ts` shows them in both directions.
 */
const OF_THE_MACHINE: readonly string[] = [
  'RingmanEventLoopSlow',
  'RingmanLookUpsSlow',
  'RingmanPodSuspectedWrongly',
]

const VARIABLES: VariableValues = {
  namespace: NAMESPACE,
  release: RELEASE,
  pod: '.*',
  __rate_interval: '4s',
}

let prometheus: PrometheusServer
let cluster: MonitoredCluster
/** From where on the pages are asked for. */
let startedSeconds: number
const stack = new AsyncDisposableStack()

beforeAll(async () => {
  const rules = shortenRules(renderRulesYaml(ALERT_GROUPS), TIMES_AS_OFTEN)
  prometheus = stack.use(await PrometheusServer.start(rules, LOOK_BACK_SECONDS))
  const pods = () => cluster.pods
  const kubelet = stack.use(await KubeletStandIn.start(() => cluster?.pods ?? []))
  cluster = stack.use(new MonitoredCluster(prometheus, kubelet.address))
  for (const [index, name] of NAMES.entries()) await cluster.start(name, index)
  stack.use(new LookUpLoad(pods))
  await until('all pods agree on a ring of five', async () => {
    const [rings] = await prometheus.query('count(count by (digest) (ringman_ring_info == 1))')
    const nodes = await prometheus.query('count(ringman_ring_nodes == 5)')
    return rings?.values[0]?.[1] === 1 && nodes[0]?.values[0]?.[1] === 5
  })
})

afterAll(async () => {
  await stack.disposeAsync()
})

describe('a ring of five under look-ups', () => {
  test('stays silent while it starts, rests, and is rolled over', async () => {
    await wait(8_000)
    // Later than the first look-ups of a new process, which are slow.
    startedSeconds = Date.now() / 1_000 - 2
    for (const [index, name] of [...NAMES.entries()].toReversed()) {
      await cluster.stop(name)
      await cluster.start(name, index)
      await wait(1_000)
    }
    await wait(6_000)
    expect(await everFired()).toEqual([])
    const changes = await prometheus.query(
      'sum by (cause) (sum_over_time(increase(ringman_ring_changes_total[2s])[60s:1s]))',
    )
    const seen = changes
      .filter(({ values }) => (values[0]?.[1] ?? 0) > 0)
      .map(({ labels }) => labels['cause'])
    expect(seen).toEqual(expect.arrayContaining(['joined', 'left']))
  })

  test('raises what it should when one is killed, one frozen, and one has a wrong label', async () => {
    cluster.pod(KILLED).process.signal('SIGKILL')
    cluster.pod(FROZEN).process.signal('SIGSTOP')
    // Not through the frozen one, at which each round of joining would wait for as long as minutes are here.
    await cluster.start(STRANGER, 5, {
      seeds: NAMES.slice(0, 3),
      // Without the wait for a second member it would be ready if it looked before it was refused.
      flags: ['--label', 'other', '--min-members', '2', '--min-members-timeout', '5m'],
      refused: true,
    })
    const expected = [
      'RingmanDigestsDiffer',
      'RingmanGossipDropsByKeyOrLabel reason=label-differs',
      'RingmanIslands',
      'RingmanMemberRefused',
      `RingmanMembersDifferFromReadyPods pod=${STRANGER}`,
    ]
    await until(`the alerts fire: ${expected.join(', ')}`, async () => {
      const firing = await firingNow()
      return expected.every((alert) => firing.includes(alert))
    })
    // Long enough for any other to come.
    await wait(8_000)
    // Where a busy machine missed a scrape, one is pending again for a moment.
    await expect.poll(firingNow, PATIENCE).toEqual(expected)
    expect(await everFired()).toEqual(expected)
  })

  test.each([
    ['ring', renderRingPage(), VARIABLES],
    ['pod', renderPodPage(), { ...VARIABLES, pod: 'ringman-0' }],
  ] as const)('gives data to every query of the page of the %s', async (_, page, values) => {
    const answers = await ask(page, values)
    const empty = answers.filter(({ series }) => !series.some(hasValue))
    expect(empty.map(({ panel, refId, expr }) => `${panel} ${refId}: ${expr}`)).toEqual([])
    expect(answers.length).toBeGreaterThan(40)
  })

  test.each([
    ['ring', renderRingPage()],
    ['pod', renderPodPage()],
  ] as const)('gives values to every variable and annotation of the page of the %s', async (_, page) => {
    const choices = async () => {
      const found: Record<string, string[]> = {}
      for (const { name, type, definition = '' } of page.templating.list ?? []) {
        if (type !== VariableType.Query) continue
        const [, selector = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(definition) ?? []
        const series = await prometheus.query(`group by (${label}) (${fillIn(selector, VARIABLES)})`)
        found[name] = series.map(({ labels }) => labels[label] ?? '').toSorted()
      }
      return found
    }
    await expect.poll(choices, PATIENCE).toEqual({
      namespace: [NAMESPACE],
      release: [RELEASE],
      // Those that answer: the killed and the frozen one do not.
      pod: ['ringman-0', 'ringman-1', 'ringman-2', STRANGER],
    })
    for (const { name, expr = '' } of page.annotations.list ?? []) {
      const series = await prometheus.queryRange(fillIn(expr, VARIABLES), soFar())
      expect(series.length, name).toBeGreaterThan(0)
    }
  })

  test('shows on the page what is wrong', async () => {
    const shown = async () => {
      const answers = await ask(renderRingPage(), VARIABLES)
      const last = (panel: string) =>
        answers.find((answer) => answer.panel === panel)?.series[0]?.values.at(-1)?.[1]
      const drops = answers.find(({ panel }) => panel === 'Dropped by key or label')?.series ?? []
      return {
        rings: last('Different rings'),
        groups: last('Closed groups'),
        members: last('Members on the ring'),
        ready: last('Ready pods'),
        fires: (last('Alerts that fire') ?? 0) >= 5,
        dropped: drops
          .filter(({ values }) => values.some(([, value]) => value > 0))
          .map(({ labels }) => labels),
      }
    }
    await expect.poll(shown, PATIENCE).toEqual({
      rings: 2,
      groups: 2,
      members: 3,
      ready: 3,
      fires: true,
      dropped: [{ reason: 'label-differs' }],
    })
  })

  test('falls silent when all is cured', async () => {
    await cluster.stop(STRANGER)
    cluster.pod(FROZEN).process.signal('SIGCONT')
    await cluster.start(KILLED, NAMES.indexOf(KILLED))
    await until('nothing fires any more', async () => (await firingNow()).length === 0)
    await until('the ring is whole again', async () => {
      const [whole] = await prometheus.query('count(ringman_ring_nodes == 5)')
      return whole?.values[0]?.[1] === 5
    })
  })

  test('lets Prometheus evaluate every rule at all times', async () => {
    expect(await prometheus.ruleErrors()).toEqual([])
    expect(prometheus.log).not.toMatch(/Evaluating rule failed|Error on ingesting|append failed/)
  })
})

/** All that fires, as `ALERT label=value`, sorted; without what depends on the machine. */
async function firingNow(): Promise<string[]> {
  return namesOf(await prometheus.query('ALERTS{alertstate="firing"}'))
}

/** All that has fired since the beginning. */
async function everFired(): Promise<string[]> {
  return namesOf(await prometheus.query('count_over_time(ALERTS{alertstate="firing"}[10m])'))
}

function namesOf(series: Awaited<ReturnType<PrometheusServer['query']>>): string[] {
  return series
    .filter(({ labels }) => !OF_THE_MACHINE.includes(labels['alertname'] ?? ''))
    .map(({ labels }) => {
      const { alertname = '', pod, reason, source } = labels
      const rest = Object.entries({ pod, reason, source }).filter(([, value]) => value !== undefined)
      return [alertname, ...rest.map(([name, value]) => `${name}=${value}`)].join(' ')
    })
    .toSorted()
}

function soFar() {
  return { fromSeconds: startedSeconds, toSeconds: Date.now() / 1_000, stepSeconds: 1 }
}

function ask(page: Dashboard, values: VariableValues): Promise<AnsweredQuery[]> {
  return askPage(prometheus, page, values, soFar())
}

/** A query may have no number at one moment, as a quantile without requests; it must have some. */
function hasValue({ values }: { readonly values: readonly (readonly [number, number])[] }): boolean {
  return values.some(([, value]) => Number.isFinite(value))
}

function until(what: string, holds: () => Promise<boolean>) {
  const facts = async () => `Firing: ${(await firingNow()).join(', ')}\n${prometheus.log}`
  return eventually(what, holds, { everyMs: 250, facts })
}
