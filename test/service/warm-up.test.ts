import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Stretch } from '../../src/ring/moved.ts'
import type { RingNode } from '../../src/ring/node.ts'
import { WarmUp, without } from '../../src/service/warm-up.ts'

const [A, B] = ['a', 'b'].map((ringKey): RingNode => ({ ringKey, weight: 1 })) as [RingNode, RingNode]
const stretch = (start: number, end: number, from: RingNode | undefined = A): Stretch => ({
  start,
  end,
  from,
  to: undefined,
})

describe('without', () => {
  const bounds = fc
    .uniqueArray(fc.integer({ min: 0, max: 40 }), { maxLength: 12 })
    .map((points) => points.sort((a, b) => a - b))
    .map((points) =>
      points.flatMap((start, i) =>
        i % 2 === 0 && i + 1 < points.length ? [stretch(start, points[i + 1]!)] : [],
      ),
    )

  test('leaves exactly what lies in the first and in none of the others', () => {
    fc.assert(
      fc.property(bounds, bounds, (stretches, others) => {
        const lies = (list: readonly Stretch[], at: number) =>
          list.some(({ start, end }) => start <= at && at < end)
        const rest = without(stretches, others)
        for (let at = 0; at <= 40; at++) expect(lies(rest, at)).toBe(lies(stretches, at) && !lies(others, at))
        for (const [i, { start, end }] of rest.entries()) {
          expect(start).toBeLessThan(end)
          if (i > 0) expect(rest[i - 1]!.end).toBeLessThanOrEqual(start)
        }
      }),
    )
  })
})

describe('WarmUp', () => {
  function warming() {
    const calls: { from: string; ranges: unknown; signal: AbortSignal; end: (error?: unknown) => void }[] = []
    const outcomes: string[] = []
    const warmUp = new WarmUp(
      { number: 1, untilMs: Infinity },
      (ranges, from, signal, end) => {
        calls.push({ from: from.ringKey, ranges: ranges.toJSON(), signal, end })
      },
      (outcome, from) => outcomes.push(`${outcome} ${from.ringKey}`),
    )
    return { warmUp, calls, outcomes }
  }
  const everybody = () => true

  test('asks each node once for all that comes from it, and nobody for what comes from nobody', () => {
    const { warmUp, calls, outcomes } = warming()
    warmUp.update(
      [stretch(0, 5), stretch(5, 9, B), stretch(20, 30), { ...stretch(40, 50), from: undefined }],
      everybody,
    )
    expect(calls.map(({ from, ranges }) => [from, ranges])).toEqual([
      ['a', [{ start: 0, end: 5 }, { start: 20, end: 30 }]], // prettier-ignore
      ['b', [{ start: 5, end: 9 }]],
    ])
    calls[0]!.end()
    expect(warmUp.isDone).toBe(false)
    calls[1]!.end(new Error('gone'))
    calls[1]!.end()
    expect(warmUp.isDone).toBe(true)
    expect(outcomes).toEqual(['done a', 'failed b'])
  })

  test('asks only for what is added when the ring changes meanwhile', () => {
    const { warmUp, calls } = warming()
    warmUp.update([stretch(0, 10)], everybody)
    warmUp.update([stretch(0, 5, B), stretch(5, 15)], everybody)
    expect(calls.map(({ from, ranges }) => [from, ranges])).toEqual([
      ['a', [{ start: 0, end: 10 }]],
      ['a', [{ start: 10, end: 15 }]],
    ])
  })

  test('gives up what came from a node that is gone, and takes it from the one after it', () => {
    const { warmUp, calls, outcomes } = warming()
    warmUp.update([stretch(0, 10), stretch(10, 20, B)], everybody)
    warmUp.update([stretch(0, 20, B)], ({ ringKey }) => ringKey === 'b')
    expect(calls[0]!.signal.aborted).toBe(true)
    expect(calls.slice(2).map(({ from, ranges }) => [from, ranges])).toEqual([['b', [{ start: 0, end: 10 }]]])
    expect(outcomes).toEqual(['aborted a'])
  })

  test('ends at once, and does not begin again', () => {
    const { warmUp, calls } = warming()
    warmUp.update([stretch(0, 10)], everybody)
    warmUp.end()
    warmUp.update([stretch(10, 20)], everybody)
    expect(warmUp.isDone).toBe(true)
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true])
  })
})
