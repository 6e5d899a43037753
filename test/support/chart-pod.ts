import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { at, memberContainer, workloadOf, type KubernetesObject } from './chart.ts'

/** What the kubelet knows of a pod that a test makes up. */
export interface PodFacts {
  readonly name: string
  readonly namespace: string
  readonly ip: string
  readonly labels?: Readonly<Record<string, string>>
}

/** The folder in which the chart mounts files; tests put them elsewhere. */
const MOUNTS = '/etc/ringman'

/**
 * A member's container as the kubelet would start it: variables with fields of the pod and `$(NAME)` filled in, the
 * ConfigMap and the Secret as files. They lie in a temporary folder, and paths to them are changed to match.
 */
export class ChartPod implements AsyncDisposable {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly #folder: string

  private constructor(folder: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.#folder = folder
    this.args = args
    this.env = env
  }

  static async make(objects: readonly KubernetesObject[], facts: PodFacts): Promise<ChartPod> {
    const folder = await mkdtemp(join(tmpdir(), 'ringman-pod-'))
    try {
      const workload = workloadOf(objects)
      const container = memberContainer(workload)
      const moved = (text: string) => text.replaceAll(MOUNTS, folder)
      const volumes = (at(workload, 'spec.template.spec.volumes') ?? []) as Record<string, unknown>[]
      for (const { name, mountPath } of (container['volumeMounts'] ?? []) as MountEntry[]) {
        const files = filesOf(volumes.find((volume) => volume['name'] === name) ?? {}, objects)
        for (const [file, content] of Object.entries(files)) {
          const path = moved(join(mountPath, file))
          await mkdir(dirname(path), { recursive: true })
          await writeFile(path, file.endsWith('.yaml') ? moved(content.toString()) : content)
        }
      }
      const env = environmentOf(container['env'] as EnvironmentEntry[], facts)
      const movedEnv = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, moved(value)]))
      return new ChartPod(folder, container['args'] as string[], movedEnv)
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}

interface MountEntry {
  readonly name: string
  readonly mountPath: string
}

interface EnvironmentEntry {
  readonly name: string
  readonly value?: string
  readonly valueFrom?: unknown
}

/** Files of a volume that an object of the chart fills; none for others. */
function filesOf(volume: unknown, objects: readonly KubernetesObject[]): Record<string, Buffer> {
  const map = at(volume, 'configMap.name')
  const secret = at(volume, 'secret.secretName')
  const source = objects.find(
    ({ kind, metadata }) =>
      (kind === 'ConfigMap' && metadata.name === map) || (kind === 'Secret' && metadata.name === secret),
  )
  const data = (source?.['data'] ?? {}) as Readonly<Record<string, string>>
  const encoding = source?.kind === 'Secret' ? 'base64' : 'utf8'
  return Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text, encoding)]))
}

/** Variables in order: one that comes later may use those before it, as `$(NAME)`. */
function environmentOf(entries: readonly EnvironmentEntry[], facts: PodFacts): Record<string, string> {
  const env: Record<string, string> = {}
  for (const { name, value, valueFrom } of entries) {
    const field = at(valueFrom, 'fieldRef.fieldPath')
    env[name] =
      typeof field === 'string'
        ? fieldOf(field, facts)
        : (value ?? '').replaceAll(/\$\(([^)]+)\)/g, (reference, used: string) => env[used] ?? reference)
  }
  return env
}

/** @throws {Error} for a field that a pod cannot give to a variable, or that tests do not know. */
function fieldOf(path: string, { name, namespace, ip, labels = {} }: PodFacts): string {
  const label = /^metadata\.labels\['([^']+)'\]$/.exec(path)?.[1]
  if (label !== undefined) return labels[label] ?? ''
  const fields: Readonly<Record<string, string>> = {
    'metadata.name': name,
    'metadata.namespace': namespace,
    'status.podIP': ip,
    'status.hostIP': '192.0.2.1',
    'spec.nodeName': 'node-1',
  }
  const value = fields[path]
  if (value === undefined) throw new Error(`no field ${path}`)
  return value
}
