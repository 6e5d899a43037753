import type { RequestOptions } from 'node:https'

/** Where the API server is, and what lets requests in. */
export interface ClusterConnection {
  /** Scheme, host, port, and a path where the server has one (`kubectl` proxies, Rancher). */
  readonly server: URL
  /** That of the pod, or of the kubeconfig's context. */
  readonly namespace: string | undefined
  /** What lets a request in; never logged. */
  readonly headers: Readonly<Record<string, string>>
  /** Certificates, agent: whatever else `https.request` takes. Never logged. */
  readonly options: Omit<RequestOptions, 'headers'>
}

/** How a process finds the API server. */
export interface ClusterAccess {
  /**
   * What is in force now; read anew from time to time, because tokens and certificates are replaced while the process
   * runs.
   *
   * @throws {RingmanError} Kind `credentials` when something of it cannot be read.
   */
  connection(): Promise<ClusterConnection>
  /** Reads all of it anew the next time. */
  renew(): void
}

/** The environment, as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>
