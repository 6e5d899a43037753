import { holdingClock, systemClock } from '../../src/clock.ts'
import { createApp } from '../../src/http/app.ts'
import { FastLookUps } from '../../src/http/fast-look-ups.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { ConnectionLedger } from '../../src/http/connection-ledger.ts'
import { Responder } from '../../src/http/respond.ts'
import { openServer } from '../../src/http/server.ts'
import { silentLogger } from '../../src/logger.ts'
import { HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import { parseStaticMember, StaticSource } from '../../src/membership/static/static-source.ts'
import { RingService } from '../../src/service/ring-service.ts'
import { EventLoopDelay } from '../../src/telemetry/event-loop-delay.ts'
import { processCollector } from '../../src/telemetry/process-collector.ts'
import { RingMetrics } from '../../src/telemetry/ring-metrics.ts'
import { NODE_COUNT } from './load.ts'

/** Milliseconds between two scrapes: ten times as often as Prometheus. */
const SCRAPE_EVERY_MS = 1500

/** A ring behind as many servers as wanted, with metrics and without, as `ringman serve` opens them. */
export interface MeteredRingman {
  /**
   * Opens one more server on a free loopback port. Its metrics, if it has them, are scraped from now on.
   */
  open(metered: boolean): Promise<number>
}

export async function startRingman(): Promise<MeteredRingman> {
  const members = Array.from({ length: NODE_COUNT }, (_, i) => parseStaticMember(`10.0.0.${i + 1}:8000`))
  const clock = systemClock
  const logger = silentLogger
  const limits = DEFAULT_HTTP_LIMITS
  const ledger = new ConnectionLedger({ clock, logger, limits })
  const responder = new Responder({ ledger, port: 'lookup', clock, logger })
  const manager = new HashRingManager({ clock: holdingClock })
  const source = new StaticSource(members, clock)
  const ring = new RingService({ source, manager, logger, clock, ringKeyMode: 'address' })
  const eventLoopDelay = new EventLoopDelay()
  const metrics = new RingMetrics({
    ring,
    clock,
    processCollectors: [() => eventLoopDelay.collect(), processCollector(() => ledger.counts())],
  })
  await ring.start()
  return {
    async open(metered) {
      if (metered) {
        eventLoopDelay.start()
        setInterval(() => void metrics.write('prometheus'), SCRAPE_EVERY_MS).unref()
      }
      const app = createApp({
        ring,
        clock,
        logger,
        limits,
        responder,
        ...(metered ? { meter: metrics.meter } : {}),
      })
      const connections = ledger.openPort('lookup', limits)
      connections.fastLookUps = new FastLookUps({
        ring,
        clock,
        limits,
        ...(metered ? { meter: metrics.meter } : {}),
      })
      return (await openServer(app, { host: '127.0.0.1', port: 0, limits, connections, logger })).port
    },
  }
}
