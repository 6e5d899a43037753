import { serve, type TestProcess } from '../../support/child-process.ts'

/** A node as `/v1/ring` shows it. */
export interface ShownNode {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly ringKey: string
  readonly zone?: string
}

/** Where a running `ringman serve` is asked, and its process. */
export class RingProcess implements AsyncDisposable {
  readonly process: TestProcess
  readonly url: string
  readonly adminUrl: string

  private constructor(process: TestProcess, url: string, adminUrl: string) {
    this.process = process
    this.url = url
    this.adminUrl = adminUrl
  }

  /** Resolves when it is ready. */
  static async start(
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<RingProcess> {
    const process = serve(args, { env })
    try {
      const { http, admin } = await process.ready()
      return new RingProcess(process, http.url, admin.url)
    } catch (error) {
      await process[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Starts a member called `name` that gossips on port 7946 of an address of its own and follows HashRings. */
  static startForHashRings(
    name: string,
    host: string,
    given: { readonly seeds: readonly string[]; readonly minMembers: number; readonly kubeconfig: string },
  ): Promise<RingProcess> {
    return RingProcess.start([
      '--source',
      'memberlist',
      '--preset',
      'local',
      '--name',
      name,
      '--ring-key',
      'name',
      '--bind',
      host,
      '--gossip-port',
      '7946',
      '--http-host',
      host,
      '--seeds',
      given.seeds.map((seed) => `${seed}:7946`).join(','),
      '--min-members',
      String(given.minMembers),
      '--hash-rings',
      'true',
      '--kubernetes-kubeconfig',
      given.kubeconfig,
    ])
  }

  async nodes(): Promise<ShownNode[]> {
    const { nodes } = (await this.#get('/v1/ring')) as { nodes: ShownNode[] }
    return nodes
  }

  /** The addresses on its ring, sorted. */
  async addresses(): Promise<string[]> {
    return (await this.nodes()).map(({ address }) => address).sort()
  }

  /** What the source says of itself. */
  async source(): Promise<{ kind: string; ok: boolean; message: string }> {
    const { source } = (await this.#get('/v1/members')) as {
      source: { kind: string; ok: boolean; message: string }
    }
    return source
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(`${this.url}${path}`)
    const body: unknown = await response.json()
    if (!response.ok) throw new Error(`${path}: ${response.status} ${JSON.stringify(body)}`)
    return body
  }
}
