import { describe, expect, test } from 'vitest'
import { loadServeConfig } from '../../../src/config/load.ts'
import { ChartPod } from '../../support/chart-pod.ts'
import { at, matrixFiles, only, renderChart } from '../../support/chart.ts'
import { ringman, type TestProcess } from '../../support/child-process.ts'
import { runMain } from '../../support/recording-terminal.ts'

const FACTS = {
  name: 'prod-ringman-0',
  namespace: 'rings-ns',
  ip: '10.1.2.3',
  labels: { 'topology.kubernetes.io/zone': 'eu-west-1a' },
}
const NO_FLAGS = { values: {}, unknown: [] }

describe('what the pods are told is what ringman takes', async () => {
  test.each(await matrixFiles())('with $name', async ({ valuesFile }) => {
    const { objects } = await renderChart({ valuesFiles: [valuesFile] })
    await using pod = await ChartPod.make(objects, FACTS)
    // Throws with every problem that the process would end with.
    const { values, warnings } = loadServeConfig(NO_FLAGS, pod.env)
    expect(warnings).toEqual([])
    expect(values.name).toBe('prod-ringman-0')
    expect(values.logFormat).toBe('json')
    if (values.source === 'memberlist') {
      expect(values.bind).toBe('10.1.2.3')
      expect(values.advertise).toBe('10.1.2.3')
      expect(values.seeds.length).toBeGreaterThan(0)
    }
  })

  test('by default: label, zone, seeds, keyring', async () => {
    const { objects } = await renderChart()
    await using pod = await ChartPod.make(objects, FACTS)
    const { values } = loadServeConfig(NO_FLAGS, pod.env)
    expect(values).toMatchObject({
      source: 'memberlist',
      ringKey: 'name',
      label: 'rings-ns/prod',
      zone: 'eu-west-1a',
      seeds: [{ kind: 'dns', name: 'prod-ringman-gossip.rings-ns.svc' }],
      minMembers: 2,
      drainMs: 5000,
      keyringFile: expect.stringMatching(/keyring\/keyring$/) as string,
    })
  })

  test('a pod without the label of a zone has none', async () => {
    const { objects } = await renderChart()
    await using pod = await ChartPod.make(objects, { ...FACTS, labels: {} })
    expect(loadServeConfig(NO_FLAGS, pod.env).values.zone).toBeUndefined()
  })
})

describe('pods of the chart, run as processes', () => {
  const ips = ['127.81.0.1', '127.81.0.2', '127.81.0.3']

  test('find each other, are ready, agree as `helm test` asks, and leave when told to', async () => {
    const { objects } = await renderChart({
      values: {
        // Loopback has no DNS and shares its ports: the first pod is the seed, and each listens on its own address only.
        config: { seeds: `${ips[0]}:7946`, drain: '1s' },
        extraEnv: [{ name: 'RINGMAN_HTTP_HOST', value: '$(POD_IP)' }],
      },
    })
    await using stack = new AsyncDisposableStack()
    const started: TestProcess[] = []
    const pods: ChartPod[] = []
    for (const [index, ip] of ips.entries()) {
      const pod = stack.use(await ChartPod.make(objects, { ...FACTS, name: `prod-ringman-${index}`, ip }))
      pods.push(pod)
      started.push(stack.use(ringman(pod.args, { env: pod.env })))
    }
    await Promise.all(started.map((process) => process.event('ready')))
    for (const ip of ips) {
      for (const path of ['livez', 'readyz', 'metrics']) {
        expect((await fetch(`http://${ip}:8081/${path}`)).status, `${ip} ${path}`).toBe(200)
      }
    }
    // The arguments of the test's pod, with addresses in place of the name that only a cluster knows.
    const testArgs = at(only(objects, 'Pod'), 'spec.containers.0.args') as string[]
    const args = testArgs.flatMap((arg) =>
      arg.startsWith('dns:') ? ips.map((ip) => `${ip}:${arg.split(':')[2]}`) : [arg],
    )
    // As `kubectl exec` runs it: among the variables of the member.
    const [first] = pods
    const nodes = await runMain(['nodes', '--url', `http://${ips[0]}:8080`], first?.env)
    expect(nodes.code, nodes.err).toBe(0)
    expect(nodes.out).toContain('prod-ringman-2')
    const agreed = await runMain(args, first?.env)
    expect(agreed.code, agreed.err + agreed.out).toBe(0)
    expect(agreed.out).toMatch(/^3 members agree/)

    const members = (await (await fetch(`http://${ips[0]}:8080/v1/members`)).json()) as {
      members: { name: string; ringKey: string; zone: string }[]
    }
    expect(members.members.map(({ name, ringKey, zone }) => ({ name, ringKey, zone }))).toEqual(
      [0, 1, 2].map((index) => ({
        name: `prod-ringman-${index}`,
        ringKey: `prod-ringman-${index}`,
        zone: 'eu-west-1a',
      })),
    )

    const [, , last] = started
    const leftAtMs = Date.now()
    last?.signal('SIGTERM')
    expect(await last?.ended).toEqual({ code: 0, signal: null })
    // The grace period has 3 s of sleep and 5 s to spare besides.
    expect(Date.now() - leftAtMs).toBeLessThan(10_000)
    const others = await runMain([
      'agree',
      `${ips[0]}:8080`,
      `${ips[1]}:8080`,
      '--expect',
      '2',
      '--wait',
      '10s',
    ])
    expect(others.code, others.err).toBe(0)
    const ring = (await (await fetch(`http://${ips[1]}:8080/v1/ring`)).json()) as { nodes: unknown[] }
    expect(ring.nodes).toHaveLength(2)
  })

  test('do not hear a pod of another release, which has the same address as seed and is not ready', async () => {
    const config = { seeds: '127.81.1.1:7946', drain: '0s', minMembers: 1 }
    const extraEnv = [{ name: 'RINGMAN_HTTP_HOST', value: '$(POD_IP)' }]
    const keyring = { keys: [Buffer.alloc(32, 7).toString('base64')] }
    await using stack = new AsyncDisposableStack()
    const start = async (release: string, ip: string): Promise<TestProcess> => {
      const { objects } = await renderChart({ release, values: { config, extraEnv, keyring } })
      const pod = stack.use(await ChartPod.make(objects, { ...FACTS, name: `${release}-ringman-0`, ip }))
      return stack.use(ringman(pod.args, { env: pod.env }))
    }
    // One after the other: whoever finds nobody at its seed would be ready alone.
    const blue = await start('blue', '127.81.1.1')
    await blue.event('ready')
    const green = await start('green', '127.81.1.2')
    await green.event('seed.refused', ({ reason }) => String(reason).includes('another label'))
    await blue.event('gossip.dropped', ({ reason }) => reason === 'label-differs')
    expect((await fetch('http://127.81.1.2:8081/readyz')).status).toBe(503)
    const answer = (await (await fetch('http://127.81.1.1:8080/v1/members')).json()) as { members: unknown[] }
    expect(answer.members).toHaveLength(1)
  })
})
