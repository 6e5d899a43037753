import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EventLoopDelay, type DelayHistogram } from '../../src/telemetry/event-loop-delay.ts'
import type { Sample } from '../../src/telemetry/sample.ts'

/** A histogram as Node's, of values that a test adds: times between two fires of a timer of 10 ms. */
class FakeHistogram implements DelayHistogram {
  enabled = false
  asked = 0
  #values: number[] = []

  /** @param lateMs - How late the timer was. */
  add(...lateMs: number[]): void {
    this.#values.push(...lateMs.map((late) => (late + 10) * 1e6))
    this.#values.sort((a, b) => a - b)
  }

  get count(): number {
    return this.#values.length
  }
  get min(): number {
    return this.#values[0] ?? Infinity
  }
  get max(): number {
    return this.#values.at(-1) ?? 0
  }
  get mean(): number {
    return this.#values.reduce((sum, value) => sum + value, 0) / this.count
  }
  percentile(percentile: number): number {
    this.asked++
    return this.#values[Math.max(0, Math.ceil((percentile / 100) * this.count) - 1)] ?? 0
  }
  enable(): boolean {
    this.enabled = true
    return true
  }
  disable(): boolean {
    this.enabled = false
    return true
  }
  reset(): void {
    this.#values = []
  }
}

function bucketsOf(delay: EventLoopDelay): Record<string, number> {
  const samples: readonly Sample[] = delay.collect().eventLoopDelay ?? []
  return Object.fromEntries(
    samples.map(({ suffix, labels, value }) => [labels?.['le'] ?? suffix ?? '', value]),
  )
}

describe('EventLoopDelay', () => {
  test('samples between start and stop', () => {
    const histogram = new FakeHistogram()
    const delay = new EventLoopDelay(histogram)
    expect(histogram.enabled).toBe(false)
    delay.start()
    expect(histogram.enabled).toBe(true)
    delay.stop()
    delay.stop()
    expect(histogram.enabled).toBe(false)
  })

  test('counts how late timers were, without the time they were to wait', () => {
    const histogram = new FakeHistogram()
    const delay = new EventLoopDelay(histogram)
    histogram.add(0.1, 0.2, 2, 7, 7, 300)
    expect(bucketsOf(delay)).toMatchObject({
      '0.001': 2,
      '0.0025': 3,
      '0.005': 3,
      '0.01': 5,
      '0.25': 5,
      '0.5': 6,
      '+Inf': 6,
      _count: 6,
    })
    expect(bucketsOf(delay)['_sum']).toBeCloseTo(0.3163, 6)
  })

  test('two scrapers do not take each other’s values away', () => {
    const histogram = new FakeHistogram()
    const delay = new EventLoopDelay(histogram)
    histogram.add(1, 2, 3)
    bucketsOf(delay)
    expect(bucketsOf(delay)).toMatchObject({ _count: 3 })
    histogram.add(6000)
    expect(bucketsOf(delay)).toMatchObject({ '5': 3, '+Inf': 4, _count: 4 })
  })

  test('a timer that was early counts as not late', () => {
    const histogram = new FakeHistogram()
    const delay = new EventLoopDelay(histogram)
    histogram.add(-0.5)
    expect(bucketsOf(delay)).toMatchObject({ '0.001': 1, _sum: 0 })
  })

  test('asks for few percentiles', () => {
    const histogram = new FakeHistogram()
    histogram.add(...Array.from({ length: 1500 }, (_, i) => (i % 100) / 50))
    bucketsOf(new EventLoopDelay(histogram))
    expect(histogram.asked).toBeLessThan(30)
  })

  test('counts any values as they are', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 7000, noNaN: true }), { maxLength: 300 }), (values) => {
        const histogram = new FakeHistogram()
        histogram.add(...values)
        const buckets = bucketsOf(new EventLoopDelay(histogram))
        // As the histogram holds them: in nanoseconds, the wait included.
        const within = (limitMs: number) =>
          values.filter((value) => ((value + 10) * 1e6) / 1e6 <= 10 + limitMs).length
        for (const le of ['0.001', '0.0025', '0.01', '0.1', '1', '5'])
          expect(buckets[le]).toBe(within(Number(le) * 1000))
        expect(buckets['+Inf']).toBe(values.length)
      }),
    )
  })

  test('Node’s own monitor finds a busy loop', async () => {
    const delay = new EventLoopDelay()
    delay.start()
    const turns = async (count: number) => {
      for (let i = 0; i < count; i++) await new Promise((resolve) => setTimeout(resolve, 12))
    }
    await turns(3)
    const end = performance.now() + 130
    while (performance.now() < end);
    await turns(3)
    delay.stop()
    const buckets = bucketsOf(delay)
    expect(buckets['+Inf']).toBeGreaterThan(buckets['0.1'] ?? 0)
    expect(delay.collect().eventLoopActive?.[0]?.value).toBeGreaterThan(0.1)
  })
})
