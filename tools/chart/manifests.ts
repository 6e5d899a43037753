import { readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { stringify } from 'yaml'
import { renderChart, type KubernetesObject } from '../../test/support/chart.ts'

/** The folder of the plain manifests. */
export const MANIFESTS_FOLDER = resolve(import.meta.dirname, '../../manifests')

const HEADER = `# ringman for \`kubectl apply -f\`, into any namespace. Rendered from the chart by \`node tools/chart/manifests.ts\`: do not edit.
# The pods wait for a Secret, ringman-keyring; README.md says how to make it.
`

/** Kinds in the order in which a reader, and a first start, want them. */
const ORDER = [
  'ServiceAccount',
  'ConfigMap',
  'Service',
  'NetworkPolicy',
  'PodDisruptionBudget',
  'StatefulSet',
]

/**
 * The text of \`manifests/ringman.yaml\`: the chart as the release \`ringman\`, without what only Helm needs and without a
 * namespace, so that it goes where \`kubectl -n\` says.
 *
 * @throws {Error} when the chart makes a kind of object that the manifests do not expect, such as a Secret.
 */
export async function renderManifests(): Promise<string> {
  const { objects } = await renderChart({
    release: 'ringman',
    namespace: 'default',
    valuesFiles: [resolve(MANIFESTS_FOLDER, 'values.yaml')],
  })
  const documents = objects
    .map((object) => ({ object, place: ORDER.indexOf(object.kind) }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ object, place }) => {
      if (place < 0) throw new Error(`${object.kind} is not expected among the manifests`)
      return stringify(plain(object), { lineWidth: 0, aliasDuplicateObjects: false })
    })
  return `${HEADER}${documents.map((text) => `---\n${text}`).join('')}`
}

/** Without the namespace and what is of Helm, at every depth. */
function plain(object: KubernetesObject): unknown {
  const { namespace: _, ...metadata } = object.metadata
  return withoutHelm({ ...object, metadata })
}

/** Labels and annotations that say something of Helm, or of a file that is edited by hand here. */
const OF_HELM = new Set(['helm.sh/chart', 'app.kubernetes.io/managed-by', 'checksum/config'])

function withoutHelm(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutHelm)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !OF_HELM.has(key))
      .map(([key, inner]) => [key, withoutHelm(inner)]),
  )
}

/** The file as it is. */
export function readManifests(): Promise<string> {
  return readFile(resolve(MANIFESTS_FOLDER, 'ringman.yaml'), 'utf8')
}

if (import.meta.main) {
  await writeFile(resolve(MANIFESTS_FOLDER, 'ringman.yaml'), await renderManifests())
  console.log('wrote manifests/ringman.yaml')
}
