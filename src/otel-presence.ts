/** Where every copy of OpenTelemetry's API, from 1.0.0 on, keeps what a program registers. */
const REGISTRY = Symbol.for('opentelemetry.js.api.1')

/**
 * Whether this program has registered a part of OpenTelemetry: a provider of tracers, a propagator. It is asked without
 * loading OpenTelemetry's API, so that programs that have none of it pay nothing.
 */
export function hasRegisteredOpenTelemetry(part: 'trace' | 'propagation'): boolean {
  const registry = (globalThis as { readonly [REGISTRY]?: Readonly<Record<string, unknown>> })[REGISTRY]
  return registry?.[part] !== undefined
}
