import { expect, test } from 'vitest'
import type { Clock } from '../../../src/clock.ts'
import { LoopMonitor } from '../../../src/membership/swim/loop-monitor.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

/** A virtual clock whose time can pass without any timer firing, as in a process that stands still. */
class StallingClock implements Clock {
  readonly inner = new VirtualClock()
  #stalledMs = 0

  now(): number {
    return this.inner.now() + this.#stalledMs
  }

  wallNow(): number {
    return this.inner.wallNow() + this.#stalledMs
  }

  after(delayMs: number, fn: () => void): () => void {
    return this.inner.after(delayMs, fn)
  }

  stall(ms: number): void {
    this.#stalledMs += ms
  }
}

test('an idle process has no stalls', async () => {
  const clock = new StallingClock()
  const monitor = new LoopMonitor(clock, 150)
  monitor.start()
  await clock.inner.advance(10_000)
  expect(monitor.stalledSince(0)).toBe(false)
  expect(monitor.longestMs).toBe(0)
  monitor.stop()
  expect(clock.inner.pendingTimers).toBe(0)
})

test('delays up to the threshold do not count', async () => {
  const clock = new StallingClock()
  const monitor = new LoopMonitor(clock, 150)
  monitor.start()
  for (let n = 0; n < 20; n++) {
    clock.stall(100)
    await clock.inner.advance(50)
  }
  expect(monitor.stalledSince(0)).toBe(false)
  expect(monitor.longestMs).toBe(100)
  monitor.stop()
})

test('a stall is seen by whoever asks first, before the next beat', async () => {
  const clock = new StallingClock()
  const monitor = new LoopMonitor(clock, 150)
  monitor.start()
  await clock.inner.advance(1000)
  const beforeMs = clock.now()
  clock.stall(500)
  expect(monitor.stalledSince(beforeMs)).toBe(true)
  const afterMs = clock.now()
  await clock.inner.advance(1000)
  expect(monitor.stalledSince(beforeMs)).toBe(true)
  expect(monitor.stalledSince(afterMs + 50)).toBe(false)
  expect(monitor.longestMs).toBeGreaterThanOrEqual(450)
  monitor.stop()
})
