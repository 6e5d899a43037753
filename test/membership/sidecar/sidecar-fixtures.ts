import { readFileSync } from 'node:fs'

/** One instance as a test describes it; the rest is filled in. */
export interface Described {
  readonly id: string
  readonly name?: string
  readonly hostname?: string
  readonly ip?: string
  readonly port?: number
  readonly servicePort?: number
  readonly status?: number
  readonly updated?: string
}

/** An instance of `some-svc` in Sidecar's JSON. */
export function serviceJson(described: Described): Record<string, unknown> {
  return {
    ID: described.id,
    Name: described.name ?? 'some-svc',
    Image: '101deadbeef',
    Created: '2026-01-01T00:00:00Z',
    Hostname: described.hostname ?? `host-${described.id}`,
    Ports: [
      {
        Type: 'tcp',
        Port: described.port ?? 8000,
        ServicePort: described.servicePort ?? 9999,
        IP: described.ip ?? '',
      },
    ],
    Updated: described.updated ?? '2026-01-01T00:00:00Z',
    ProxyMode: 'http',
    Status: described.status ?? 0,
  }
}

/** A state in Sidecar's JSON, each instance on its host. */
export function stateJson(lastChanged: string, instances: readonly Described[]): Record<string, unknown> {
  const servers: Record<string, { Name: string; Services: Record<string, unknown> }> = {}
  for (const instance of instances) {
    const service = serviceJson(instance)
    const host = String(service['Hostname'])
    servers[host] ??= { Name: host, Services: {} }
    servers[host].Services[instance.id] = service
  }
  return { Servers: servers, LastChanged: lastChanged, ClusterName: 'default', Hostname: 'host-a' }
}

/** What Sidecar posts: the state and the change, by default one to alive of `some-svc`. */
export function updateJson(
  state: Record<string, unknown>,
  change: { readonly name?: string; readonly status?: number; readonly previousStatus?: number } = {},
): Record<string, unknown> {
  return {
    State: state,
    ChangeEvent: {
      Service: serviceJson({ id: 'changed', name: change.name ?? 'some-svc', status: change.status ?? 0 }),
      PreviousStatus: change.previousStatus ?? 3,
      Time: '2026-01-01T00:00:00Z',
    },
  }
}

/** JSON as bytes. */
export function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

/** The n-th of a row of times that differ by a nanosecond. */
export function tick(n: number): string {
  return `2026-01-01T00:00:00.${String(n).padStart(9, '0')}Z`
}

/** A recorded body of `test/golden`. */
export function golden(name: 'sidecar-state.json' | 'sidecar-event.json'): Uint8Array {
  return readFileSync(new URL(`../../golden/${name}`, import.meta.url))
}
