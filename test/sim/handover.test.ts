import { expect, test } from 'vitest'
import { runHistory, type HistoryKind, type HistoryResult } from '../../lab/sim/handover-history.ts'

/** `HANDOVER_HISTORIES=1000` for the long run. */
const HISTORIES = Number(process.env['HANDOVER_HISTORIES'] ?? 15)

function runAll(kind: HistoryKind): HistoryResult[] {
  return Array.from({ length: HISTORIES }, (_, i) => runHistory(i + 1, kind))
}

/** What went wrong, with all that is needed to see it again. */
function tell({ seed, log, overdue }: HistoryResult, what: string): string {
  return [`seed ${seed}: ${what}`, ...overdue, ...log].join('\n')
}

function expectToEnd(result: HistoryResult): void {
  expect(result.settledMs, tell(result, 'rings are not those of the living')).toBeDefined()
  expect(result.overdue, tell(result, 'a move was not over in time')).toEqual([])
}

const longest = (result: HistoryResult, kind: 'two' | 'none') =>
  Math.max(0, ...result.gaps.filter((gap) => gap.kind === kind).map(({ tookMs }) => tookMs))

test(
  'planned moves, several at a time: all end, no key has two owners for longer than 300 ms, none for longer than 100',
  { timeout: 120_000 * Math.max(1, HISTORIES / 15) },
  () => {
    for (const result of runAll('planned')) {
      expectToEnd(result)
      expect(longest(result, 'two'), tell(result, 'two owners')).toBeLessThanOrEqual(300)
      expect(longest(result, 'none'), tell(result, 'no owner')).toBeLessThanOrEqual(100)
    }
  },
)

test(
  'crashes, restarts, stalls, partitions and loss in every state: all moves end, and rings are those of the living',
  { timeout: 120_000 * Math.max(1, HISTORIES / 15) },
  () => {
    const results = runAll('faults')
    for (const result of results) {
      expectToEnd(result)
      // Where nothing but planned moves was the reason, the promise stands.
      for (const gap of result.gaps) {
        if (gap.why === '')
          expect(gap.tookMs, tell(result, `${gap.key} has ${gap.kind}`)).toBeLessThanOrEqual(300)
      }
    }
    // The histories are no use where nothing happens in the midst of a move.
    const lines = results.flatMap(({ log }) => log)
    for (const phase of ['owning', 'pending', 'releasing']) {
      expect(
        lines.some((line) => /kill|freeze/.test(line) && line.includes(`(${phase})`)),
        phase,
      ).toBe(true)
    }
  },
)
