import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import { runCommand, type CommandEnd } from './command.ts'
import { helmPath } from './kubernetes-tools.ts'

/** The folder of the chart. */
export const CHART_FOLDER = resolve(import.meta.dirname, '../../helm/ringman')

/** The release and the namespace that charts are rendered for, unless a test says otherwise. */
export const RELEASE = 'prod'
export const NAMESPACE = 'rings-ns'

/** An object of Kubernetes, of which only some fields have a known form. */
export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly labels?: Readonly<Record<string, string>>
    readonly annotations?: Readonly<Record<string, string>>
  }
  readonly [field: string]: unknown
}

/** Runs helm with a home of its own, so that no plugin, repository or configuration of the machine counts. */
export async function helm(args: readonly string[]): Promise<CommandEnd> {
  const home = await mkdtemp(join(tmpdir(), 'ringman-helm-'))
  try {
    return await runCommand(await helmPath(), args, home)
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

/** What a chart is rendered with. */
export interface RenderOptions {
  /** Laid over the chart's values, after the files. */
  readonly values?: Readonly<Record<string, unknown>>
  readonly valuesFiles?: readonly string[]
  /** @default RELEASE */
  readonly release?: string
  /** @default NAMESPACE */
  readonly namespace?: string
  /** @default CHART_FOLDER */
  readonly chart?: string
  /** The kinds that helm is told the cluster has. @default one that tells the chart that there is a cluster */
  readonly apiVersions?: readonly string[]
}

/** The kind by which the chart knows that there is a cluster to ask, for `helm template --api-versions`. */
export const SEEN_CLUSTER = 'authorization.k8s.io/v1/SelfSubjectAccessReview'

/** Renders with `helm template`, whatever comes of it. */
export async function tryRender(options: RenderOptions = {}): Promise<CommandEnd> {
  const { values, valuesFiles = [], release = RELEASE, namespace = NAMESPACE, chart = CHART_FOLDER } = options
  const { apiVersions = [SEEN_CLUSTER] } = options
  const folder = await mkdtemp(join(tmpdir(), 'ringman-values-'))
  try {
    const files = [...valuesFiles]
    if (values !== undefined) {
      // JSON is YAML in which no text can be read as anything else.
      const own = join(folder, 'values.json')
      await writeFile(own, JSON.stringify(values))
      files.push(own)
    }
    const flags = [
      ...files.flatMap((file) => ['--values', file]),
      ...apiVersions.flatMap((kind) => ['--api-versions', kind]),
    ]
    return await helm(['template', release, chart, '--namespace', namespace, ...flags])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * Renders with `helm template`.
 *
 * @returns The text, and the objects in it, hooks among them.
 * @throws {Error} with what helm said.
 */
export async function renderChart(options: RenderOptions = {}): Promise<RenderedChart> {
  const { code, stdout, stderr } = await tryRender(options)
  if (code !== 0) throw new Error(`helm template failed:\n${stderr}`)
  return { manifest: stdout, objects: parseManifest(stdout) }
}

/** A rendering. */
export interface RenderedChart {
  readonly manifest: string
  readonly objects: readonly KubernetesObject[]
}

/** The objects of a stream of YAML documents; empty documents are left out. */
export function parseManifest(text: string, version: '1.1' | '1.2' = '1.2'): readonly KubernetesObject[] {
  const documents = parseAllDocuments(text, { version })
  if ('empty' in documents) return []
  return documents.flatMap((document) => {
    const [error] = document.errors
    if (error !== undefined) throw error
    const value = document.toJS() as KubernetesObject | null
    return value === null ? [] : [value]
  })
}

/** The labels by which the members of {@link RELEASE} are selected. */
export const MEMBER_LABELS = {
  'app.kubernetes.io/name': 'ringman',
  'app.kubernetes.io/instance': RELEASE,
  'app.kubernetes.io/component': 'member',
} as const

/** What the chart makes with some values. */
export async function objectsWith(
  values: Readonly<Record<string, unknown>>,
): Promise<readonly KubernetesObject[]> {
  return (await renderChart({ values })).objects
}

/** What the chart makes with the values of one file under `helm/ringman/ci`, by the first part of its name. */
export async function objectsOfFile(name: string): Promise<readonly KubernetesObject[]> {
  return (await renderChart({ valuesFiles: [join(CHART_FOLDER, 'ci', `${name}-values.yaml`)] })).objects
}

/** The kinds of objects, sorted. */
export function kindsOf(objects: readonly KubernetesObject[]): string[] {
  return objects.map(({ kind }) => kind).sort()
}

/** One of the sets of values under `helm/ringman/ci`, rendered. */
export interface MatrixEntry extends RenderedChart {
  /** Such as `default`, `hardened`. */
  readonly name: string
  readonly valuesFile: string
}

/** The values files under `helm/ringman/ci`. */
export async function matrixFiles(): Promise<
  readonly { readonly name: string; readonly valuesFile: string }[]
> {
  const folder = join(CHART_FOLDER, 'ci')
  const names = (await readdir(folder)).filter((name) => name.endsWith('-values.yaml')).sort()
  return names.map((name) => ({ name: basename(name, '-values.yaml'), valuesFile: join(folder, name) }))
}

/**
 * Every set of values under `helm/ringman/ci`, rendered: what checks against Kubernetes itself are to take.
 *
 * @throws {Error} when one cannot be rendered.
 */
export async function renderMatrix(): Promise<readonly MatrixEntry[]> {
  const entries: MatrixEntry[] = []
  for (const { name, valuesFile } of await matrixFiles()) {
    entries.push({ name, valuesFile, ...(await renderChart({ valuesFiles: [valuesFile] })) })
  }
  return entries
}

/**
 * The one object of a kind, or of a kind and a name.
 *
 * @throws {Error} when there is none, or more than one.
 */
export function only(objects: readonly KubernetesObject[], kind: string, name?: string): KubernetesObject {
  const found = objects.filter(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  )
  const [object] = found
  if (object === undefined || found.length > 1) {
    const all = objects.map((one) => `${one.kind}/${one.metadata.name}`).join(', ')
    throw new Error(`${found.length} objects are ${kind} ${name ?? ''}; there are ${all}`)
  }
  return object
}

/** The StatefulSet or Deployment. */
export function workloadOf(objects: readonly KubernetesObject[]): KubernetesObject {
  const found = objects.find(({ kind }) => kind === 'StatefulSet' || kind === 'Deployment')
  if (found === undefined) throw new Error('there is neither a StatefulSet nor a Deployment')
  return found
}

/**
 * What is at a place within an object, such as `spec.template.spec.containers.0.image`, or undefined.
 *
 * @param path - Keys and indexes, with dots between.
 */
export function at(object: unknown, path: string): unknown {
  let value = object
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Readonly<Record<string, unknown>>)[key]
  }
  return value
}

/** The container `ringman` of a workload. */
export function memberContainer(workload: KubernetesObject): Readonly<Record<string, unknown>> {
  const containers = at(workload, 'spec.template.spec.containers') as Readonly<Record<string, unknown>>[]
  const found = containers.find(({ name }) => name === 'ringman')
  if (found === undefined) throw new Error('there is no container called ringman')
  return found
}

/** The variables of a container by name; of one that comes from elsewhere, the path of the field or the key. */
export function environmentOf(container: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const env = container['env'] as Readonly<Record<string, unknown>>[]
  const variables: Record<string, unknown> = {}
  for (const entry of env) {
    const from = at(entry, 'valueFrom.fieldRef.fieldPath') ?? at(entry, 'valueFrom.secretKeyRef')
    variables[String(entry['name'])] = entry['value'] ?? { from }
  }
  return variables
}

/** The configuration file that the pods of a rendering get. */
export function configurationOf(objects: readonly KubernetesObject[]): Readonly<Record<string, unknown>> {
  const text = objects.map(
    ({ data }) => (data as Readonly<Record<string, string>> | undefined)?.['ringman.yaml'],
  )
  const [file] = text.filter((one) => one !== undefined)
  if (file === undefined) throw new Error('there is no ringman.yaml')
  return parse(file) as Readonly<Record<string, unknown>>
}
