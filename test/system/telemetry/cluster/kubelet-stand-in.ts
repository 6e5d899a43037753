import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { NAMESPACE, type MonitoredPod } from './monitored-cluster.ts'

/**
 * Stands for kubelet and kube-state-metrics: probes `/readyz` of each pod once a second, and serves what came of it
 * as `kube_pod_status_ready`.
 */
export class KubeletStandIn implements AsyncDisposable {
  readonly #server: Server
  readonly #ready = new Map<string, boolean>()
  readonly #timer: NodeJS.Timeout
  readonly address: string

  private constructor(server: Server, pods: () => readonly MonitoredPod[]) {
    this.#server = server
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (_, response) => {
      response.setHeader('Content-Type', 'text/plain; version=0.0.4').end(this.#render())
    })
    this.#timer = setInterval(() => {
      void this.#probe(pods())
    }, 1_000)
  }

  /** @param pods - The pods as they are at the moment of a probe. */
  static async start(pods: () => readonly MonitoredPod[]): Promise<KubeletStandIn> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new KubeletStandIn(server, pods)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #probe(pods: readonly MonitoredPod[]): Promise<void> {
    const names = new Set(pods.map(({ name }) => name))
    for (const name of this.#ready.keys()) if (!names.has(name)) this.#ready.delete(name)
    await Promise.all(
      pods.map(async ({ name, adminUrl }) => {
        // A pod that is killed or frozen does not answer: it is not ready.
        const answer = await fetch(`${adminUrl}/readyz`, { signal: AbortSignal.timeout(900) }).catch(
          () => undefined,
        )
        this.#ready.set(name, answer?.ok === true)
      }),
    )
  }

  #render(): string {
    const lines = [...this.#ready].flatMap(([pod, ready]) =>
      (['true', 'false'] as const).map(
        (condition) =>
          `kube_pod_status_ready{namespace="${NAMESPACE}",pod="${pod}",condition="${condition}"} ${Number(String(ready) === condition)}\n`,
      ),
    )
    return `# TYPE kube_pod_status_ready gauge\n${lines.join('')}`
  }
}
