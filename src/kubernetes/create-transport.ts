import type { Tracer } from '@opentelemetry/api'
import type { ApiTransport } from './api-transport.ts'
import type { Environment } from './cluster-access.ts'
import { HttpsTransport } from './https-transport.ts'
import { InClusterAccess } from './in-cluster-access.ts'
import { KubeconfigAccess } from './kubeconfig-access.ts'

/**
 * The way to the API server: with a kubeconfig file's access, or with the pod's own. Nothing is read or opened yet.
 *
 * @param options - `now` in monotonic milliseconds.
 */
export function createTransport(options: {
  readonly kubeconfig: string | undefined
  readonly env: Environment
  readonly now: () => number
  readonly userAgent: string
  readonly tracer?: Tracer
}): ApiTransport {
  const { kubeconfig, env, now, userAgent, tracer } = options
  const access =
    kubeconfig === undefined ? new InClusterAccess({ env, now }) : new KubeconfigAccess(kubeconfig, now)
  return new HttpsTransport(access, userAgent, tracer)
}
