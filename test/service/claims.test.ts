import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { RingmanError } from '../../src/errors.ts'
import { Claims, everywhere, type Claim, type LostStretch } from '../../src/service/claims.ts'

const CIRCLE = 2 ** 32

/** Later turns of the event loop, which a test takes one by one. */
function turns() {
  const due: (() => void)[] = []
  return {
    later: (turn: () => void) => {
      due.push(turn)
    },
    get count() {
      return due.length
    },
    one: () => due.shift()?.(),
    all: () => {
      while (due.length > 0) due.shift()?.()
    },
  }
}

const lossOf = (name: string): (() => RingmanError) => {
  const error = new RingmanError('CLAIM_LOST', name)
  return () => error
}

/** Hashes that are close together, at the ends of slices, and anywhere. */
const hash = fc.oneof(
  fc.nat({ max: 40 }),
  fc.nat({ max: 16 }).map((slice) => (slice * (CIRCLE / 16) + CIRCLE - 1) % CIRCLE),
  fc.integer({ min: 0, max: CIRCLE - 1 }),
)
const stretches = fc
  .uniqueArray(
    fc.oneof(
      hash,
      hash.map((each) => each + 1),
    ),
    { minLength: 2, maxLength: 8 },
  )
  .map((bounds) => {
    const sorted = bounds.toSorted((a, b) => a - b)
    return Array.from({ length: Math.floor(sorted.length / 2) }, (_, i) => ({
      start: sorted[2 * i]!,
      end: sorted[2 * i + 1]!,
    }))
  })
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant('add' as const),
      hashes: fc.array(hash, { maxLength: 90, size: 'max' }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('lose' as const), stretches }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('lose-all' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('release' as const), every: fc.integer({ min: 1, max: 7 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constant('read' as const), every: fc.integer({ min: 1, max: 7 }) }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('turn' as const) }) },
)

const anySteps = fc.array(step, { maxLength: 25, size: 'max' })
/** Mostly so little that losses take many turns. */
const turnCost = fc.constantFrom(1, 20, 200, 10_000)

/** One claim by the definition: it is lost by the first loss after it that has its hash. */
interface Modelled {
  readonly claim: Claim
  readonly hash: number
  lostBy: string | undefined
  released: boolean
  signal: AbortSignal | undefined
}

test('claims are lost exactly when the model says so, whatever is made, released and read meanwhile', () => {
  fc.assert(
    fc.property(anySteps, turnCost, fc.boolean(), (steps, cost, looksOften) => {
      const loop = turns()
      const claims = new Claims(loop.later, cost)
      const all: Modelled[] = []
      let losses = 0
      const lose = (lost: readonly { readonly start: number; readonly end: number }[]) => {
        const name = `loss ${losses++}`
        const reason = lossOf(name)
        for (const each of all) {
          if (each.released || each.lostBy !== undefined) continue
          if (lost.some(({ start, end }) => each.hash >= start && each.hash < end)) each.lostBy = name
        }
        claims.lose(lost.map((stretch) => ({ ...stretch, reason })))
      }
      for (const each of steps) {
        if (each.op === 'add') {
          for (const its of each.hashes) {
            // A hash comes from a look-up with a sign.
            const claim = claims.add(its | 0)
            all.push({ claim, hash: its, lostBy: undefined, released: false, signal: undefined })
          }
        } else if (each.op === 'lose') lose(each.stretches)
        else if (each.op === 'lose-all') lose([everywhere(lossOf('all'))])
        else if (each.op === 'turn') loop.one()
        else {
          all.forEach((its, i) => {
            if (i % each.every !== 0) return
            if (each.op === 'read') its.signal ??= its.claim.signal
            else {
              its.claim.release()
              its.released = true
            }
          })
        }
        if (looksOften) {
          const held = all.map(({ claim }) => claim.held)
          expect(held).toEqual(all.map(({ lostBy, released }) => lostBy === undefined && !released))
        }
      }
      loop.all()
      for (const { claim, signal } of all) if (signal !== undefined) expect(claim.signal).toBe(signal)
      const reasons = all.map(({ claim }) => (claim.signal.reason as Error | undefined)?.message)
      expect(reasons).toEqual(all.map(({ lostBy }) => lostBy))
      expect(all.map(({ claim }) => claim.held)).toEqual(
        all.map(({ lostBy, released }) => lostBy === undefined && !released),
      )
      expect(claims.count).toBe(
        all.filter(({ lostBy, released }) => lostBy === undefined && !released).length,
      )
    }),
    { numRuns: 150 },
  )
})

describe('Claims', () => {
  const half = (reason: () => RingmanError): LostStretch => ({ start: 0, end: CIRCLE / 2, reason })

  test('a large loss is told in turns, and whoever asks is told the truth at once', () => {
    const loop = turns()
    const claims = new Claims(loop.later)
    const held = Array.from({ length: 40_000 }, (_, i) => claims.add(i * 100_000))
    const last = held.at(-1)!
    const read = held.at(-2)!
    const { signal } = read
    const reason = lossOf('away')
    claims.lose([everywhere(reason)])
    expect(loop.count).toBe(1)
    expect(claims.count).toBeGreaterThan(10_000)
    expect(signal.aborted).toBe(false)
    expect([last.held, last.signal.reason]).toEqual([false, reason()])
    // Reading it is enough; its turn would have come.
    expect([read.signal, read.signal.aborted]).toEqual([signal, true])
    const later = claims.add(5)
    let count = 0
    for (; loop.count > 0; count++) loop.one()
    expect(count).toBeGreaterThan(2)
    expect(held.filter((claim) => claim.held)).toEqual([])
    expect([later.held, claims.count]).toEqual([true, 1])
  })

  test('a loss touches those in its stretches, and a signal aborts once, with the first reason', () => {
    const claims = new Claims(turns().later)
    const [low, high] = [claims.add(CIRCLE / 2 - 1), claims.add(CIRCLE / 2)]
    const aborts = vi.fn()
    low.signal.addEventListener('abort', aborts)
    const [first, second] = [lossOf('first'), lossOf('second')]
    claims.lose([half(first)])
    claims.lose([everywhere(second)])
    expect(aborts).toHaveBeenCalledTimes(1)
    expect([low.signal.reason, high.signal.reason]).toEqual([first(), second()])
  })

  test('nobody makes a reason that nobody reads', () => {
    const claims = new Claims(turns().later)
    const reason = vi.fn(lossOf('away'))
    const [quiet, asked] = [claims.add(1), claims.add(2)]
    claims.lose([everywhere(reason)])
    expect([quiet.held, reason.mock.calls.length]).toEqual([false, 0])
    expect(asked.signal.reason).toBe(reason())
  })

  test('a listener may release, make and lose claims', () => {
    const loop = turns()
    const claims = new Claims(loop.later)
    const [one, two, three] = [claims.add(7), claims.add(7), claims.add(CIRCLE - 7)]
    const made: Claim[] = []
    const onAbort = () => {
      one.release()
      two.release()
      made.push(claims.add(7), claims.add(8))
      claims.lose([{ start: 8, end: 9, reason: lossOf('inner') }])
    }
    one.signal.addEventListener('abort', onAbort)
    void two.signal
    claims.lose([everywhere(lossOf('outer'))])
    loop.all()
    expect([one, two, three].map(({ signal }) => (signal.reason as Error).message)).toEqual([
      'outer',
      'outer',
      'outer',
    ])
    expect(made.map(({ held }) => held)).toEqual([true, false])
    expect(claims.count).toBe(1)
  })

  test('one that was released does not abort, and releasing twice frees nobody else', () => {
    const claims = new Claims(turns().later)
    const { signal } = usedAndReleased(claims)
    const other = claims.add(3)
    const first = claims.add(3)
    first.release()
    const next = claims.add(3)
    first.release()
    expect([first.held, next.held, other.held, claims.count]).toEqual([false, true, true, 2])
    claims.lose([everywhere(lossOf('away'))])
    expect([signal.aborted, first.signal.aborted, next.signal.aborted]).toEqual([false, false, true])
  })

  test('nothing is kept of a crowd that has gone', () => {
    const claims = new Claims(turns().later)
    for (let round = 0; round < 3; round++) {
      const held = Array.from({ length: 5000 }, (_, i) => claims.add(i * 800_000))
      expect(claims.count).toBe(5000)
      for (const claim of held) claim.release()
      expect(claims.count).toBe(0)
    }
  })
})

function usedAndReleased(claims: Claims): { readonly signal: AbortSignal } {
  using claim = claims.add(3)
  return { signal: claim.signal }
}
