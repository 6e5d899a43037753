import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  at,
  CHART_FOLDER,
  helm,
  matrixFiles,
  NAMESPACE,
  RELEASE,
  renderChart,
  renderMatrix,
  type KubernetesObject,
  type MatrixEntry,
} from '../../support/chart.ts'

const MATRIX = await matrixFiles()
/** Kinds in no namespace, which come with `rings.enabled` alone. */
const OF_CLUSTER = new Set(['CustomResourceDefinition', 'ClusterRole', 'ClusterRoleBinding'])
let rendered: ReadonlyMap<string, MatrixEntry>

beforeAll(async () => {
  rendered = new Map((await renderMatrix()).map((entry) => [entry.name, entry]))
})

function entryOf(name: string): MatrixEntry {
  const entry = rendered.get(name)
  if (entry === undefined) throw new Error(`${name} was not rendered`)
  return entry
}

/** The pods that an object makes, with the containers that the chart answers for. */
function podSpecsOf(objects: readonly KubernetesObject[]): unknown[] {
  return objects.flatMap((object) => {
    if (object.kind === 'Pod') return [object['spec']]
    const spec = at(object, 'spec.template.spec')
    return spec === undefined ? [] : [spec]
  })
}

test('the matrix covers every choice', () => {
  expect(MATRIX.length).toBeGreaterThanOrEqual(10)
})

describe.each(MATRIX)('with $name', ({ name, valuesFile }) => {
  test('helm lint has nothing to say', async () => {
    const { code, stdout, stderr } = await helm(['lint', '--strict', CHART_FOLDER, '--values', valuesFile])
    expect(code, stdout + stderr).toBe(0)
  })

  test('helm installs it, as far as that goes without a cluster, and says what to do next', async () => {
    const install = (...flags: string[]) =>
      helm([
        'install',
        RELEASE,
        CHART_FOLDER,
        '--namespace',
        NAMESPACE,
        '--values',
        valuesFile,
        '--dry-run=client',
        ...flags,
      ])
    const hasOwnKey = entryOf(name).objects.some(({ kind }) => kind === 'Secret')
    const first = await install()
    const { code, stdout, stderr } =
      first.stderr.includes('does not see the cluster') && hasOwnKey
        ? await install('--set', 'keyring.existingSecret=mine')
        : first
    expect(code, stderr).toBe(0)
    expect(stdout).toContain('NOTES:')
    expect(stdout).toMatch(/curl 'http:\/\/[^ ]+\/v1\/owner\?key=user:42'/)
  })

  test('every object is named, placed and labelled once', () => {
    const { objects } = entryOf(name)
    const ids = objects.map(({ apiVersion, kind, metadata }) =>
      [apiVersion, kind, metadata.namespace, metadata.name].join('/'),
    )
    expect(new Set(ids).size).toBe(ids.length)
    for (const { kind, metadata, apiVersion } of objects) {
      expect(apiVersion, kind).toMatch(/^([a-z0-9.]+\/)?v\d/)
      if (OF_CLUSTER.has(kind)) expect(metadata.namespace, kind).toBeUndefined()
      else expect(metadata.namespace, kind).toMatch(/^[a-z-]+$/)
      expect(metadata.name.length, kind).toBeLessThanOrEqual(63)
    }
  })

  test('selectors find the pods of the ring, and no others', () => {
    const { objects } = entryOf(name)
    const workloads = objects.filter(({ kind }) => kind === 'StatefulSet' || kind === 'Deployment')
    expect(workloads).toHaveLength(1)
    const selector = at(workloads[0], 'spec.selector.matchLabels') as Record<string, string>
    expect(at(workloads[0], 'spec.template.metadata.labels')).toMatchObject(selector)
    const selectors = objects.flatMap((object) => {
      if (object.kind === 'Service') return [at(object, 'spec.selector')]
      if (object.kind === 'PodDisruptionBudget') return [at(object, 'spec.selector.matchLabels')]
      if (object.kind === 'NetworkPolicy') return [at(object, 'spec.podSelector.matchLabels')]
      if (object.kind === 'PodMonitor') return [at(object, 'spec.selector.matchLabels')]
      return []
    })
    expect(selectors.length).toBeGreaterThanOrEqual(2)
    for (const one of selectors) expect(one).toEqual(selector)
    for (const pod of objects.filter(({ kind }) => kind === 'Pod')) {
      expect(pod.metadata.labels).not.toMatchObject(selector)
    }
  })

  test('ports that are named exist', () => {
    const { objects } = entryOf(name)
    const [workload] = objects.filter(({ kind }) => kind === 'StatefulSet' || kind === 'Deployment')
    const containers = at(workload, 'spec.template.spec.containers') as Record<string, unknown>[]
    const names = containers.flatMap((container) =>
      ((container['ports'] ?? []) as { name: string }[]).map((port) => port.name),
    )
    expect(new Set(names).size).toBe(names.length)
    for (const port of names) expect(port).toMatch(/^[a-z][a-z-]{0,14}$/)
    for (const service of objects.filter(({ kind }) => kind === 'Service')) {
      const ports = at(service, 'spec.ports') as {
        targetPort: string
        name: string
        port: number
        protocol: string
      }[]
      for (const { targetPort } of ports) expect(names, service.metadata.name).toContain(targetPort)
      expect(new Set(ports.map((port) => `${port.port}/${port.protocol}`)).size).toBe(ports.length)
    }
    for (const container of containers) {
      for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
        if (container[probe] !== undefined) expect(names).toContain(at(container, `${probe}.httpGet.port`))
      }
    }
  })

  test('volumes that are mounted exist, and so do the objects of this chart behind them', () => {
    const { objects } = entryOf(name)
    for (const spec of podSpecsOf(objects)) {
      const volumes = (at(spec, 'volumes') ?? []) as Record<string, unknown>[]
      const names = volumes.map((volume) => volume['name'])
      for (const container of at(spec, 'containers') as Record<string, unknown>[]) {
        const mounts = (container['volumeMounts'] ?? []) as { name: string }[]
        for (const mount of mounts) expect(names).toContain(mount.name)
        const env = ((container['env'] ?? []) as { name: string }[]).map((variable) => variable.name)
        expect(new Set(env).size, 'each variable once').toBe(env.length)
      }
      for (const volume of volumes) {
        const map = at(volume, 'configMap.name')
        if (map !== undefined)
          expect(objects.some((one) => one.kind === 'ConfigMap' && one.metadata.name === map)).toBe(true)
      }
    }
  })

  test('pods are "restricted"', () => {
    const specs = podSpecsOf(entryOf(name).objects)
    expect(specs.length).toBeGreaterThan(0)
    for (const spec of specs) {
      expect(spec).toMatchObject({
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 65_532,
          seccompProfile: { type: 'RuntimeDefault' },
        },
      })
      for (const volume of (at(spec, 'volumes') ?? []) as Record<string, unknown>[]) {
        const [type] = Object.keys(volume).filter((key) => key !== 'name')
        expect(['configMap', 'secret', 'emptyDir', 'projected', 'downwardAPI']).toContain(type)
      }
      const own = (at(spec, 'containers') as { name: string }[]).filter(({ name: container }) =>
        ['ringman', 'agreement'].includes(container),
      )
      expect(own).toHaveLength(1)
      expect(own[0]).toMatchObject({
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          runAsNonRoot: true,
          capabilities: { drop: ['ALL'] },
        },
      })
    }
  })

  test('a token, a Role and its binding come together, or not at all', () => {
    const { objects } = entryOf(name)
    const spec = at(
      objects.find(({ kind }) => kind === 'StatefulSet' || kind === 'Deployment'),
      'spec.template.spec',
    )
    const bindings = objects.filter(({ kind }) => kind === 'RoleBinding' || kind === 'ClusterRoleBinding')
    expect(bindings.length > 0).toBe(/^(kubernetes|rings)/.test(name))
    expect(at(spec, 'automountServiceAccountToken')).toBe(bindings.length > 0)
    if (name !== 'rings') expect(objects.filter(({ kind }) => OF_CLUSTER.has(kind))).toEqual([])
    for (const { kind, metadata, ...binding } of bindings) {
      const roles = objects.filter(
        (object) =>
          `${object.kind}Binding` === kind &&
          object.metadata.name === at(binding, 'roleRef.name') &&
          object.metadata.namespace === metadata.namespace,
      )
      expect(roles).toHaveLength(1)
      expect(at(binding, 'subjects.0')).toMatchObject({
        kind: 'ServiceAccount',
        name: at(spec, 'serviceAccountName'),
        namespace: NAMESPACE,
      })
    }
    const roles = objects.filter(
      ({ kind, metadata }) => kind.endsWith('Role') && !metadata.name.startsWith('hashrings'),
    )
    expect(roles).toHaveLength(bindings.length)
  })

  test('renders the same twice, but for a key made by chance', async () => {
    const again = await renderChart({ valuesFiles: [valuesFile] })
    const withoutSecrets = ({ objects }: { readonly objects: readonly KubernetesObject[] }) =>
      objects.filter(({ kind }) => kind !== 'Secret')
    expect(withoutSecrets(again)).toEqual(withoutSecrets(entryOf(name)))
  })
})

test('helm packages it, without the values to try it with, and installs the package', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ringman-package-'))
  try {
    const packed = await helm(['package', CHART_FOLDER, '--destination', folder])
    expect(packed.code, packed.stderr).toBe(0)
    const [file = ''] = await readdir(folder)
    expect(file).toBe('ringman-0.1.0.tgz')
    const path = join(folder, file)
    expect((await helm(['lint', '--strict', path])).code).toBe(0)
    const { objects } = await renderChart({ chart: path })
    expect(objects.length).toBe(entryOf('default').objects.length)
    const shown = await helm(['show', 'values', path])
    expect(shown.stdout).toContain('keyring:')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
