import { execFile } from 'node:child_process'
import { relative } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { KubernetesObject } from '../../support/kubernetes-api.ts'
import { SEEN_CLUSTER } from '../../support/chart.ts'
import { KubernetesSchemas, SCHEMA_VERSIONS } from '../../support/kubernetes-schemas.ts'
import { helmPath } from '../../support/kubernetes-tools.ts'
import {
  CHART,
  MANIFESTS,
  manifestFiles,
  matrixEntries,
  nameOf,
  parseObjects,
  readObjects,
} from './rendered-objects.ts'

const run = promisify(execFile)
const helm = await helmPath()
const matrix = await matrixEntries()
const manifests = await manifestFiles()

describe.each(SCHEMA_VERSIONS)('by the OpenAPI of Kubernetes %s', async (version) => {
  const schemas = await KubernetesSchemas.load(version)

  const faultsOf = (objects: readonly KubernetesObject[]): string[] =>
    objects.flatMap((object) => schemas.faults(object).map((fault) => `${nameOf(object)}: ${fault}`))

  test.for(matrix)('the chart with $name has no fault', async ({ path }) => {
    const args = [
      'template',
      'ring',
      CHART,
      '--namespace',
      'work',
      '--values',
      path,
      '--kube-version',
      version,
    ]
    // The operator's kinds are there, as where its definitions are installed.
    const { stdout } = await run(helm, [
      ...args,
      '--api-versions',
      `monitoring.coreos.com/v1,${SEEN_CLUSTER}`,
    ])
    const objects = parseObjects(stdout)
    expect(objects.length).toBeGreaterThan(3)
    expect(faultsOf(objects)).toEqual([])
  })

  test.for(manifests.map((path) => [relative(MANIFESTS, path), path] as const))(
    'manifests/%s has no fault',
    async ([, path]) => {
      const objects = await readObjects(path)
      expect(objects.length).toBeGreaterThan(0)
      expect(faultsOf(objects)).toEqual([])
    },
  )
})
