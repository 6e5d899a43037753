import { isIP } from 'node:net'
import type { RingmanError } from '../errors.ts'
import type { PodDirectory } from '../seeds/seed-resolver.ts'
import { isObject } from '../is-object.ts'
import { unlessAborted } from '../unless-aborted.ts'
import type { Basics } from '../basics.ts'
import { ApiClient } from './api-client.ts'
import { apiError, apiErrorKindOf } from './api-error.ts'
import { PODS } from './api-resource.ts'
import type { ApiTransport } from './api-transport.ts'
import { ListWatch } from './list-watch.ts'

export interface PodWatchOptions extends Basics {
  readonly transport: ApiTransport
  /** Labels of the pods, in Kubernetes' own syntax. */
  readonly selector: string
  /** @default the pod's own, or that of the kubeconfig's context */
  readonly namespace?: string | undefined
}

/** What was confirmed longer ago gives no seeds any more, in milliseconds. */
const STALE_AFTER_MS = 300_000

/** Follows the pods of a selector, for seeds and for the check of gossip: one watch for both. */
export class PodWatch extends ListWatch<Pod> implements PodDirectory {
  readonly #namespace: string | undefined
  readonly #client: ApiClient
  readonly #listeners = new Set<() => void>()
  /** Resolves after the first list, or the failure of it. */
  readonly #answered = Promise.withResolvers<void>()
  #failure: RingmanError | undefined

  constructor(options: PodWatchOptions) {
    const { transport, selector: labelSelector, namespace, clock, logger } = options
    const client = new ApiClient(transport, clock)
    super({
      ...options,
      client,
      selection: { kind: PODS, namespace, labelSelector },
      parse: parsePod,
      onObjects: () => {
        this.#failure = undefined
        this.#answered.resolve()
        for (const listener of [...this.#listeners]) listener()
      },
      onFailure: (error) => {
        this.#failure = error
        this.#answered.resolve()
      },
      logger: logger.child({ component: 'kubernetes' }),
    })
    this.#namespace = namespace
    this.#client = client
  }

  override async stop(): Promise<void> {
    this.#listeners.clear()
    await super.stop()
  }

  /** Calls `listener` after each list and each change. @returns A function that ends the subscription. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The addresses of the pods that run and are not being deleted, ready or not; waits for the first list. */
  async addresses(signal: AbortSignal): Promise<readonly string[]> {
    const givenUp = () => Object.assign(new Error('given up'), { code: 'ECANCELLED' })
    await unlessAborted(signal, this.#answered.promise, givenUp)
    const { listed, sinceConfirmedMs = 0, current } = this.status
    const isKnown = listed && (current || sinceConfirmedMs <= STALE_AFTER_MS)
    if (!isKnown && this.#failure !== undefined) throw withCode(this.#failure)
    return Array.from(this.objects.values())
      .filter(({ phase, terminating }) => phase === 'Running' && !terminating)
      .flatMap(({ addresses }) => addresses)
  }

  /**
   * Asks the API server for one pod now, whatever its labels.
   *
   * @returns undefined when there is none of that name.
   * @throws {RingmanError} See `ApiErrorKind`.
   */
  async find(name: string, signal: AbortSignal): Promise<Pod | undefined> {
    const byName = { kind: PODS, namespace: this.#namespace, fieldSelector: `metadata.name=${name}` }
    const selection = await this.#client.complete(byName, signal)
    const { items } = await this.#client.list(selection, { limit: 0 }, signal)
    const pods = items.map(parsePod)
    if (pods.length > 1 || (pods.length === 1 && pods[0]?.name !== name)) {
      throw apiError('malformed', 'the API server gave other pods than the one that was asked for')
    }
    return pods[0]
  }
}

/** The error with a short word for its reason as `code`, as the DNS has them. */
function withCode(error: RingmanError): Error {
  const kind = apiErrorKindOf(error) ?? 'failed'
  const code = `KUBERNETES_${kind.toUpperCase().replaceAll('-', '_')}`
  return Object.assign(new Error(error.message, { cause: error }), { code })
}

/** What is kept of a pod. */
export interface Pod {
  readonly name: string
  /** Tells it from its successor of the same name. */
  readonly uid: string
  /** `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`. */
  readonly phase: string
  /** Whether it is being deleted: its processes may still run. */
  readonly terminating: boolean
  /** False once Kubernetes says that it is not ready: its probe fails, or its node is not ready. */
  readonly ready: boolean
  /** Its addresses, one of each family at most; none before it has a network. */
  readonly addresses: readonly string[]
}

/** The API allows two, one of each family. */
const ADDRESSES_LIMIT = 4

/** Takes what is needed of a pod. @returns undefined for what is no pod. */
export function parsePod(value: unknown): Pod | undefined {
  if (!isObject(value) || !isObject(value['metadata'])) return undefined
  const { name, uid, deletionTimestamp } = value['metadata']
  if (typeof name !== 'string' || name === '' || typeof uid !== 'string' || uid === '') return undefined
  const status = isObject(value['status']) ? value['status'] : {}
  const { phase, podIP, podIPs } = status
  const listed = Array.isArray(podIPs)
    ? podIPs.slice(0, ADDRESSES_LIMIT).map((entry: unknown) => (isObject(entry) ? entry['ip'] : undefined))
    : []
  const addresses = [...new Set([podIP, ...listed])].filter(
    (address): address is string => typeof address === 'string' && isIP(address) !== 0,
  )
  return {
    name,
    uid,
    phase: typeof phase === 'string' ? phase : 'Unknown',
    terminating: typeof deletionTimestamp === 'string',
    ready: !isUnready(status['conditions']),
    addresses,
  }
}

function isUnready(conditions: unknown): boolean {
  if (!Array.isArray(conditions)) return false
  const ready: unknown = conditions.find((condition) => isObject(condition) && condition['type'] === 'Ready')
  return isObject(ready) && ready['status'] !== 'True'
}
