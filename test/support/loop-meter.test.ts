import { expect, test } from 'vitest'
import { meterLoop, threadCpuMs } from '../../lab/loop-meter.ts'

test('what holds the loop in the turn that asks is told of at once, and only once', () => {
  const held = meterLoop()
  const endMs = threadCpuMs() + 50
  while (threadCpuMs() < endMs);
  expect(held().cpuMs).toBeGreaterThanOrEqual(50)
  expect(held().cpuMs).toBeLessThan(50)
})
