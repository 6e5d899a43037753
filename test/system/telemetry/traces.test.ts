import { beforeAll, describe, expect, test } from 'vitest'
import { RingmanClient } from '../../../src/client/ringman-client.ts'
import { GOSSIP, serve, TestProcess } from '../../support/child-process.ts'
import { buildCollector, Collector } from './collector-program.ts'

let executable = ''
beforeAll(async () => {
  executable = await buildCollector()
})

async function startPod(collector: Collector, env: Readonly<Record<string, string>> = {}) {
  const pod = serve([...GOSSIP, '--name', 'ring-0'], {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_SERVICE_NAME: 'ring',
      OTEL_BSP_SCHEDULE_DELAY: '100',
      ...env,
    },
  })
  const { http, gossip } = await pod.ready()
  return { pod, url: http.url, gossip: `127.0.0.1:${gossip.port}` }
}

describe('an OpenTelemetry Collector', () => {
  test('gets the spans of a caller, a pod and a program with a ring in it, joined up', async () => {
    await using collector = await Collector.start(executable)
    const { pod, url, gossip } = await startPod(collector, { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' })
    await using _pod = pod
    await using program = new TestProcess([
      new URL('library-user.ts', import.meta.url).pathname,
      collector.url,
      url,
      gossip,
    ])
    const { answers } = (await program.event('done')) as {
      answers: [
        { owner: { ringKey: string }; digest: string },
        { owner: { ringKey: string }; digest: string },
      ]
    }
    expect(await program.ended).toEqual({ code: 0, signal: null })
    expect(answers[0]).toMatchObject({
      owner: { ringKey: answers[1].owner.ringKey },
      digest: answers[1].digest,
    })

    const checkout = await collector.span('the caller', ({ name }) => name === 'checkout')
    expect(checkout).toMatchObject({ parentSpanId: '', resource: { 'service.name': 'library-user' } })
    for (const service of ['ring', 'library-user']) {
      const lookUp = await collector.span(
        `the look-up of ${service}`,
        ({ name, resource }) => name === 'GET /v1/owner' && resource['service.name'] === service,
      )
      expect(lookUp).toMatchObject({
        traceId: checkout.traceId,
        parentSpanId: checkout.spanId,
        kind: 'server',
        scope: 'ringman',
        attributes: {
          'http.route': '/v1/owner',
          'http.response.status_code': 200,
          'ringman.owner': answers[0].owner.ringKey,
          'ringman.ring.digest': answers[0].digest,
        },
      })
    }

    const join = await collector.span('the join', ({ name }) => name === 'gossip.join')
    const exchange = await collector.span('its exchange', ({ parentSpanId }) => parentSpanId === join.spanId)
    expect(exchange).toMatchObject({ name: 'gossip.push-pull', traceId: join.traceId, kind: 'client' })
    const leave = await collector.span(
      'the leave',
      ({ name, resource }) => name === 'ring.leave' && resource['service.name'] === 'library-user',
    )
    await collector.span(
      'its farewell',
      ({ name, parentSpanId }) => name === 'gossip.leave' && parentSpanId === leave.spanId,
    )

    pod.signal('SIGTERM')
    expect(await pod.ended).toEqual({ code: 0, signal: null })
    await collector.span(
      'the end of the pod',
      ({ name, resource }) => name === 'ring.leave' && resource['service.name'] === 'ring',
    )
    expect(pod.events.filter(({ event }) => event === 'traces.failed' || event === 'traces.lost')).toEqual([])
  })

  test.each(['SIGSTOP', 'SIGKILL'] as const)(
    'that gets %s slows no look-up and holds up no end',
    async (signal) => {
      await using collector = await Collector.start(executable)
      const { pod, url } = await startPod(collector)
      await using _pod = pod
      const client = new RingmanClient({ url })
      await client.owner('before')
      await collector.span('a look-up', ({ name }) => name === 'GET /v1/owner')
      collector.signal(signal)
      const beganMs = performance.now()
      for (let i = 0; i < 500; i++) await client.owner(`key-${i}`)
      // Ten milliseconds each on a busy machine; one wait for the collector would be ten seconds.
      expect(performance.now() - beganMs).toBeLessThan(10_000)
      const stoppedMs = performance.now()
      pod.signal('SIGTERM')
      expect(await pod.ended).toEqual({ code: 0, signal: null })
      expect(performance.now() - stoppedMs).toBeLessThan(9500)
    },
  )
})
