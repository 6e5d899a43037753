/**
 * A program with OpenTelemetry of its own that embeds a ring: `node library-user.ts COLLECTOR_URL POD_URL POD_GOSSIP`. It
 * sends its spans as OTLP/JSON. In a span `checkout` it asks the pod and itself for an owner; then it prints one line of
 * JSON and ends.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { context, propagation, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import Koa from 'koa'
import { createRing, RingmanClient } from '../../../src/index.ts'

const [collectorUrl = '', podUrl = '', podGossip = ''] = process.argv.slice(2)

const provider = new TracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'library-user' }),
  spanProcessors: [
    new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${collectorUrl}/v1/traces` }) }),
  ],
})
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
propagation.setGlobalPropagator(new W3CTraceContextPropagator())
trace.setGlobalTracerProvider(provider)

const ring = await createRing({
  source: 'memberlist',
  name: 'library-user',
  bind: '127.0.0.1',
  gossipPort: 0,
  preset: 'local',
  servicePort: 3000,
  seeds: [podGossip],
})
const pod = new RingmanClient({ url: podUrl })
// The pod takes a newcomer a little later than the newcomer takes the pod.
while (
  ring.manager.snapshot.ring.size < 2 ||
  (await pod.ring()).digest !== ring.manager.snapshot.ring.digest
) {
  await new Promise((resolve) => setTimeout(resolve, 20))
}
const app = new Koa()
app.use(ring.routes())
const server = app.listen(0, '127.0.0.1')
await once(server, 'listening')
const ownUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const answers = await trace.getTracer('program').startActiveSpan('checkout', async (span) => {
  const fromPod = await pod.owner('user:42')
  const fromSelf = await new RingmanClient({ url: ownUrl }).owner('user:42')
  span.end()
  return [fromPod, fromSelf]
})
server.close()
server.closeAllConnections()
await ring.shutdown()
await provider.shutdown()
process.stdout.write(`${JSON.stringify({ event: 'done', answers })}\n`)
