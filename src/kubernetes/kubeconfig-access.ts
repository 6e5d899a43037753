import type { RequestOptions } from 'node:https'
import { isIP } from 'node:net'
import { dirname, resolve } from 'node:path'
import { MAX_CONFIG_BYTES, readSmallFile } from '../small-file.ts'
import { apiError, reasonOf } from './api-error.ts'
import type { ClusterAccess, ClusterConnection } from './api-transport.ts'

/** How long a loaded file is used; what makes tokens (programs, OIDC) renews them on its own meanwhile. */
const RELOAD_AFTER_MS = 300_000

/**
 * Access by a kubeconfig file, with every way to log in that `@kubernetes/client-node` knows: certificates, tokens,
 * programs, OIDC, proxies. The library is an optional dependency, and is loaded when it is first needed: it takes a second
 * and 85 MB, which a pod that uses its service account does not spend.
 */
export class KubeconfigAccess implements ClusterAccess {
  readonly #path: string
  readonly #now: () => number
  /** Kept also while it is under way: whoever gives up waiting must not make the next one begin again. */
  #loaded: { readonly connect: Promise<() => Promise<ClusterConnection>>; readonly atMs: number } | undefined

  /**
   * @param path - The file.
   * @param now - Monotonic milliseconds.
   */
  constructor(path: string, now: () => number) {
    this.#path = path
    this.#now = now
  }

  async connection(): Promise<ClusterConnection> {
    try {
      if (this.#loaded === undefined || this.#now() - this.#loaded.atMs >= RELOAD_AFTER_MS) {
        this.#loaded = { connect: load(this.#path), atMs: this.#now() }
      }
      const connect = await this.#loaded.connect
      return await connect()
    } catch (error) {
      this.#loaded = undefined
      // Not the error's own words alone: they do not say which file is meant.
      // Of a parser only the first line: what follows, and its stack, quote the file, which holds credentials.
      const isParser = error instanceof Error && error.name === 'YAMLException'
      const reason = isParser ? (error.message.split('\n')[0] ?? '') : reasonOf(error)
      throw apiError('credentials', `the kubeconfig ${this.#path} cannot be used: ${reason}`, {
        ...(isParser ? {} : { cause: error }),
      })
    }
  }

  renew(): void {
    this.#loaded = undefined
  }
}

async function importClient() {
  try {
    return await import('@kubernetes/client-node')
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error(
      'it takes the optional package @kubernetes/client-node, which is not installed; npm install @kubernetes/client-node adds it',
      { cause: error },
    )
  }
}

async function load(path: string): Promise<() => Promise<ClusterConnection>> {
  const [{ KubeConfig }, { parse }] = await Promise.all([importClient(), import('yaml')])
  const config = new KubeConfig()
  const { text } = await readSmallFile(path, MAX_CONFIG_BYTES)
  config.loadFromString(text)
  config.makePathsAbsolute(dirname(path))
  const cluster = config.getCurrentCluster()
  if (cluster === null) {
    throw new Error(`its current-context "${config.getCurrentContext()}" leads to no cluster`)
  }
  const server = URL.parse(cluster.server)
  if (server === null || (server.protocol !== 'https:' && server.protocol !== 'http:')) {
    throw new Error(`its server "${cluster.server}" is no http or https URL`)
  }
  if (server.protocol === 'http:') {
    if (!isLoopback(server.hostname) && !cluster.skipTLSVerify) {
      throw new Error(
        `its server ${server.origin} is neither https nor this machine; insecure-skip-tls-verify: true allows it`,
      )
    }
    // The library refuses every http server without it, `kubectl proxy` too.
    config.clusters = config.clusters.map((other) =>
      other.name === cluster.name ? { ...other, skipTLSVerify: true } : other,
    )
  }
  // As kubectl does for a context that names none.
  const namespace = config.getContextObject(config.getCurrentContext())?.namespace ?? 'default'
  const tokenFile = tokenFileOf(parse(text), config.getCurrentUser()?.name)
  return async () => {
    const options: RequestOptions = {}
    await config.applyToHTTPSOptions(options)
    const { headers: given, ...rest } = options
    const headers = headersOf(given)
    if (tokenFile !== undefined) {
      const token = (await readSmallFile(resolve(dirname(path), tokenFile))).text.trim()
      if (token === '') throw new Error(`its tokenFile ${tokenFile} is empty`)
      headers['authorization'] = `Bearer ${token}`
    }
    return { server, namespace: namespace === '' ? 'default' : namespace, headers, options: rest }
  }
}

/**
 * The file with a user's token, which wins over a token beside it. The library does not know this field: without it, it
 * would ask as nobody.
 *
 * @see https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 */
function tokenFileOf(kubeconfig: unknown, userName: string | undefined): string | undefined {
  const { users = [] } = kubeconfig as {
    users?: readonly { name?: unknown; user?: { tokenFile?: unknown } }[]
  }
  const tokenFile = users.find(({ name }) => name === userName)?.user?.tokenFile
  return typeof tokenFile === 'string' && tokenFile !== '' ? tokenFile : undefined
}

/** The library makes an object of text. */
function headersOf(given: RequestOptions['headers']): Record<string, string> {
  if (given === undefined || Array.isArray(given)) return {}
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [name.toLowerCase(), String(value)] as const),
  )
}

function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || hostname === '[::1]' || (isIP(hostname) === 4 && hostname.startsWith('127.'))
  )
}
