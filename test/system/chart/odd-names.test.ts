import { parse } from 'yaml'
import { expect, test } from 'vitest'
import {
  at,
  matrixFiles,
  only,
  parseManifest,
  renderChart,
  tryRender,
  type RenderOptions,
} from '../../support/chart.ts'

/** An ordinary name, which nothing else in the chart contains. */
const ORDINARY = 'quux'

/** Names that Kubernetes allows, and that YAML reads as a number, a boolean, null or a date where they are not quoted. */
const ODD = ['1234', '7e3', 'true', '0x1f', 'null', 'no', '0o17', '2026-01-01']

/** The objects as text, without what differs in any two renderings: random keys, and sums over text with names. */
async function render(options: RenderOptions): Promise<string> {
  const { code, stdout, stderr } = await tryRender(options)
  expect(code, stderr).toBe(0)
  // Kubernetes reads a little of both.
  const objects = [parseManifest(stdout, '1.1'), parseManifest(stdout, '1.2')]
  // The configuration is a text with YAML in it, which ringman reads.
  const read = (key: string, value: unknown): unknown =>
    key === 'ringman.yaml' ? (parse(String(value)) as unknown) : value
  return JSON.stringify(objects, read, 1)
    .replaceAll(/"checksum\/config": "\w+"/g, '')
    .replaceAll(/: "[\w+/]{60}"/g, '')
    .replaceAll(/(?<=ringman-|ringman-pod-|ringman-hash-rings-|\/d\/|")[0-9a-f]{10}(?=\.json|-ringman)/g, '')
}

/** Renderings with the ordinary name, each made once. */
const ordinaries = new Map<string, Promise<string>>()

/** Renders with the odd name, and with an ordinary one that is then replaced by it: nothing else may differ. */
async function expectSameWith(odd: string, of: (name: string) => RenderOptions): Promise<void> {
  const options = of(ORDINARY)
  const key = JSON.stringify(options)
  const rendered = ordinaries.get(key) ?? render(options)
  ordinaries.set(key, rendered)
  const ordinary = await rendered
  expect(ordinary.split(ORDINARY).length, 'the name is used').toBeGreaterThan(1)
  expect(await render(of(odd))).toBe(ordinary.replaceAll(ORDINARY, odd))
}

test.each(ODD)('a release and a namespace may be called %s, with each file of the matrix', async (odd) => {
  for (const { valuesFile } of await matrixFiles()) {
    await expectSameWith(odd, (name) => ({
      namespace: name,
      release: name,
      valuesFiles: [valuesFile],
      // A Service's name begins with a letter.
      values: { fullnameOverride: `ring-${name}` },
    }))
  }
})

test.each(ODD)('what values name may be called %s', async (odd) => {
  await expectSameWith(odd, (name) => ({
    values: {
      ...(/^\d/.test(odd) ? {} : { fullnameOverride: name }),
      nameOverride: name,
      namespaceOverride: name,
      commonLabels: { 'example.com/a': name },
      podLabels: { 'example.com/b': name },
      commonAnnotations: { 'example.com/c': name },
      config: { zone: name, kubernetesNamespace: name },
      seeds: { from: 'pods', extra: [name] },
      keyring: { existingSecret: name, secretKey: name },
      image: { registry: '', repository: name, tag: name, pullSecrets: [name] },
      global: { imagePullSecrets: [{ name: `${name}-2` }] },
      serviceAccount: { name },
      priorityClassName: name,
      schedulerName: name,
      extraArgs: [name],
      extraEnv: [{ name: 'A', value: name }],
      service: { annotations: { a: name } },
      dashboards: { namespace: name, labels: { grafana_dashboard: name } },
      networkPolicy: { admin: { from: [{ namespaceSelector: {} }] } },
      metrics: { podMonitor: { enabled: true, namespace: name, jobLabel: name, labels: { a: name } } },
      prometheusRule: { enabled: true, namespace: name, alertLabels: { team: name } },
      tracing: { enabled: true, endpoint: name, serviceName: name, headersSecret: name },
    },
  }))
})

test.each(ODD)('what a ServiceMonitor and a Secret of the chart name may be called %s', async (odd) => {
  await expectSameWith(odd, (name) => ({
    namespace: name,
    values: {
      nameOverride: name,
      keyring: { secretKey: name },
      networkPolicy: { admin: { from: [{ namespaceSelector: {} }] } },
      metrics: { serviceMonitor: { enabled: true, namespace: `${name}-2`, jobLabel: name } },
    },
  }))
})

test('a release whose name reads as a fraction is called so in every selector', async () => {
  const { objects } = await renderChart({ release: '1.5', values: { fullnameOverride: 'ring' } })
  const service = only(objects, 'Service', 'ring')
  expect(at(service, 'spec.selector')).toMatchObject({ 'app.kubernetes.io/instance': '1.5' })
})
