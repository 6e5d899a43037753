import { createSign, generateKeyPairSync, randomBytes, randomInt } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand, type CommandEnd } from './command.ts'
import { buildControlPlane } from './control-plane.ts'
import { eventually } from './eventually.ts'
import { askApi, askApiWell, type ApiAccess, type ApiAnswer } from './kubernetes-api.ts'
import { helmPath, kubectlPath } from './kubernetes-tools.ts'
import { NativeProcess } from './native-process.ts'

const READY_DEADLINE_MS = 60_000
const ETCD_PORT = 2379
const ETCD_PEER_PORT = 2380
const API_PORT = 6443
const CONTROLLER_PORT = 10_257
const ISSUER = 'https://kubernetes.default.svc'
/** So long after its time a token is still taken (go-jose, `DefaultLeeway`). */
const TOKEN_LEEWAY_MS = 60_000

/** A token that was taken once is taken again for so long, in milliseconds, whatever has become of it meanwhile. */
export const TOKEN_MEMORY_MS = 10_000

/** What an API server is started with. */
export interface ApiServerSettings {
  /**
   * The controllers of kube-controller-manager to run, by name, like `endpointslice-controller`; none by default. The
   * admission of Pods needs service accounts, so that of `serviceaccount-controller` runs along with any other.
   */
  readonly controllers?: readonly string[]
  /** Endpoints that the real controller puts into one EndpointSlice at most. @default 100 */
  readonly endpointsPerSlice?: number
}

/**
 * A real kube-apiserver with its etcd on a loopback address of its own, with RBAC and signed service account tokens,
 * and, where wanted, controllers of the real kube-controller-manager. There is no scheduler and no kubelet: Pods are
 * objects, and nothing runs them.
 */
export class ApiServer implements AsyncDisposable {
  /** Like `https://127.3.4.5:6443`. */
  readonly url: string
  /** The loopback address of all its parts; other ports on it are free. Its certificate is good for it. */
  readonly host: string
  /** A folder for a test's own files; it goes with the server. */
  readonly folder: string
  /** The path of the kubeconfig of one who may do everything. */
  readonly kubeconfig: string
  readonly #program: string
  readonly #settings: ApiServerSettings
  readonly #adminToken = randomBytes(16).toString('hex')
  readonly #managerToken = randomBytes(16).toString('hex')
  readonly #signingKey: string
  #etcd: NativeProcess | undefined
  #api: NativeProcess | undefined
  #manager: NativeProcess | undefined
  #ca = ''

  private constructor(folder: string, program: string, settings: ApiServerSettings) {
    // The whole of 127.0.0.0/8 is ours to bind: a random address spares the search for free ports.
    this.host = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(2, 255)}`
    this.url = `https://${this.host}:${API_PORT}`
    this.folder = folder
    this.kubeconfig = join(folder, 'admin.kubeconfig')
    this.#program = program
    this.#settings = settings
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    this.#signingKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  }

  /** Builds the programs when that was not done before, and resolves when the server is ready. */
  static async start(settings: ApiServerSettings = {}): Promise<ApiServer> {
    const program = await buildControlPlane()
    const folder = await mkdtemp(join(tmpdir(), 'ringman-api-server-'))
    const server = new ApiServer(folder, program, settings)
    try {
      await server.#prepare()
      server.#etcd = server.#startEtcd()
      await server.startApi()
      if (settings.controllers !== undefined) await server.#startManager(settings.controllers)
    } catch (error) {
      await server.stop()
      throw error
    }
    return server
  }

  /** How to ask it as one who may do everything. */
  get admin(): ApiAccess {
    return { url: this.url, ca: this.#ca, token: this.#adminToken }
  }

  /** The certificates that it is believed by, PEM. */
  get ca(): string {
    return this.#ca
  }

  /** Asks as one who may do everything; throws unless it succeeds. */
  async ask<T = unknown>(
    method: string,
    path: string,
    options: { readonly body?: unknown; readonly contentType?: string } = {},
  ): Promise<T> {
    return (await askApiWell(this.admin, method, path, options)).body as T
  }

  /** Asks as one who may do everything; whatever it answers. */
  tryAsk(
    ...args: Parameters<typeof askApi> extends [ApiAccess, ...infer Rest] ? Rest : never
  ): Promise<ApiAnswer> {
    return askApi(this.admin, ...args)
  }

  async createNamespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.ask('POST', '/api/v1/namespaces', { body: { metadata: { name, labels } } })
    // Pods are admitted only when the account that they run as is there.
    if (this.#settings.controllers !== undefined) {
      await this.until(`the default account of ${name}`, async () => {
        const { status } = await this.tryAsk('GET', `/api/v1/namespaces/${name}/serviceaccounts/default`)
        return status === 200
      })
    }
  }

  /** A token of a service account, by TokenRequest: at least 10 minutes, as the server insists. */
  async requestToken(
    namespace: string,
    serviceAccount: string,
    boundTo?: { readonly kind: 'Pod' | 'Secret'; readonly name: string },
  ): Promise<string> {
    const apiVersion = 'authentication.k8s.io/v1'
    const boundObjectRef = boundTo === undefined ? {} : { boundObjectRef: { apiVersion: 'v1', ...boundTo } }
    const { status } = await this.ask<{ status: { token: string } }>(
      'POST',
      `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`,
      { body: { apiVersion, kind: 'TokenRequest', spec: { expirationSeconds: 600, ...boundObjectRef } } },
    )
    return status.token
  }

  /**
   * A token as `requestToken` gives, signed here by the server's own key, because the server gives none for less than
   * 10 minutes.
   *
   * @param lifetimeMs - Until it is refused for the first time, unless the server remembers it (`TOKEN_MEMORY_MS`);
   *   below zero: at once. The server counts in whole seconds.
   */
  async mintToken(namespace: string, serviceAccount: string, lifetimeMs: number): Promise<string> {
    const { metadata } = await this.ask<{ metadata: { uid: string } }>(
      'GET',
      `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}`,
    )
    const nowSeconds = Math.floor(Date.now() / 1000)
    // A real one names its key in the header; one key is all that the server has, and it takes a token without.
    const claims = {
      aud: [ISSUER],
      iss: ISSUER,
      iat: nowSeconds - 3600,
      nbf: nowSeconds - 3600,
      exp: nowSeconds + Math.ceil((lifetimeMs - TOKEN_LEEWAY_MS) / 1000),
      sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
      'kubernetes.io': { namespace, serviceaccount: { name: serviceAccount, uid: metadata.uid } },
    }
    const signed = [{ alg: 'RS256', typ: 'JWT' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.')
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(this.#signingKey, 'base64url')}`
  }

  /**
   * Writes a kubeconfig into the folder.
   *
   * @param options.tokenFile - Read again and again by those who use it; else `token` is in the file.
   * @param options.url - Another way to the server than its own, such as through a relay.
   * @returns Its path.
   */
  async writeKubeconfig(
    name: string,
    options: {
      readonly token?: string
      readonly tokenFile?: string
      readonly url?: string
      readonly namespace?: string
    },
  ): Promise<string> {
    const { token, tokenFile, url = this.url, namespace } = options
    const path = join(this.folder, `${name}.kubeconfig`)
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'test',
          cluster: { server: url, 'certificate-authority-data': Buffer.from(this.#ca).toString('base64') },
        },
      ],
      users: [
        {
          name,
          user: {
            ...(token === undefined ? {} : { token }),
            ...(tokenFile === undefined ? {} : { tokenFile }),
          },
        },
      ],
      contexts: [
        {
          name: 'test',
          context: { cluster: 'test', user: name, ...(namespace === undefined ? {} : { namespace }) },
        },
      ],
      'current-context': 'test',
    }
    await writeFile(path, JSON.stringify(config, undefined, 2), { mode: 0o600 })
    return path
  }

  /** Runs kubectl as one who may do everything. */
  async kubectl(args: readonly string[], input = ''): Promise<CommandEnd> {
    return runCommand(await kubectlPath(), ['--kubeconfig', this.kubeconfig, ...args], this.folder, input)
  }

  /** Runs helm as one who may do everything. */
  async helm(args: readonly string[], input = ''): Promise<CommandEnd> {
    return runCommand(await helmPath(), ['--kubeconfig', this.kubeconfig, ...args], this.folder, input)
  }

  /** Starts kube-apiserver, which does not run, on the same address and etcd, and waits until it is ready. */
  async startApi(): Promise<void> {
    const certificates = join(this.folder, 'certificates')
    const api = new NativeProcess(this.#program, [
      'kube-apiserver',
      `--bind-address=${this.host}`,
      `--advertise-address=${this.host}`,
      `--secure-port=${API_PORT}`,
      // The addresses that the Service `kubernetes` would get may not be loopback ones.
      '--endpoint-reconciler-type=none',
      `--etcd-servers=http://${this.host}:${ETCD_PORT}`,
      `--cert-dir=${certificates}`,
      '--authorization-mode=RBAC',
      `--token-auth-file=${join(this.folder, 'tokens.csv')}`,
      `--service-account-issuer=${ISSUER}`,
      `--api-audiences=${ISSUER}`,
      `--service-account-key-file=${join(this.folder, 'signing.key')}`,
      `--service-account-signing-key-file=${join(this.folder, 'signing.key')}`,
      // Both families, so that Services may ask for either.
      '--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112',
      '--profiling=false',
    ])
    this.#api = api
    await this.until('kube-apiserver to be ready', async () => {
      this.#etcd?.assertRunning()
      api.assertRunning()
      this.#ca = await readFile(join(certificates, 'apiserver.crt'), 'utf8')
      const { status } = await this.tryAsk('GET', '/readyz')
      return status === 200
    })
    await this.writeKubeconfig('admin', { token: this.#adminToken })
  }

  /** Ends kube-apiserver; etcd and the controllers go on. */
  async stopApi(how: 'stop' | 'kill' = 'stop'): Promise<void> {
    const api = this.#api
    this.#api = undefined
    await (how === 'kill' ? api?.kill() : api?.stop())
  }

  /** Freezes kube-apiserver: connections stay open and are still accepted, nothing is answered. */
  freezeApi(): void {
    this.#api?.signal('SIGSTOP')
  }

  thawApi(): void {
    this.#api?.signal('SIGCONT')
  }

  /** Makes etcd forget every revision but the current one. */
  async compact(): Promise<void> {
    const ask = async (path: string, body: unknown): Promise<{ header?: { revision?: string } }> => {
      const response = await fetch(`http://${this.host}:${ETCD_PORT}${path}`, {
        method: 'POST',
        body: JSON.stringify(body),
      })
      const text = await response.text()
      if (!response.ok) throw new Error(`etcd ${path}: ${response.status} ${text}`)
      return JSON.parse(text) as { header?: { revision?: string } }
    }
    const { header } = await ask('/v3/kv/range', { key: Buffer.from('/').toString('base64') })
    await ask('/v3/kv/compaction', { revision: header?.revision, physical: true })
  }

  /** Waits until `holds`; looks every 50 ms. An error counts as not yet, and is told at the deadline. */
  async until(
    what: string,
    holds: () => Promise<boolean> | boolean,
    deadlineMs = READY_DEADLINE_MS,
  ): Promise<void> {
    await eventually(what, holds, { withinMs: deadlineMs, facts: () => this.#report() })
  }

  /** Ends everything and removes the folder. Idempotent. */
  async stop(): Promise<void> {
    // Nothing in it is worth a goodbye: the data go with the folder.
    await Promise.all([this.#manager?.kill(), this.#api?.kill(), this.#etcd?.kill()])
    await rm(this.folder, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #prepare(): Promise<void> {
    await mkdir(join(this.folder, 'certificates'))
    await writeFile(join(this.folder, 'signing.key'), this.#signingKey, { mode: 0o600 })
    const tokens = [
      `${this.#adminToken},admin,1,system:masters`,
      `${this.#managerToken},system:kube-controller-manager,2`,
    ]
    await writeFile(join(this.folder, 'tokens.csv'), tokens.map((line) => `${line}\n`).join(''), {
      mode: 0o600,
    })
  }

  #startEtcd(): NativeProcess {
    const client = `http://${this.host}:${ETCD_PORT}`
    const peer = `http://${this.host}:${ETCD_PEER_PORT}`
    return new NativeProcess(this.#program, [
      'etcd',
      '--name=test',
      `--data-dir=${join(this.folder, 'etcd')}`,
      '--log-level=warn',
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=test=${peer}`,
      '--unsafe-no-fsync',
    ])
  }

  async #startManager(controllers: readonly string[]): Promise<void> {
    const kubeconfig = await this.writeKubeconfig('manager', { token: this.#managerToken })
    const caFile = join(this.folder, 'certificates', 'apiserver.crt')
    const names = new Set(['serviceaccount-controller', ...controllers])
    const manager = new NativeProcess(this.#program, [
      'kube-controller-manager',
      `--kubeconfig=${kubeconfig}`,
      `--controllers=${[...names].join(',')}`,
      '--leader-elect=false',
      '--use-service-account-credentials=true',
      `--root-ca-file=${caFile}`,
      `--service-account-private-key-file=${join(this.folder, 'signing.key')}`,
      `--bind-address=${this.host}`,
      `--secure-port=${CONTROLLER_PORT}`,
      '--authentication-skip-lookup=true',
      `--cert-dir=${join(this.folder, 'certificates', 'manager')}`,
      `--max-endpoints-per-slice=${this.#settings.endpointsPerSlice ?? 100}`,
      '--kube-api-qps=500',
      '--kube-api-burst=500',
    ])
    this.#manager = manager
    await this.until('the service account controller', async () => {
      manager.assertRunning()
      const { status } = await this.tryAsk('GET', '/api/v1/namespaces/default/serviceaccounts/default')
      return status === 200
    })
  }

  #report(): string {
    const parts = { etcd: this.#etcd, 'kube-apiserver': this.#api, 'kube-controller-manager': this.#manager }
    return Object.entries(parts)
      .map(([name, part]) => (part === undefined ? '' : `\n--- ${name}\n${part.output}`))
      .join('')
  }
}
