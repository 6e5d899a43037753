import type { FakeObject } from '../../support/fake-kubernetes-api.ts'

/** A pod as a slice shows it. */
export interface SlicePod {
  readonly name: string
  readonly address: string
  readonly uid?: string
  readonly zone?: string
  readonly ready?: boolean | null
  readonly serving?: boolean | null
  readonly terminating?: boolean | null
}

/** An EndpointSlice of the Service `cache`, with the port `app` 8000. */
export function sliceOf(
  name: string,
  pods: readonly SlicePod[],
  over: {
    readonly addressType?: string
    readonly ports?: unknown
    readonly labels?: Readonly<Record<string, string>>
  } = {},
): FakeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, labels: { 'kubernetes.io/service-name': 'cache', ...over.labels } },
    addressType: over.addressType ?? 'IPv4',
    ports: over.ports ?? [{ name: 'app', port: 8000, protocol: 'TCP' }],
    endpoints: pods.map(({ name: pod, address, uid, zone, ready, serving, terminating }) => ({
      addresses: [address],
      conditions: {
        ...(ready === undefined ? {} : { ready }),
        ...(serving === undefined ? {} : { serving }),
        ...(terminating === undefined ? {} : { terminating }),
      },
      ...(zone === undefined ? {} : { zone }),
      targetRef: { kind: 'Pod', namespace: 'default', name: pod, uid: uid ?? `uid-${pod}` },
    })),
  }
}

/** What a pod's endpoint says of it in each phase of its life. */
export const PHASES = {
  serving: { ready: true, serving: true, terminating: false },
  unready: { ready: false, serving: false, terminating: false },
  draining: { ready: false, serving: true, terminating: true },
  terminating: { ready: false, serving: false, terminating: true },
} as const
