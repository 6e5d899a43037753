import { readdir, readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  at,
  configurationOf,
  environmentOf,
  memberContainer,
  renderChart,
  workloadOf,
  type KubernetesObject,
} from '../../support/chart.ts'

const GOLDEN_FOLDER = resolve(import.meta.dirname, '../../golden/chart')

/**
 * What must not change for a release that exists: the fields that Kubernetes refuses to change, the names by which pods,
 * Services and the Secret are found, and what makes two members a ring and gives them their keys. While old and new pods
 * run side by side, a change in any of these splits the ring, or moves all keys.
 */
interface Identity {
  readonly workload: Readonly<Record<string, unknown>>
  readonly services: readonly Readonly<Record<string, unknown>>[]
  readonly ring: Readonly<Record<string, unknown>>
  readonly keyring: Readonly<Record<string, unknown>>
}

/** One frozen release: the values it was installed with, and its identity then. */
interface FrozenRelease {
  readonly values: Readonly<Record<string, unknown>>
  readonly release: string
  readonly namespace: string
  readonly identity: Identity
}

function identityOf(objects: readonly KubernetesObject[]): Identity {
  const workload = workloadOf(objects)
  const container = memberContainer(workload)
  const environment = environmentOf(container)
  const configuration = configurationOf(objects)
  const volumes = at(workload, 'spec.template.spec.volumes') as unknown[]
  return {
    workload: {
      apiVersion: workload.apiVersion,
      kind: workload.kind,
      name: workload.metadata.name,
      namespace: workload.metadata.namespace,
      selector: at(workload, 'spec.selector'),
      serviceName: at(workload, 'spec.serviceName') ?? null,
      podManagementPolicy: at(workload, 'spec.podManagementPolicy') ?? null,
      volumeClaimTemplates: at(workload, 'spec.volumeClaimTemplates') ?? null,
    },
    services: objects
      .filter(({ kind }) => kind === 'Service')
      .map((service) => ({
        name: service.metadata.name,
        clusterIP: at(service, 'spec.clusterIP') ?? null,
        selector: at(service, 'spec.selector'),
        ports: at(service, 'spec.ports'),
      })),
    ring: {
      source: configuration['source'],
      ringKey: configuration['ringKey'],
      clusterName: configuration['clusterName'] ?? null,
      gossipPort: configuration['gossipPort'] ?? null,
      servicePort: configuration['servicePort'] ?? null,
      weight: configuration['weight'] ?? null,
      name: environment['RINGMAN_NAME'],
      label: environment['RINGMAN_LABEL'] ?? null,
      seeds: environment['RINGMAN_SEEDS'] ?? null,
    },
    keyring: {
      file: configuration['keyringFile'] ?? null,
      secret: objects.find(({ kind }) => kind === 'Secret')?.metadata.name ?? null,
      volume: volumes.find((volume) => at(volume, 'name') === 'keyring') ?? null,
    },
  }
}

/** A file holds what one version of the chart made. Files are added, one with each version, and never changed. */
const files = (await readdir(GOLDEN_FOLDER)).filter((name) => name.endsWith('.json')).sort()

test('there is a frozen record of the first version', () => {
  expect(files).toContain('0.1.0.json')
})

describe.each(files)('a release of the version in %s', async (file) => {
  const frozen = JSON.parse(await readFile(resolve(GOLDEN_FOLDER, file), 'utf8')) as Readonly<
    Record<string, FrozenRelease>
  >

  test.each(Object.entries(frozen))('with %s keeps its ring when it is upgraded', async (_name, was) => {
    const { release, namespace, values } = was
    const { objects } = await renderChart({ release, namespace, values })
    const { services, ...identity } = identityOf(objects)
    const { services: frozenServices, ...frozenIdentity } = was.identity
    expect(identity).toEqual(frozenIdentity)
    for (const service of frozenServices) {
      const now = services.find((one) => one['name'] === service['name'])
      // Further ports are no harm. A headless Service is a name for its pods, and nobody connects to its ports.
      const ports =
        service['clusterIP'] === 'None'
          ? now?.['ports']
          : (expect.arrayContaining(service['ports'] as unknown[]) as unknown)
      expect(now).toEqual({ ...service, ports })
    }
  })
})
