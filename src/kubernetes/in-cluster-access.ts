import { readFile } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { join } from 'node:path'
import { apiError, reasonOf } from './api-error.ts'
import type { ClusterAccess, ClusterConnection } from './api-transport.ts'

/** Where Kubernetes puts a service account into a container. */
const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'
/** A token is good for longer, and is replaced well before its end. */
const REREAD_AFTER_MS = 60_000

/**
 * The access that every pod has: server from the environment, token, certificate of the authority and namespace from
 * the service account's folder, where the kubelet replaces the token from time to time.
 *
 * @see https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
 */
export class InClusterAccess implements ClusterAccess {
  readonly #env: NodeJS.ProcessEnv
  readonly #now: () => number
  readonly #folder: string
  #connection: ClusterConnection | undefined
  #readAtMs = 0

  /** @param options - `now` in monotonic milliseconds; `folder` for tests. */
  constructor(options: {
    readonly env: NodeJS.ProcessEnv
    readonly now: () => number
    readonly folder?: string
  }) {
    this.#env = options.env
    this.#now = options.now
    this.#folder = options.folder ?? SERVICE_ACCOUNT_FOLDER
  }

  async connection(): Promise<ClusterConnection> {
    if (this.#connection === undefined || this.#now() - this.#readAtMs >= REREAD_AFTER_MS) {
      this.#connection = await this.#read()
      this.#readAtMs = this.#now()
    }
    return this.#connection
  }

  renew(): void {
    this.#connection = undefined
  }

  async #read(): Promise<ClusterConnection> {
    const host = this.#env['KUBERNETES_SERVICE_HOST'] ?? ''
    const port = this.#env['KUBERNETES_SERVICE_PORT'] ?? ''
    if (host === '' || port === '') {
      throw apiError(
        'credentials',
        'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod of Kubernetes. ' +
          'Outside of one, --kubernetes-kubeconfig names the file that kubectl uses',
      )
    }
    const server = URL.parse(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`)
    if (server === null) {
      throw apiError(
        'credentials',
        'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are no host and port',
      )
    }
    const [token, authority, namespace] = await Promise.all([
      this.#readFile('token'),
      this.#readFile('ca.crt'),
      this.#readFile('namespace').catch(() => ''),
    ])
    if (token === '') throw apiError('credentials', `the token ${join(this.#folder, 'token')} is empty`)
    return {
      server,
      namespace: namespace === '' ? undefined : namespace,
      headers: { authorization: `Bearer ${token}` },
      options: { ca: authority },
    }
  }

  async #readFile(name: string): Promise<string> {
    const path = join(this.#folder, name)
    try {
      return (await readFile(path, 'utf8')).trim()
    } catch (error) {
      throw apiError(
        'credentials',
        `the service account's ${path} cannot be read (${reasonOf(error)}): the pod needs automountServiceAccountToken: true`,
        { cause: error },
      )
    }
  }
}
