import type { ApiServer } from '../../support/api-server.ts'
import { PATCH_TYPES, type KubernetesObject } from '../../support/kubernetes-api.ts'

/** A Pod as far as it is looked at here. */
export interface Pod extends KubernetesObject {
  readonly spec: { readonly nodeName?: string; readonly terminationGracePeriodSeconds?: number }
  readonly status: {
    readonly phase?: string
    readonly podIP?: string
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

/** A node that Pods are bound to, and the zone that it says to be in. */
export interface FakeNode {
  readonly name: string
  readonly zone: string
}

const LOOK_INTERVAL_MS = 50

/**
 * Does with the Pod objects of one namespace what a scheduler and kubelets would: binds them, says that they run and
 * are ready, and removes those that are to end after their grace. No program is started. Addresses are handed out in
 * order and never twice, since a Pod that comes back has another one in real clusters too.
 */
export class FakeKubelet implements AsyncDisposable {
  readonly #server: ApiServer
  readonly #namespace: string
  readonly #nodes: readonly FakeNode[]
  readonly #graceMs: number
  /** When each terminating Pod was first seen so, by uid. */
  readonly #terminatingSince = new Map<string, number>()
  #isStopping = false
  #isHolding = false
  #bound = 0
  #loop: Promise<void> | undefined
  #failure: unknown

  /** @param options.graceMs - How long a Pod that is deleted goes on, serving but terminating. */
  constructor(
    server: ApiServer,
    namespace: string,
    options: { readonly nodes: readonly FakeNode[]; readonly graceMs?: number },
  ) {
    this.#server = server
    this.#namespace = namespace
    this.#nodes = options.nodes
    this.#graceMs = options.graceMs ?? 300
  }

  /** Makes the nodes, and begins to look after the Pods. */
  async start(): Promise<void> {
    for (const { name, zone } of this.#nodes) {
      const labels = { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/zone': zone }
      await this.#server.ask('POST', '/api/v1/nodes', { body: { metadata: { name, labels } } })
    }
    this.#loop = this.#run()
  }

  /** Leaves new Pods unbound, and those that are to end serving but terminating, until `release`. */
  hold(): void {
    this.#isHolding = true
  }

  release(): void {
    this.#isHolding = false
  }

  /** All Pods of the namespace, by name. */
  async pods(): Promise<Pod[]> {
    const { items } = await this.#server.ask<{ items: Pod[] }>('GET', this.#path())
    return items.sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  }

  /** Says that a Pod's containers are ready or not, as a kubelet does after a probe. */
  async setReady(name: string, isReady: boolean): Promise<void> {
    await this.#patchStatus(name, { conditions: conditionsOf(isReady) })
  }

  /** Says that a Pod failed for good, as when it is evicted; the object stays until somebody deletes it. */
  async fail(name: string): Promise<void> {
    await this.#patchStatus(name, { phase: 'Failed', reason: 'Evicted', conditions: conditionsOf(false) })
  }

  /** @throws whatever went wrong while it looked after the Pods. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#loop
    if (this.#failure !== undefined) {
      throw new Error('it could not look after the Pods', { cause: this.#failure })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #run(): Promise<void> {
    try {
      while (!this.#isStopping) {
        for (const pod of await this.pods()) await this.#lookAfter(pod)
        await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS))
      }
    } catch (error) {
      // A test that waits for a Pod fails at its deadline; `stop` then says why.
      this.#failure = error
    }
  }

  async #lookAfter(pod: Pod): Promise<void> {
    const { name, uid = '', deletionTimestamp } = pod.metadata
    if (deletionTimestamp !== undefined) {
      const since = this.#terminatingSince.get(uid) ?? performance.now()
      this.#terminatingSince.set(uid, since)
      const isInGrace = this.#isHolding || performance.now() - since < this.#graceMs
      if (isInGrace && pod.spec.nodeName !== undefined) return
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid } }
      await this.#tolerating(404, 'DELETE', this.#path(name), { body })
    } else if (pod.spec.nodeName === undefined && !this.#isHolding) {
      this.#bound += 1
      const node = this.#nodes[this.#bound % this.#nodes.length]
      const target = { apiVersion: 'v1', kind: 'Node', name: node?.name }
      const body = { apiVersion: 'v1', kind: 'Binding', metadata: { name }, target }
      await this.#tolerating(404, 'POST', `${this.#path(name)}/binding`, { body })
      // Never on the wire: only objects have these addresses.
      const ip = `10.77.${Math.floor(this.#bound / 250)}.${(this.#bound % 250) + 1}`
      await this.#patchStatus(name, {
        phase: 'Running',
        podIP: ip,
        podIPs: [{ ip }],
        conditions: conditionsOf(true),
      })
    }
  }

  async #patchStatus(name: string, status: object): Promise<void> {
    const contentType = PATCH_TYPES.strategic
    await this.#tolerating(404, 'PATCH', `${this.#path(name)}/status`, { body: { status }, contentType })
  }

  /** For what may meet a Pod that somebody else has just deleted. */
  async #tolerating(
    status: number,
    method: string,
    path: string,
    options: { readonly body: unknown; readonly contentType?: string },
  ): Promise<void> {
    const answer = await this.#server.tryAsk(method, path, options)
    if (answer.status >= 300 && answer.status !== status) {
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    }
  }

  #path(name?: string): string {
    return `/api/v1/namespaces/${this.#namespace}/pods${name === undefined ? '' : `/${name}`}`
  }
}

/** The conditions of a Pod that runs. */
function conditionsOf(isReady: boolean): object[] {
  // A Pod counts as available some time after it became ready.
  const lastTransitionTime = new Date().toISOString()
  const condition = (type: string, holds: boolean) => ({
    type,
    status: holds ? 'True' : 'False',
    lastTransitionTime,
  })
  return [
    condition('PodScheduled', true),
    condition('Initialized', true),
    condition('ContainersReady', isReady),
    condition('Ready', isReady),
  ]
}

/** The addresses of the Pods that are ready and not about to end, sorted: what a ring of them must be. */
export function readyAddresses(pods: readonly Pod[]): string[] {
  return pods
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .filter(({ status }) =>
      status.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    )
    .map(({ status }) => status.podIP ?? '')
    .sort()
}
