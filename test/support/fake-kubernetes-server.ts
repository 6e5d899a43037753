import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FakeRefusal, type FakeKubernetesApi } from './fake-kubernetes-api.ts'
import { TEST_CERTIFICATE, TEST_CERTIFICATE_KEY } from './test-certificate.ts'

/** A fake API behind a real port: HTTPS, or HTTP as behind `kubectl proxy`. */
export class FakeKubernetesServer implements AsyncDisposable {
  readonly api: FakeKubernetesApi
  readonly #server: Server
  #port = 0
  readonly #scheme: 'https' | 'http'
  /** Below which the API lies, as behind some proxies; `''` for the root. */
  readonly #prefix: string
  /** The connections by their other side's port. */
  readonly #sockets = new Map<number, Socket>()
  readonly #folder = mkdtempSync(join(tmpdir(), 'ringman-kubernetes-'))

  private constructor(api: FakeKubernetesApi, scheme: 'https' | 'http', prefix: string) {
    this.api = api
    this.#scheme = scheme
    this.#prefix = prefix
    const onRequest = (request: IncomingMessage, response: ServerResponse) => {
      void this.#answer(request, response)
    }
    this.#server =
      scheme === 'https'
        ? createHttpsServer({ cert: TEST_CERTIFICATE, key: TEST_CERTIFICATE_KEY }, onRequest)
        : createHttpServer(onRequest)
    this.#server.on('connection', (socket: Socket) => {
      const { remotePort = 0 } = socket
      this.#sockets.set(remotePort, socket)
      socket.once('close', () => this.#sockets.delete(remotePort))
    })
  }

  static async open(
    api: FakeKubernetesApi,
    options: { readonly scheme?: 'https' | 'http'; readonly prefix?: string } = {},
  ): Promise<FakeKubernetesServer> {
    const server = new FakeKubernetesServer(api, options.scheme ?? 'https', options.prefix ?? '')
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject)
      server.#server.listen(0, '127.0.0.1', resolve)
    })
    server.#port = (server.#server.address() as AddressInfo).port
    return server
  }

  /** Known also when it is closed. */
  get port(): number {
    return this.#port
  }

  get url(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}${this.#prefix}`
  }

  /** What a pod's environment says of this server. */
  get env(): Readonly<Record<string, string>> {
    return { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(this.port) }
  }

  /** A service account's folder with this token, as the kubelet makes it; written again, the token is replaced. */
  serviceAccount(token: string, namespace = 'default'): string {
    const folder = join(this.#folder, 'serviceaccount')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'token'), `${token}\n`)
    writeFileSync(join(folder, 'ca.crt'), TEST_CERTIFICATE)
    writeFileSync(join(folder, 'namespace'), namespace)
    return folder
  }

  /** A kubeconfig file for this server. */
  kubeconfig(
    user: Readonly<Record<string, unknown>>,
    cluster: Readonly<Record<string, unknown>> = {},
    context: Readonly<Record<string, unknown>> = { namespace: 'default' },
  ): string {
    const path = join(this.#folder, 'kubeconfig')
    const authority = this.#scheme === 'https' ? { 'certificate-authority-data': btoa(TEST_CERTIFICATE) } : {}
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'test', cluster: { server: this.url, ...authority, ...cluster } }],
      users: [{ name: 'tester', user }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'tester', ...context } }],
      'current-context': 'test',
    }
    writeFileSync(path, JSON.stringify(config))
    return path
  }

  async close(): Promise<void> {
    this.api.dropAll()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
    rmSync(this.#folder, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** TLS sockets cannot be reset; what is below them can. */
  #reset({ socket }: IncomingMessage): void {
    this.#sockets.get(socket.remotePort ?? 0)?.resetAndDestroy()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://fake')
    const path = url.pathname.startsWith(this.#prefix) ? url.pathname.slice(this.#prefix.length) : ''
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1]
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const { method = 'GET' } = request
    const type = request.headers['content-type'] ?? ''
    const write = method === 'GET' ? undefined : { method, type, text }
    let answer
    try {
      answer = this.api.answer(path, url.searchParams, token, write)
    } catch (error) {
      if (!(error instanceof FakeRefusal)) throw error
      // A listening port cannot refuse; a reset comes closest.
      this.#reset(request)
      return
    }
    const { status, headers, stream } = answer
    response.on('close', () => {
      stream.close()
    })
    if (status === 0) return
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.flushHeaders()
    try {
      for await (const chunk of stream) response.write(chunk)
      response.end()
    } catch {
      // The fault that the test asked for, or a reader that has gone.
      this.#reset(request)
    }
  }
}
