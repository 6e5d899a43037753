import { describe, expect, test } from 'vitest'
import { helm, CHART_FOLDER, tryRender } from '../../support/chart.ts'

/** The problems in what helm said, one a line. */
function problemsIn(stderr: string): string[] {
  expect(stderr).toContain('These values cannot be used together:')
  return [...stderr.matchAll(/^ {2}- (.+)$/gm)].map(([, problem = '']) => problem)
}

type Values = Readonly<Record<string, unknown>>

/** Values, and for each contradiction in them a word by which to know it. */
const CONTRADICTIONS: readonly (readonly [Values, readonly string[]])[] = [
  [{ config: { source: 'swim', label: 'x', tcpOnly: true } }, ['config.label', 'config.tcpOnly']],
  [{ config: { source: 'static' } }, ['staticMembers']],
  [
    { config: { source: 'static', staticMembers: ['a:1'], zone: 'a', servicePort: 1 } },
    ['config.zone', 'config.servicePort'],
  ],
  [{ config: { source: 'sidecar' } }, ['config.sidecarService', 'config.sidecarServicePort']],
  [{ config: { sidecarUrl: 'http://x' } }, ['config.sidecarUrl']],
  [{ config: { source: 'kubernetes' } }, ['config.kubernetesService or config.kubernetesSelector']],
  [
    { config: { source: 'kubernetes', kubernetesService: 'a', kubernetesSelector: 'b' } },
    ['exclude each other'],
  ],
  [{ config: { source: 'swim', kubernetesCheck: true } }, ['config.kubernetesCheck']],
  [{ seeds: { from: 'none' } }, ['never find each other']],
  [{ config: { seeds: 'a:1' }, seeds: { extra: ['b:1'] } }, ['config.seeds replaces']],
  [
    { config: { source: 'static', staticMembers: 'a:1' }, seeds: { extra: ['b:1'] } },
    ['seeds are for sources that gossip'],
  ],
  [{ keyring: { existingSecret: 'a', keys: ['a'.repeat(44)] } }, ['exclude each other']],
  [{ keyring: { existingSecret: 'a', enabled: false } }, ['keyring.enabled is false']],
  [{ keyring: { existingSecret: 'a' }, config: { source: 'swim' } }, ['cannot encrypt']],
  [{ keyring: { existingSecret: 'a' }, config: { keyringFile: '/k' } }, ['config.keyringFile']],
  [
    { keyring: { enabled: false }, config: { requireEncryption: false, keyHeader: 'x-user' } },
    ['config.requireEncryption has no effect without keyring', 'keyHeader has no effect without config.upst'],
  ],
  [{ config: { hashRingInstallation: 'a' } }, ['hashRingInstallation has no effect without rings.enabled']],
  [{ config: { label: 'a/b', labelFile: '/labels.json' } }, ['config.label and config.labelFile']],
  [{ config: { clusterName: 'default', weight: 2 } }, ['no labels', 'hashes addresses', 'ignores weights']],
  [{ config: { minMembers: 4 } }, ['config.minMembers is 4']],
  [{ terminationGracePeriodSeconds: 17 }, ['terminationGracePeriodSeconds is 17']],
  [{ terminationGracePeriodSeconds: 40, config: { drain: '30s' } }, ['takes up to 43']],
  [{ podDisruptionBudget: { minAvailable: 1 } }, ['exclude each other']],
  [{ podDisruptionBudget: { maxUnavailable: null } }, ['needs minAvailable or maxUnavailable']],
  [{ podDisruptionBudget: { maxUnavailable: null, minAvailable: 3 } }, ['no node could be drained']],
  [{ podDisruptionBudget: { maxUnavailable: 0 } }, ['no node could be drained']],
  [{ podDisruptionBudget: { maxUnavailable: '0%' } }, ['no node could be drained']],
  [{ autoscaling: { enabled: true, minReplicas: 11 } }, ['above maxReplicas']],
  [{ autoscaling: { enabled: true, targetCPUUtilizationPercentage: null } }, ['without a metric']],
  [{ autoscaling: { enabled: true }, resources: { requests: { cpu: null } } }, ['resources.requests.cpu']],
  [{ config: { httpPort: 8081 } }, ['both 8081']],
  [{ config: { gossipPort: 8080 } }, ['config.gossipPort is 8080']],
  [{ service: { nodePort: 30_000 } }, ['service.nodePort']],
  [
    { service: { spec: { ports: [], type: 'NodePort' } } },
    ['service.spec has type', 'service.spec has ports'],
  ],
  [{ ipFamilies: ['IPv6'] }, ['config.httpHost']],
  [{ hostNetwork: true }, ['networkPolicy.enabled']],
  [{ podLabels: { 'app.kubernetes.io/name': 'x' } }, ['podLabels has']],
  [{ commonLabels: { 'app.kubernetes.io/component': 'x' } }, ['commonLabels has']],
  [{ extraEnv: [{ name: 'POD_IP', value: 'x' }] }, ['extraEnv has POD_IP']],
  [{ extraVolumes: [{ name: 'config', emptyDir: {} }] }, ['extraVolumes has config']],
  [
    {
      sidecars: [{ name: 'ringman', image: 'x' }],
      networkPolicy: { egress: { enabled: false } },
    },
    ['sidecars has'],
  ],
  [
    { metrics: { annotations: true, podMonitor: { enabled: true } } },
    ['scraped more than once', 'networkPolicy.admin.from'],
  ],
  [{ metrics: { serviceMonitor: { enabled: true } } }, ['metrics.serviceMonitor is enabled, and the Netw']],
  [{ sidecars: [{ name: 'app', image: 'x' }] }, ['networkPolicy.egress.extra']],
  [{ config: { httpThreads: 2, httpFastPath: false } }, ['without config.httpFastPath']],
  [{ tracing: { enabled: true } }, ['without tracing.endpoint']],
  [{ rings: { namespaces: ['shop'], publish: true } }, ['rings.namespaces is set', 'rings.publish is set']],
  [
    { rings: { enabled: true }, config: { source: 'kubernetes', kubernetesService: 'a' } },
    ['the sources memberlist and swim do'],
  ],
  [
    {
      rings: { enabled: true },
      config: { hashRings: true, hashRingNamespaces: ['shop'], hashRingPublish: false },
    },
    ['config.hashRings is', 'config.hashRingNamespaces is', 'config.hashRingPublish is'],
  ],
]

describe('values that contradict each other', () => {
  test.each(CONTRADICTIONS)('%j are refused', async (values, words) => {
    const { code, stderr } = await tryRender({ values })
    expect(code).toBe(1)
    const problems = problemsIn(stderr)
    for (const word of words)
      expect(
        problems.some((problem) => problem.includes(word)),
        stderr,
      ).toBe(true)
    expect(problems, stderr).toHaveLength(words.length)
  })

  test('are told of names that a Service cannot have', async () => {
    const { code, stderr } = await tryRender({ release: '2nd' })
    expect(code).toBe(1)
    expect(problemsIn(stderr).join()).toContain('2nd-ringman')
    const { code: named } = await tryRender({ release: '2nd', values: { fullnameOverride: 'second' } })
    expect(named).toBe(0)
  })

  test('are told all at once', async () => {
    const values = {
      config: { source: 'swim', label: 'x', httpPort: 8081 },
      terminationGracePeriodSeconds: 1,
      podDisruptionBudget: { minAvailable: 1 },
      tracing: { enabled: true },
      metrics: { podMonitor: { enabled: true }, serviceMonitor: { enabled: true } },
    }
    expect(problemsIn((await tryRender({ values })).stderr)).toHaveLength(7)
  })

  test('are not seen in what can be meant', async () => {
    for (const values of [
      { podDisruptionBudget: { maxUnavailable: null, minAvailable: '50%' } },
      { podDisruptionBudget: { enabled: false, minAvailable: 1 } },
      { seeds: { from: 'none' }, replicas: 1 },
      { seeds: { from: 'none', extra: ['a:1'] } },
      { config: { minMembers: 5 }, seeds: { extra: ['others:7946'] } },
      { config: { source: 'swim', gossipPort: 8080 } },
      { config: { source: 'swim', label: null } },
      { terminationGracePeriodSeconds: 5, lifecycle: { preStop: { sleep: { seconds: 1 } } } },
      { rings: { enabled: true }, config: { source: 'swim', hashRings: null } },
      { crds: { enabled: false, keep: false } },
      // Defaults that are written out.
      { config: { hashRings: false, hashRingPublish: false, hashRingNamespaces: '', sidecarWatch: false } },
      { config: { source: 'swim', requireEncryption: true, maxPacket: '1400B', tcpOnly: false } },
      { config: { source: 'static', staticMembers: 'a:1', servicePort: 8000, weight: 1, seeds: '' } },
      { keyring: { enabled: false }, config: { encryptOutgoing: true, forwardTimeout: '30s' } },
      { config: { httpThreads: 2 } },
      { config: { httpThreads: 1, httpFastPath: false } },
      { config: { keyHeader: 'x-user' }, extraEnv: [{ name: 'RINGMAN_UPSTREAM', value: '127.0.0.1:3000' }] },
      { config: { keyHeader: 'x-user' }, extraEnvFrom: [{ configMapRef: { name: 'settings' } }] },
      { prometheusRule: { overrides: { Whatever: { enabled: false } } } },
    ]) {
      const { code, stderr } = await tryRender({ values })
      expect(code, `${JSON.stringify(values)}: ${stderr}`).toBe(0)
    }
  })
})

describe('values that the schema does not know', () => {
  test.each([
    [{ replica: 5 }, 'replica'],
    [{ config: { minMember: 2 } }, 'minMember'],
    [{ config: { drain: '5 s' } }, 'drain'],
    [{ config: { drain: 5 } }, 'got number, want null or string'],
    [{ image: { digest: 'latest' } }, 'digest'],
    [{ rings: { enabled: true, namespaces: ['shop/cache'] } }, 'namespaces'],
  ])('%j are refused, by name', async (values, name) => {
    const { code, stderr } = await tryRender({ values })
    expect(code).toBe(1)
    expect(stderr).toContain(name)
  })

  test('are refused by lint as well', async () => {
    expect((await helm(['lint', '--strict', CHART_FOLDER, '--set', 'replica=5'])).code).toBe(1)
  })
})
