import { onTestFinished } from 'vitest'
import { silentLogger } from '../../src/logger.ts'
import { DEFAULT_FOLD_WINDOW_MS, HashRingManager } from '../../src/manager/hash-ring-manager.ts'
import type { Member } from '../../src/membership/member.ts'
import { RingService, type RingServiceDeps } from '../../src/service/ring-service.ts'
import type { FakeSource } from '../support/fake-source.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

/** A service of this source in virtual time, not started; it stops with the test. */
export function makeService(source: FakeSource, options: Partial<RingServiceDeps> = {}) {
  const clock = new VirtualClock()
  const manager = new HashRingManager({ clock })
  const deps = { source, manager, logger: silentLogger, clock, ringKeyMode: 'address' as const }
  const service = new RingService({ ...deps, ...options })
  onTestFinished(() => service.stop())
  /** Publishes members, and lets them become the ring. */
  const become = async (members: readonly Member[]) => {
    source.set(members)
    await clock.advance(DEFAULT_FOLD_WINDOW_MS)
  }
  return { clock, manager, source, service, become, ownership: service.ownership }
}

/** The same, started. */
export async function startService(source: FakeSource, options: Partial<RingServiceDeps> = {}) {
  const made = makeService(source, options)
  await made.clock.during(DEFAULT_FOLD_WINDOW_MS, made.service.start())
  return made
}
