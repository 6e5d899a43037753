import { serve, type Listener, type TestProcess } from '../../../support/child-process.ts'
import { freePort } from '../../../support/free-port.ts'
import type { PrometheusServer } from './prometheus-server.ts'

/** One `ringman serve` process that stands for a pod. */
export interface MonitoredPod {
  readonly name: string
  readonly process: TestProcess
  readonly httpUrl: string
  readonly adminUrl: string
  /** `host:port` */
  readonly gossip: string
}

/** Namespace and release of all pods here, as labels of their targets. */
export const NAMESPACE = 'rings'
export const RELEASE = 'blue'

/** Gossip in the scale of the test, in which a second stands for half a minute, as far as a busy machine can follow. */
const TIMING = [
  '--preset',
  'local',
  '--probe-interval',
  '400ms',
  '--probe-timeout',
  '250ms',
  '--suspicion-mult',
  '4',
  '--push-pull-interval',
  '2s',
  '--rejoin-interval',
  '1s',
  '--dead-kept',
  '5s',
]

/** Members on loopback that Prometheus scrapes as if they were pods of one release. */
export class MonitoredCluster implements AsyncDisposable {
  readonly #prometheus: PrometheusServer
  readonly #kubeStateAddress: string
  readonly #pods = new Map<string, MonitoredPod>()

  constructor(prometheus: PrometheusServer, kubeStateAddress: string) {
    this.#prometheus = prometheus
    this.#kubeStateAddress = kubeStateAddress
  }

  /** Every pod that has been started and not been deleted, by name; frozen and killed ones among them. */
  get pods(): readonly MonitoredPod[] {
    return [...this.#pods.values()]
  }

  pod(name: string): MonitoredPod {
    const pod = this.#pods.get(name)
    if (pod === undefined) throw new Error(`there is no pod ${name}`)
    return pod
  }

  /**
   * Starts a member under this name, in place of one that was there before, and has it scraped.
   *
   * @param index - Makes the service port differ on the one address.
   * @param options - `seeds`: pods to join through, by default all others. `refused`: they will refuse it, and it does
   *   not become ready; then it is waited for until it has been told so.
   */
  async start(
    name: string,
    index: number,
    options: {
      readonly seeds?: readonly string[]
      readonly flags?: readonly string[]
      readonly refused?: boolean
    } = {},
  ): Promise<MonitoredPod> {
    const { flags = [], refused = false } = options
    const [httpPort, adminPort, gossipPort] = refused
      ? [await freePort(), await freePort(), await freePort()]
      : [0, 0, 0]
    const others = this.pods.filter((other) => other.name !== name)
    const seeds = others
      .filter((other) => options.seeds?.includes(other.name) ?? true)
      .map(({ gossip }) => gossip)
    const process = serve([
      '--name',
      name,
      '--service-port',
      String(8000 + index),
      '--bind',
      '127.0.0.1',
      '--gossip-port',
      String(gossipPort),
      '--http-port',
      String(httpPort),
      '--admin-port',
      String(adminPort),
      '--drain',
      '500ms',
      '--ring-key',
      'name',
      ...TIMING,
      ...(seeds.length === 0 ? [] : ['--seeds', seeds.join(',')]),
      ...flags,
    ])
    const { http, admin, gossip } = refused
      ? { http: loopback(httpPort), admin: loopback(adminPort), gossip: loopback(gossipPort) }
      : await untilReady(process)
    if (refused) await process.event('seed.refused')
    const pod: MonitoredPod = {
      name,
      process,
      httpUrl: http.url,
      adminUrl: admin.url,
      gossip: `${gossip.host}:${gossip.port}`,
    }
    this.#pods.set(name, pod)
    this.#announce()
    return pod
  }

  /** Ends a member in order, as Kubernetes does before it starts another one. */
  async stop(name: string): Promise<void> {
    const { process } = this.pod(name)
    process.signal('SIGTERM')
    await process.ended
    this.#pods.delete(name)
    this.#announce()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.pods.map(({ process }) => process[Symbol.asyncDispose]()))
  }

  #announce(): void {
    this.#prometheus.setTargets({
      ringman: this.pods.map(({ name, adminUrl }) => ({
        address: new URL(adminUrl).host,
        labels: { namespace: NAMESPACE, release: RELEASE, pod: name },
      })),
      'kube-state-metrics': [{ address: this.#kubeStateAddress, labels: {} }],
    })
  }
}

const loopback = (port: number): Listener => ({
  url: `http://127.0.0.1:${port}`,
  host: '127.0.0.1',
  port,
})

/** Waits longer than for one process alone: six of them and Prometheus share the machine, with others perhaps. */
async function untilReady(process: TestProcess) {
  for (let turn = 1; ; turn++) {
    try {
      return await process.ready()
    } catch (error) {
      if (turn === 4 || process.child.exitCode !== null) throw error
    }
  }
}
