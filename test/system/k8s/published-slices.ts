import type { ApiServer } from '../../support/api-server.ts'

/** An endpoint of a slice, by the pod that it names. */
export interface PublishedEndpoint {
  readonly pod: string
  readonly address: string
  readonly zone?: string
  /** @default true */
  readonly ready?: boolean
  /** @default false */
  readonly terminating?: boolean
}

const PORT_NAME = 'http'
const PORT = 8000

/** The EndpointSlices of a Service that a test publishes by hand, as a controller would. */
export class PublishedSlices {
  readonly #server: ApiServer
  readonly #namespace: string
  readonly #service: string
  readonly #slices = new Map<string, readonly PublishedEndpoint[]>()

  constructor(server: ApiServer, namespace: string, service: string) {
    this.#server = server
    this.#namespace = namespace
    this.#service = service
  }

  get names(): string[] {
    return [...this.#slices.keys()]
  }

  endpointsOf(name: string): readonly PublishedEndpoint[] {
    return this.#slices.get(name) ?? []
  }

  /** The addresses of all pods that are ready in some slice and terminating in none, sorted: what the ring must be. */
  get truth(): string[] {
    const all = [...this.#slices.values()].flat()
    const serving = all.filter(({ ready = true, terminating = false }) => ready && !terminating)
    return [...new Map(serving.map(({ pod, address }) => [pod, address])).values()].sort()
  }

  /** Creates the slice, or makes its endpoints these. */
  async put(name: string, endpoints: readonly PublishedEndpoint[]): Promise<void> {
    const body = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, labels: { 'kubernetes.io/service-name': this.#service } },
      addressType: 'IPv4',
      ports: [
        { name: 'metrics', port: 9000, protocol: 'TCP' },
        { name: PORT_NAME, port: PORT, protocol: 'TCP' },
      ],
      endpoints: endpoints.map(({ pod, address, zone, ready = true, terminating = false }) => ({
        addresses: [address],
        conditions: { ready: ready && !terminating, serving: ready, terminating },
        targetRef: { kind: 'Pod', namespace: this.#namespace, name: pod, uid: `uid-of-${pod}-${address}` },
        ...(zone === undefined ? {} : { zone }),
      })),
    }
    const isThere = this.#slices.has(name)
    await this.#server.ask(isThere ? 'PUT' : 'POST', isThere ? this.#path(name) : this.#path(), { body })
    this.#slices.set(name, endpoints)
  }

  async remove(name: string): Promise<void> {
    await this.#server.ask('DELETE', this.#path(name))
    this.#slices.delete(name)
  }

  #path(name?: string): string {
    const all = `/apis/discovery.k8s.io/v1/namespaces/${this.#namespace}/endpointslices`
    return name === undefined ? all : `${all}/${name}`
  }
}
