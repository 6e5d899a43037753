/** Where spans go, if anywhere. */
export interface RequestedTracing {
  /** The whole URL; undefined when nothing is to be traced, which is so unless an endpoint is set. */
  readonly url: string | undefined
  /** Sentences for the log. */
  readonly warnings: readonly string[]
}

/**
 * Decides by OpenTelemetry's standard variables whether this process sends traces, before anything of its SDK is loaded.
 * Everything else of them `tracing-sdk.ts` and the SDK read.
 */
export function readTracingRequest(env: Readonly<Record<string, string | undefined>>): RequestedTracing {
  const warnings: string[] = []
  const text = (name: string) => env[name]?.trim() ?? ''
  const readUrl = (name: string, path?: string) => {
    if (text(name) === '') return undefined
    const url = URL.parse(text(name))
    if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
      // It is not quoted: it may have a password in it.
      warnings.push(`Ignored ${name}: http://HOST:PORT or https://HOST:PORT is allowed`)
      return undefined
    }
    if (path !== undefined) url.pathname = `${url.pathname.replace(/\/$/, '')}/${path}`
    return url.href
  }

  const disabled = text('OTEL_SDK_DISABLED').toLowerCase()
  if (disabled === 'true') return { url: undefined, warnings }
  if (disabled !== '' && disabled !== 'false') {
    warnings.push('OTEL_SDK_DISABLED: true and false are allowed; false counts')
  }
  const exporters = text('OTEL_TRACES_EXPORTER').split(/[\s,]+/)
  if (exporters.includes('none')) return { url: undefined, warnings }
  if (exporters.some((name) => name !== '' && name !== 'otlp')) {
    warnings.push('OTEL_TRACES_EXPORTER: otlp and none are allowed here; the rest is ignored')
  }
  const url =
    readUrl('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT') ?? readUrl('OTEL_EXPORTER_OTLP_ENDPOINT', 'v1/traces')
  const wanted = ['TRACES_EXPORTER', 'EXPORTER_OTLP_TRACES_ENDPOINT', 'EXPORTER_OTLP_ENDPOINT']
  if (url === undefined && wanted.some((name) => text(`OTEL_${name}`) !== '')) {
    warnings.push('Traced nothing: OTEL_EXPORTER_OTLP_ENDPOINT has to name an endpoint that can be used')
  }
  return { url, warnings }
}
