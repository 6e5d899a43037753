import type { Question, Scenario, Step } from './scenario.ts'

const MINUTE_MS = 60_000

/** Long enough for a Go member to be removed at its slowest in these sizes. */
const REMOVAL: Step = { do: 'settle', withinMs: MINUTE_MS }
/** Long enough for two rounds of push/pull, where gossip has missed a member. */
const SETTLE: Step = { do: 'settle', withinMs: MINUTE_MS }

const KILL_QUESTIONS: readonly Question[] = [
  { title: 'first noticed', deed: 'killed', measure: 'firstRemovalMs' },
  { title: 'removed everywhere', deed: 'killed', measure: 'removedMs', goalRatio: 0.5 },
]

function upTo(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i + 1)
}

/** The scenarios of the bad network, quick ones first. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'join',
    title: 'A 10th member joins 9',
    hosts: 10,
    steps: [{ do: 'start', members: upTo(9) }, { do: 'start', members: [10] }, SETTLE],
    questions: [
      { title: 'seen by all, from process start', deed: 'started', measure: 'settledMs' },
      { title: 'seen by all, from gossip start', deed: 'started', measure: 'settledSinceUpMs' },
    ],
    repeat: 5,
  },
  {
    name: 'leave',
    title: 'One of 10 leaves',
    hosts: 10,
    steps: [{ do: 'start', members: upTo(10) }, { do: 'leave', member: 10 }, SETTLE],
    questions: [{ title: 'seen by all', deed: 'left', measure: 'removedMs' }],
    repeat: 5,
  },
  {
    name: 'kill',
    title: 'SIGKILL of one of 10, fresh cluster',
    hosts: 10,
    steps: [{ do: 'start', members: upTo(10) }, { do: 'kill', member: 10 }, REMOVAL],
    questions: KILL_QUESTIONS,
    repeat: 5,
  },
  {
    name: 'kill-3',
    title: 'SIGKILL of one of 3, fresh cluster',
    hosts: 3,
    steps: [{ do: 'start', members: upTo(3) }, { do: 'kill', member: 3 }, REMOVAL],
    questions: KILL_QUESTIONS,
    repeat: 5,
  },
  {
    name: 'churn-3',
    title: 'SIGKILL of one of 3, after two others left',
    hosts: 5,
    steps: [
      { do: 'start', members: upTo(5) },
      { do: 'leave', member: 5 },
      SETTLE,
      { do: 'leave', member: 4 },
      SETTLE,
      { do: 'kill', member: 3 },
      REMOVAL,
    ],
    questions: KILL_QUESTIONS,
    repeat: 3,
  },
  {
    name: 'freeze',
    title: 'One of 10 frozen for 20 s (SIGSTOP)',
    hosts: 10,
    steps: [
      { do: 'start', members: upTo(10) },
      { do: 'freeze', member: 10 },
      { do: 'hold', ms: 20_000 },
      { do: 'thaw', member: 10 },
      { do: 'settle', withinMs: MINUTE_MS },
      // What the thawed member believes of the others shows only now.
      { do: 'hold', ms: 10_000 },
    ],
    questions: [
      { title: 'removed everywhere', deed: 'frozen', measure: 'removedMs' },
      { title: 'back everywhere after it thawed', deed: 'thawed', measure: 'settledMs' },
    ],
    repeat: 1,
  },
  {
    name: 'blackhole',
    title: 'One host of 10 unreachable for 40 s',
    hosts: 10,
    steps: [
      { do: 'start', members: upTo(10) },
      { do: 'isolate', member: 10 },
      { do: 'hold', ms: 40_000 },
      { do: 'mend' },
      { do: 'settle', withinMs: 2 * MINUTE_MS },
    ],
    questions: [
      { title: 'removed everywhere', deed: 'isolated', measure: 'removedMs' },
      { title: 'healed', deed: 'mended', measure: 'settledMs' },
    ],
    repeat: 1,
  },
  {
    name: 'partition',
    title: '10 members split into 5 and 5 for 60 s',
    hosts: 10,
    steps: [
      { do: 'start', members: upTo(10) },
      {
        do: 'split',
        islands: [
          [1, 2, 3, 4, 5],
          [6, 7, 8, 9, 10],
        ],
      },
      { do: 'hold', ms: MINUTE_MS },
      { do: 'mend' },
      { do: 'settle', withinMs: 2 * MINUTE_MS },
    ],
    questions: [
      { title: 'each side shows itself alone', deed: 'split', measure: 'settledMs' },
      { title: 'healed', deed: 'mended', measure: 'settledMs' },
    ],
    repeat: 1,
  },
  {
    name: 'loss',
    title: '10 members at 30 % loss for 5 min',
    hosts: 10,
    steps: [
      { do: 'start', members: upTo(10) },
      { do: 'lose', fraction: 0.3 },
      { do: 'hold', ms: 5 * MINUTE_MS },
      { do: 'mend' },
      SETTLE,
    ],
    questions: [{ title: 'every view right again', deed: 'mended', measure: 'settledMs' }],
    repeat: 1,
  },
]
