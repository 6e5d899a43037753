import { readdir, readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { KubernetesObject } from '../../support/kubernetes-api.ts'

const ROOT = resolve(import.meta.dirname, '../../..')

/** The chart. */
export const CHART = join(ROOT, 'helm', 'ringman')

/** The folder of plain YAML. */
export const MANIFESTS = join(ROOT, 'manifests')

/** A values file of the matrix in `helm/ringman/ci`. */
export interface MatrixEntry {
  /** The name without `-values.yaml`. */
  readonly name: string
  readonly path: string
}

/** Every values file that the chart is rendered with. */
export async function matrixEntries(): Promise<MatrixEntry[]> {
  const folder = join(CHART, 'ci')
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml')).sort()
  if (names.length === 0) throw new Error(`${folder} holds no values`)
  return names.map((name) => ({
    name: basename(name, '.yaml').replace(/-values$/, ''),
    path: join(folder, name),
  }))
}

/** What tells kustomize and helm how to make the others. */
const NO_OBJECTS = ['kustomization.yaml', 'values.yaml']

/** Every file of `manifests` with objects in it. */
export async function manifestFiles(): Promise<string[]> {
  const entries = await readdir(MANIFESTS, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter(({ name }) => name.endsWith('.yaml') && !NO_OBJECTS.includes(name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  if (paths.length === 0) throw new Error(`${MANIFESTS} holds no YAML`)
  return paths
}

/** The objects of a YAML stream, those within a `List` one by one; documents without content are left out. */
export function parseObjects(yaml: string): KubernetesObject[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    const [error] = document.errors
    if (error !== undefined) throw error
    const value = document.toJS() as (KubernetesObject & { items?: KubernetesObject[] }) | null
    if (value === null) return []
    return value.kind === 'List' ? (value.items ?? []) : [value]
  })
}

/** The objects of a file. */
export async function readObjects(path: string): Promise<KubernetesObject[]> {
  return parseObjects(await readFile(path, 'utf8'))
}

/** `Kind/name`, for messages. */
export function nameOf({ kind = '?', metadata }: KubernetesObject): string {
  return `${kind}/${metadata.name}`
}
