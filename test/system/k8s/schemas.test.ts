import { describe, expect, test } from 'vitest'
import { KubernetesSchemas, SCHEMA_VERSIONS } from '../../support/kubernetes-schemas.ts'

const pod = (container: object, spec: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'a' },
  spec: { containers: [{ name: 'a', image: 'a', ...container }], ...spec },
})
const service = (port: object): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'a' },
  spec: { ports: [{ port: 80, ...port }] },
})
const rule = (fields: object): object => ({
  apiVersion: 'monitoring.coreos.com/v1',
  kind: 'PrometheusRule',
  metadata: { name: 'a' },
  spec: { groups: [{ name: 'a', rules: [{ alert: 'A', expr: 'up == 0', ...fields }] }] },
})

/** Objects that an API server accepts. */
const RIGHT: Readonly<Record<string, object>> = {
  'a pod with quantities as text and numbers': pod({ resources: { requests: { cpu: 1, memory: '64Mi' } } }),
  'a port by name and by number': service({ targetPort: 'http' }),
  'a port by number': service({ targetPort: 8080 }),
  'a rule with a duration': rule({ for: '5m', labels: { severity: 'warning' } }),
  'a pod monitor': {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PodMonitor',
    metadata: { name: 'a', labels: { release: 'b' } },
    spec: {
      selector: { matchLabels: { a: 'b' } },
      podMetricsEndpoints: [{ port: 'admin', interval: '15s' }],
    },
  },
  'a secret': { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, data: { key: 'YQ==' } },
}

/** Objects with one fault each, and what the fault's line has in it. */
const WRONG: Readonly<Record<string, readonly [object, string]>> = {
  'an unknown field': [pod({ imagePullPolicies: 'Always' }), '/spec/containers/0: .*imagePullPolicies'],
  'a field in the wrong place': [
    pod({}, { readOnlyRootFilesystem: true }),
    '/spec: .*readOnlyRootFilesystem',
  ],
  'a number for text': [pod({ env: [{ name: 'A', value: 1 }] }), '/spec/containers/0/env/0/value'],
  'text for a number': [service({ port: '80' }), '/spec/ports/0/port'],
  'a null': [pod({ args: null }), '/spec/containers/0/args'],
  'a missing field': [pod({ ports: [{ name: 'a' }] }), '/spec/containers/0/ports/0: .*containerPort'],
  'a quantity that is none': [
    pod({ resources: { requests: { cpu: 'much' } } }),
    '/spec/containers/0/resources',
  ],
  'a Secret not in base64': [
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, data: { k: '?' } },
    '/data/k',
  ],
  'an unknown field of metadata': [
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', label: {} } },
    '/metadata: .*label',
  ],
  'an unknown kind': [
    { apiVersion: 'apps/v1', kind: 'StatefullSet', metadata: { name: 'a' } },
    'apps/v1 StatefullSet',
  ],
  'a version that is gone': [
    { apiVersion: 'policy/v1beta1', kind: 'PodDisruptionBudget', metadata: {} },
    'no such kind',
  ],
  'an unknown field of a rule': [rule({ severity: 'warning' }), '/spec/groups/0/rules/0: .*severity'],
  'a duration that is none': [rule({ for: 'five minutes' }), '/spec/groups/0/rules/0/for'],
  'a name of metadata in a rule': [{ ...rule({}), metadata: { nam: 'a' } }, '/metadata: .*nam'],
}

describe.each(SCHEMA_VERSIONS)('schemas of Kubernetes %s', async (version) => {
  const schemas = await KubernetesSchemas.load(version)

  test.for(Object.entries(RIGHT))('%s has no fault', ([, object]) => {
    expect(schemas.faults(object)).toEqual([])
  })

  test.for(Object.entries(WRONG))('%s is a fault', ([, [object, fault]]) => {
    expect(schemas.faults(object).join('\n')).toMatch(new RegExp(fault))
  })
})
