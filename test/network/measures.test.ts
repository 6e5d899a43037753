import { describe, expect, test } from 'vitest'
import { measure } from '../../lab/network/measures.ts'
import type { Deed, TimelineEntry } from '../../lab/network/timeline.ts'

const GRACE_MS = 5000

/** The members a, b, c, which all show each other by 100 ms. */
function formed(): TimelineEntry[] {
  const names = ['a', 'b', 'c']
  return [
    ...names.map((member) => at(0, { kind: 'started', member })),
    ...names.flatMap((observer) => names.map((subject) => view(100, observer, 'join', subject))),
  ]
}

function at(atMs: number, deed: Deed): TimelineEntry {
  return { atMs, ...deed }
}

function view(atMs: number, observer: string, change: 'join' | 'leave', subject: string): TimelineEntry {
  return { atMs, kind: 'view', observer, change, subject }
}

function lastConsequence(timeline: readonly TimelineEntry[]) {
  return measure(timeline, GRACE_MS).consequences.at(-1)
}

describe('consequences', () => {
  test('forming is settled once everybody shows everybody', () => {
    expect(lastConsequence(formed())?.settledMs).toBe(100)
    expect(lastConsequence(formed().slice(0, -1))?.settledMs).toBeUndefined()
  })

  test('a killed member: first and last to remove it; its own view does not matter', () => {
    const timeline = [
      ...formed(),
      at(1000, { kind: 'killed', member: 'c' }),
      view(7000, 'a', 'leave', 'c'),
      view(7200, 'b', 'leave', 'c'),
    ]
    expect(lastConsequence(timeline)).toMatchObject({
      firstRemovalMs: 6000,
      removedMs: 6200,
      settledMs: 6200,
    })
    expect(lastConsequence(timeline.slice(0, -1))).toMatchObject({
      firstRemovalMs: 6000,
      removedMs: undefined,
      settledMs: undefined,
    })
  })

  test('a new member: since its start, and since it showed itself', () => {
    const timeline = [
      ...formed(),
      at(1000, { kind: 'started', member: 'd' }),
      ...['d', 'a', 'b', 'c'].map((subject, i) => view(1200 + i, 'd', 'join', subject)),
      ...['a', 'b', 'c'].map((observer) => view(1500, observer, 'join', 'd')),
    ]
    expect(lastConsequence(timeline)).toMatchObject({ settledMs: 500, settledSinceUpMs: 300 })
  })

  test('entries may come in any order', () => {
    const timeline = [...formed(), at(1000, { kind: 'left', member: 'c' }), view(1100, 'a', 'leave', 'c')]
    timeline.push(view(1050, 'b', 'leave', 'c'))
    expect(lastConsequence(timeline.toReversed())).toMatchObject({ firstRemovalMs: 50, removedMs: 100 })
  })

  test('an isolated member is removed when the others do not show it, whatever it shows itself', () => {
    const timeline = [
      ...formed(),
      at(1000, { kind: 'isolated', member: 'c' }),
      view(5000, 'a', 'leave', 'c'),
      view(6000, 'b', 'leave', 'c'),
    ]
    expect(lastConsequence(timeline)).toMatchObject({ removedMs: 5000, settledMs: undefined })
    timeline.push(view(20_000, 'c', 'leave', 'a'), view(21_000, 'c', 'leave', 'b'))
    expect(lastConsequence(timeline)).toMatchObject({ removedMs: 5000, settledMs: 20_000 })
  })

  test('a split settles by island, and heals when all are shown again', () => {
    const timeline = [
      ...formed(),
      at(1000, { kind: 'split', islands: [['a', 'b'], ['c']] }),
      view(9000, 'a', 'leave', 'c'),
      view(9000, 'b', 'leave', 'c'),
      view(30_000, 'c', 'leave', 'a'),
      view(30_000, 'c', 'leave', 'b'),
    ]
    expect(lastConsequence(timeline)?.settledMs).toBe(29_000)
    timeline.push(at(61_000, { kind: 'mended' }))
    for (const name of ['a', 'b']) {
      timeline.push(view(62_000, name, 'join', 'c'), view(63_000, 'c', 'join', name))
    }
    expect(lastConsequence(timeline)?.settledMs).toBe(2000)
  })

  test('a thawed member is back when the others show it again', () => {
    const timeline = [
      ...formed(),
      at(1000, { kind: 'frozen', member: 'c' }),
      view(8000, 'a', 'leave', 'c'),
      view(8000, 'b', 'leave', 'c'),
      at(21_000, { kind: 'thawed', member: 'c' }),
      view(22_000, 'a', 'join', 'c'),
      view(23_000, 'b', 'join', 'c'),
    ]
    const { consequences } = measure(timeline, GRACE_MS)
    expect(consequences.at(-2)).toMatchObject({ removedMs: 7000 })
    expect(consequences.at(-1)).toMatchObject({ settledMs: 2000 })
  })

  test('loss is no deed of its own: what went before is still looked for', () => {
    const timeline = [
      ...formed(),
      at(1000, { kind: 'killed', member: 'c' }),
      at(2000, { kind: 'loss', fraction: 0.3 }),
      view(3000, 'a', 'leave', 'c'),
      view(4000, 'b', 'leave', 'c'),
    ]
    expect(lastConsequence(timeline)).toMatchObject({ removedMs: 3000 })
  })
})

describe('false removals', () => {
  const falseRemovals = (...entries: TimelineEntry[]) =>
    measure([...formed(), ...entries], GRACE_MS).falseRemovals

  test('of a healthy member', () => {
    expect(falseRemovals(view(9000, 'a', 'leave', 'b'))).toEqual([
      { atMs: 9000, observer: 'a', subject: 'b' },
    ])
  })

  test('loss excuses nothing', () => {
    const lossy = at(1000, { kind: 'loss', fraction: 0.3 })
    expect(falseRemovals(lossy, view(9000, 'a', 'leave', 'b'))).toHaveLength(1)
  })

  test.each<[string, Deed]>([
    ['killed', { kind: 'killed', member: 'b' }],
    ['left', { kind: 'left', member: 'b' }],
    ['frozen', { kind: 'frozen', member: 'b' }],
    ['isolated', { kind: 'isolated', member: 'b' }],
    ['on another island', { kind: 'split', islands: [['a', 'c'], ['b']] }],
  ])('not of one that is %s', (_title, deed) => {
    expect(falseRemovals(at(1000, deed), view(60_000, 'a', 'leave', 'b'))).toEqual([])
  })

  test('a fault excuses only what concerns it', () => {
    const split = at(1000, { kind: 'split', islands: [['a', 'c'], ['b']] })
    expect(falseRemovals(split, view(9000, 'a', 'leave', 'c'))).toHaveLength(1)
    const frozen = at(1000, { kind: 'frozen', member: 'b' })
    expect(falseRemovals(frozen, view(9000, 'a', 'leave', 'c'))).toHaveLength(1)
  })

  test('a fault that has ended excuses for the time of grace', () => {
    const fault = [at(1000, { kind: 'isolated', member: 'b' }), at(20_000, { kind: 'mended' })]
    expect(falseRemovals(...fault, view(25_000, 'a', 'leave', 'b'))).toEqual([])
    expect(falseRemovals(...fault, view(25_001, 'a', 'leave', 'b'))).toHaveLength(1)
  })

  test('a member that was frozen must not blame others for its own stall', () => {
    const stall = [at(1000, { kind: 'frozen', member: 'b' }), at(20_000, { kind: 'thawed', member: 'b' })]
    expect(falseRemovals(...stall, view(20_100, 'b', 'leave', 'a'))).toHaveLength(1)
    expect(falseRemovals(...stall, view(20_100, 'a', 'leave', 'b'))).toEqual([])
  })

  test('what a member shows of itself is its own affair', () => {
    expect(falseRemovals(view(9000, 'a', 'leave', 'a'))).toEqual([])
  })
})
