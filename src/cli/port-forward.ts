import { execFile, spawn, type ChildProcess, type ExecFileException } from 'node:child_process'
import { promisify } from 'node:util'
import type { V1PodList } from '@kubernetes/client-node'
import { atOnce } from '../at-once.ts'
import { configInvalid, RingmanError } from '../errors.ts'
import { SUBDOMAIN_NAME } from '../kubernetes-names.ts'

/** How long kubectl may take to answer, or to open a port, in milliseconds. */
const PATIENCE_MS = 30_000
/** Most that is read of what kubectl prints. */
const OUTPUT_LIMIT = 64 * 1024 * 1024
/** Ports that are opened at the same time. */
const AT_ONCE = 8

/** Where kubectl is to look. */
export interface KubectlPlace {
  /** @default that of the current context */
  readonly namespace: string | undefined
  /** The release of the chart; needed where a namespace has several. */
  readonly release?: string | undefined
  /** Labels of the pods, in the place of those that the chart gives. */
  readonly selector?: string | undefined
  /** The name of one pod. */
  readonly pod?: string | undefined
  /** Flags for kubectl, such as `--context=NAME`. */
  readonly flags?: readonly string[]
}

/** A pod of ringman, by what is forwarded to. */
export interface ForwardablePod {
  readonly name: string
  readonly httpPort: number
  readonly adminPort: number
}

const MEMBERS = 'app.kubernetes.io/component=member'
const INSTANCE = 'app.kubernetes.io/instance'

/**
 * The running pods of ringman, as `kubectl get pods` knows them.
 *
 * @throws {RingmanError} `CONFIG_INVALID` where there are none, or of several releases; `UNREACHABLE` where kubectl fails.
 */
export async function findPods(place: KubectlPlace): Promise<ForwardablePod[]> {
  const { release, selector, pod } = place
  const labels = selector ?? (release === undefined ? MEMBERS : `${MEMBERS},${INSTANCE}=${release}`)
  const text = await kubectl(place, ['get', 'pods', '--output=json', `--selector=${labels}`])
  const pods = readPods(text).filter(({ name }) => pod === undefined || name === pod)
  const where =
    place.namespace === undefined ? 'the namespace of the context' : `the namespace ${place.namespace}`
  if (pods.length === 0) {
    const what = pod === undefined ? 'no running pod' : `no running pod ${JSON.stringify(pod)}`
    throw configInvalid(
      `${what} with the labels ${labels} in ${where}: name the namespace by -n, or labels by -l`,
    )
  }
  const releases = [...new Set(pods.map((one) => one.release))]
  if (selector === undefined && releases.length > 1) {
    throw configInvalid(
      `there are several releases in ${where}: say which by --release: ${releases.join(', ')}`,
    )
  }
  return pods
}

/**
 * Forwards a port of each pod to a free one of this machine, does `work` with the URLs, in the order of the pods, and ends
 * the forwarding.
 *
 * @throws {RingmanError} `UNREACHABLE` where kubectl fails.
 */
export async function withForwards<T>(
  place: KubectlPlace,
  pods: readonly ForwardablePod[],
  port: 'httpPort' | 'adminPort',
  work: (urls: readonly string[]) => Promise<T>,
): Promise<T> {
  const children: ChildProcess[] = []
  try {
    const urls = await atOnce(AT_ONCE, pods, (pod) => forward(place, pod.name, pod[port], children))
    return await work(urls)
  } finally {
    for (const child of children) child.kill()
  }
}

function forward(place: KubectlPlace, pod: string, port: number, children: ChildProcess[]): Promise<string> {
  const args = argumentsOf(place, ['port-forward', '--address=127.0.0.1', `pod/${pod}`, `:${port}`])
  const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  return new Promise((resolve, reject) => {
    let said = ''
    const fail = (why: string) => {
      clearTimeout(timer)
      reject(new RingmanError('UNREACHABLE', `kubectl does not forward to the pod ${pod}: ${why}`))
    }
    const timer = setTimeout(() => fail(`not within ${PATIENCE_MS / 1000} s`), PATIENCE_MS)
    child.stdout.on('data', (chunk: Buffer) => {
      const [, local] = /Forwarding from 127\.0\.0\.1:(\d+) ->/.exec(chunk.toString()) ?? []
      if (local === undefined) return
      clearTimeout(timer)
      resolve(`http://127.0.0.1:${local}`)
    })
    child.stderr.on('data', (chunk: Buffer) => void (said = (said + chunk.toString()).slice(-1000)))
    child.once('error', (error) => fail(error.message))
    child.once('close', () => fail(lastLine(said)))
  })
}

async function kubectl(place: KubectlPlace, args: readonly string[]): Promise<string> {
  try {
    const options = { timeout: PATIENCE_MS, maxBuffer: OUTPUT_LIMIT }
    const { stdout } = await promisify(execFile)('kubectl', argumentsOf(place, args), options)
    return stdout
  } catch (error) {
    const { killed, code, stderr, message } = error as ExecFileException & { readonly stderr: string }
    const why =
      code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER'
        ? 'it printed too much'
        : killed === true
          ? `no answer within ${PATIENCE_MS / 1000} s`
          : typeof code === 'string'
            ? message
            : lastLine(stderr)
    throw new RingmanError('UNREACHABLE', `kubectl failed: ${why}`, { cause: error })
  }
}

/** What kubectl ends with is the reason; before it stand lines of its log. */
function lastLine(said: string): string {
  const line = said.trim().split('\n').at(-1) ?? ''
  return line === '' ? 'it ended' : line.trim()
}

/** What people gave follows an equals sign, so that it is never taken for a flag. */
function argumentsOf({ namespace, flags = [] }: KubectlPlace, args: readonly string[]): string[] {
  return [...args, ...(namespace === undefined ? [] : [`--namespace=${namespace}`]), ...flags]
}

/** @throws {RingmanError} `UNREACHABLE` for what is no list of pods. */
function readPods(text: string): (ForwardablePod & { readonly release: string })[] {
  let value: Partial<V1PodList>
  try {
    value = JSON.parse(text) as Partial<V1PodList>
  } catch (error) {
    throw new RingmanError('UNREACHABLE', 'kubectl printed no JSON', { cause: error })
  }
  return (value.items ?? []).flatMap(({ metadata, spec, status }) => {
    const { name = '', deletionTimestamp, labels = {} } = metadata ?? {}
    if (status?.phase !== 'Running' || deletionTimestamp !== undefined) return []
    if (!SUBDOMAIN_NAME.test(name)) return []
    const ports = (spec?.containers ?? []).flatMap((container) => container.ports ?? [])
    const portOf = (wanted: string, usual: number) =>
      ports.find((port) => port.name === wanted)?.containerPort ?? usual
    const release = labels[INSTANCE] ?? ''
    return [{ name, release, httpPort: portOf('http', 8080), adminPort: portOf('admin', 8081) }]
  })
}
