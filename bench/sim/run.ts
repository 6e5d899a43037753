/**
 * The memberlist protocol in simulated time: detection and convergence against the number of members, false removals
 * under loss and stalls, load. `node bench/sim/run.ts [--large] [--quick] [TABLE ...]`; everything follows from fixed seeds.
 *
 * `--large` adds 1,000 members to the times, four hours under loss, 10,000 members that share what they hold alike, and one among 10,000. `--quick` simulates minutes for hours.
 */
import { parseArgs } from 'node:util'
import { PRESETS, type ProtocolSettings } from '../../src/membership/memberlist/protocol/settings.ts'
import { runHistory, type HistoryKind, type HistoryResult } from '../../lab/sim/handover-history.ts'
import { badLink, oneWay, partitioned, stalls, starved } from '../../lab/sim/histories.ts'
import { joinsAndLeaves } from '../../lab/sim/join-and-leave.ts'
import { SharedCluster } from '../../lab/sim/shared-cluster.ts'
import { massFailure } from '../../lab/sim/mass-failure.ts'
import { crowd } from './crowd.ts'
import {
  type Fate,
  healMs,
  joinMs,
  KINDS,
  loss,
  removalMs,
  removalUnderLossMs,
  settledCluster,
  slow,
  togetherMs,
} from './scenarios.ts'
import { printTable, spread } from '../table.ts'

const TABLES = [
  'times',
  'together',
  'churn',
  'mass-failure',
  'loss',
  'hours',
  'histories',
  'idle',
  'heal',
  'handover',
  'many',
] as const

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { large: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
})
const unknown = positionals.filter((name) => !TABLES.some((table) => table === name))
if (unknown.length > 0) {
  console.error(`There is no table ${unknown.join(', ')}. There are: ${TABLES.join(', ')}`)
  process.exit(1)
}
const started = performance.now()

/** Makes a table that was asked for; without names all are. */
function make(name: (typeof TABLES)[number], print: () => void): void {
  if (positionals.length === 0 || positionals.includes(name)) print()
}

const sizes = options.large ? [3, 10, 50, 100, 300, 1000] : [3, 10, 50, 100, 300]
const trialsFor = (count: number) => Math.max(3, Math.min(options.quick ? 10 : 40, Math.floor(3000 / count)))

/** Small clusters are made anew for each trial, of large ones another member goes each time. */
function trials(
  count: number,
  kind: number,
  measure: (cluster: ReturnType<typeof settledCluster>, trial: number) => number,
): string {
  const settings = KINDS[kind]?.[1] ?? PRESETS.lan
  const results: number[] = []
  let cluster: ReturnType<typeof settledCluster> | undefined
  for (let trial = 0; trial < trialsFor(count); trial++) {
    if (cluster === undefined || count <= 50) cluster = settledCluster(1000 * trial + count, count, settings)
    results.push(measure(cluster, trial))
    cluster.run(2000)
  }
  return spread(results)
}

const removals = (count: number, kind: number, fate: Fate) =>
  trials(count, kind, (cluster, trial) => {
    if (fate === 'after churn') {
      for (const name of ['node-0', `node-${count - 1}`].slice(0, count - 3 > 0 ? 2 : 0)) {
        if (cluster.get(name).running) removalMs(cluster, name, 'left')
      }
    }
    return removalMs(cluster, `node-${trial + 1 < count - 1 ? trial + 1 : 1}`, fate)
  })

make('times', () => {
  printTable('Seconds until all show it, median (min-max); LAN settings, no loss', [
    [
      'members',
      'new member',
      'leave',
      'killed',
      'killed, memberlist rules',
      'host gone',
      'host gone, memberlist rules',
    ],
    ...sizes.map((count) => [
      count,
      trials(count, 0, joinMs),
      removals(count, 0, 'left'),
      removals(count, 0, 'killed'),
      count > 300 ? '-' : removals(count, 1, 'killed'),
      removals(count, 0, 'host gone'),
      count > 300 ? '-' : removals(count, 1, 'host gone'),
    ]),
  ])
})

make('together', () => {
  printTable('Seconds until all that start within half a second, from one seed, know each other', [
    ['members', 'with keys', 'without keys'],
    ...(options.large ? [100, 300, 1000, 2000] : [100, 300]).map((count) => [
      count,
      ...[true, false].map((keyed) => (togetherMs(count, keyed) / 1000).toFixed(2)),
    ]),
  ])
})

make('churn', () => {
  printTable('Seconds until a killed member is gone from 3, after 2 of 5 have left; median (min-max)', [
    ['rules', 'killed', 'host gone'],
    ...KINDS.slice(0, 2).map(([name], kind) => [
      name,
      ...(['killed', 'host gone'] as const).map((fate) =>
        trials(5, kind, (cluster) => {
          for (const leaver of ['node-3', 'node-4']) removalMs(cluster, leaver, 'left')
          return removalMs(cluster, 'node-1', fate)
        }),
      ),
    ]),
  ])
})

const massSeeds = Array.from({ length: options.large ? 20 : 5 }, (_, i) => i + 1)
make('mass-failure', () => {
  printTable(
    `30 of 100 hosts go at once, deaths gathered for up to 1 s, ${massSeeds.length} runs: median (min-max)`,
    [
      [
        'rules',
        'seconds until off all lists',
        'off all rings',
        'rings of one member at most',
        'packets a second and survivor while somebody is suspected',
        'removals of members that live',
      ],
      ...KINDS.slice(0, 2).map(([name, settings]) => {
        const results = massSeeds.map((seed) => massFailure(settledCluster(seed, 100, settings), 30, 1000))
        return [
          name,
          spread(results.map(({ goneMs }) => goneMs)),
          spread(results.map(({ offRingsMs }) => offRingsMs)),
          Math.max(...results.map(({ rings }) => rings)),
          spread(results.map(({ packetsPerSecond }) => 1000 * packetsPerSecond)),
          results.reduce((sum, { falseRemovals }) => sum + falseRemovals, 0),
        ]
      }),
    ],
  )
})

const detectionLosses = [0, 0.1, 0.25, 0.4]
make('loss', () => {
  printTable('Seconds until a silent host is off all lists of 10 members, under loss; median (min-max)', [
    ['rules', ...detectionLosses.map((rate) => `${rate * 100} % loss`)],
    ...KINDS.map(([name, settings]) => [
      name,
      ...detectionLosses.map((rate) =>
        spread(
          Array.from({ length: 15 }, (_, i) => removalUnderLossMs(500 + i, 10, settings, rate)).filter(
            Number.isFinite,
          ),
        ),
      ),
    ]),
  ])
})

const minutes = options.quick ? 5 : 60
const ordeals: [string, (kind: number) => ReturnType<typeof loss>][] = [
  ...[0.1, 0.2, 0.25, 0.3, 0.4].map((rate): [string, (kind: number) => ReturnType<typeof loss>] => [
    `${rate * 100} % loss`,
    (kind) => loss(7, 50, KINDS[kind]?.[1] ?? PRESETS.lan, rate, minutes),
  ]),
  ['5 of 50 stall', (kind) => slow(8, 50, KINDS[kind]?.[1] ?? PRESETS.lan, minutes)],
]
make('hours', () => {
  printTable(
    `50 members for ${minutes} simulated minutes: healthy members declared dead (held for dead, by how many) / suspicions / packets per second and member`,
    [
      ['', ...KINDS.map(([name]) => name)],
      ...ordeals.map(([name, run]) => [
        name,
        ...KINDS.map((_, kind) => {
          const { falseDeaths, falseRemovals, suspicions, packetsPerSecond } = run(kind)
          return `${falseDeaths} (${falseRemovals}) / ${suspicions} / ${packetsPerSecond.toFixed(1)}`
        }),
      ]),
    ],
  )
})

make('hours', () => {
  if (options.large) {
    printTable('More hours at 25 % loss, 50 members', [
      ['seed', 'healthy members declared dead (held for dead, by how many)', 'suspicions'],
      ...[101, 102, 103, 104].map((seed) => {
        const { falseDeaths, falseRemovals, suspicions } = loss(seed, 50, PRESETS.lan, 0.25, minutes)
        return [seed, `${falseDeaths} (${falseRemovals})`, suspicions]
      }),
    ])
  }
})

const undisturbed: readonly (readonly [
  name: string,
  run: (settings: ProtocolSettings) => readonly unknown[],
])[] = [
  ...[500, 1000, 2000].flatMap((stallMs) =>
    [1, 10].map(
      (atOnce) =>
        [
          `100 stalls of ${stallMs / 1000} s, of ${atOnce === 1 ? 'any member' : 'any ten at once'}`,
          (settings: ProtocolSettings) =>
            stalls(settledCluster(31, 50, settings), { stallMs, atOnce, times: 100 }),
        ] as const,
    ),
  ),
  [
    'half of them run a tenth of the time, 10 min',
    (settings) => starved(settledCluster(32, 50, settings), 600_000),
  ],
  ['one hears nothing, 10 min', (settings) => oneWay(settledCluster(33, 50, settings), 'deaf', 600_000)],
  ['nobody hears one, 10 min', (settings) => oneWay(settledCluster(34, 50, settings), 'mute', 600_000)],
  [
    'nothing passes between two, 10 min',
    (settings) => badLink(settledCluster(35, 50, settings), 'both ways', 600_000),
  ],
  [
    'nothing passes from one to another, 10 min',
    (settings) => badLink(settledCluster(36, 50, settings), 'one way', 600_000),
  ],
  ['partition of 15 for 60 s', (settings) => partitioned(settledCluster(37, 50, settings), 60_000)],
]
make('histories', () => {
  printTable('50 members, none of which dies: removals of members that live and are in reach, by how many', [
    ['', ...KINDS.map(([name]) => name)],
    ...undisturbed.map(([name, run]) => [name, ...KINDS.map(([, settings]) => run(settings).length)]),
  ])
})

make('idle', () => {
  printTable('Idle: what a member sends each second', [
    ['members', 'packets', 'messages', 'push/pulls'],
    ...sizes.map((count) => {
      const cluster = settledCluster(3, count, PRESETS.lan)
      const total = () =>
        cluster.running.reduce(
          ([packets, messages, exchanges], { protocol: { counters } }) =>
            [
              packets + counters.packetsSent,
              messages + counters.messagesSent,
              exchanges + counters.pushPullsStarted,
            ] as const,
          [0, 0, 0] as readonly [number, number, number],
        )
      const before = total()
      cluster.run(120_000)
      const rate = total().map((value, i) => (value - (before[i] ?? 0)) / 120 / count)
      return [count, ...rate.map((value) => value.toFixed(3))]
    }),
  ])
})

make('heal', () => {
  printTable('Seconds to heal after a partition in halves; median (min-max)', [
    ['members', '20 s', '60 s', '10 min'],
    ...[4, 10, 50, 100].map((count) => [
      count,
      ...[20_000, 60_000, 600_000].map((durationMs) =>
        spread(
          Array.from({ length: 5 }, (_, i) =>
            healMs(settledCluster(500 + i, count, PRESETS.lan), durationMs),
          ),
        ),
      ),
    ]),
  ])
})

/** For how long a key had two owners, or none, where that lasted longest, and what was wrong with the cluster then. */
function longestGap({ gaps }: HistoryResult, kind: 'two' | 'none'): string {
  const longest = gaps.filter((gap) => gap.kind === kind).toSorted((a, b) => b.tookMs - a.tookMs)[0]
  if (longest === undefined) return '0'
  return `${longest.tookMs.toFixed(0)}${longest.why === '' ? '' : ` (${longest.why})`}`
}

const histories: readonly (readonly [name: string, kind: HistoryKind])[] = [
  ['planned moves', 'planned'],
  ['moves and faults', 'faults'],
]
make('handover', () => {
  printTable(
    'Hand-overs of 3 to 8 members, several at a time: the longest that a key had two owners, or none, in milliseconds',
    [
      [
        'history',
        'two owners',
        'no owner',
        'moves that were not over in time',
        'ended in the ring of the living',
      ],
      ...histories.flatMap(([name, kind]) =>
        Array.from({ length: 10 }, (_, i) => {
          const result = runHistory(i + 1, kind)
          return [
            `${name}, seed ${i + 1}`,
            longestGap(result, 'two'),
            longestGap(result, 'none'),
            result.overdue.length,
            result.settledMs === undefined ? 'no' : 'yes',
          ]
        }),
      ),
    ],
  )
})

make('many', () => {
  if (options.large) {
    printTable('Joins and leaves, members that share what they hold alike (lab/sim/shared-cluster.ts)', [
      [
        'members',
        'seconds until a new member is listed by all',
        'until one that leaves is listed by none',
        'packets a second and member at rest',
        'with a join or leave each 10 s',
      ],
      ...[100, 1000, 10_000].map((count) => {
        const shared = new SharedCluster(1, count, PRESETS.lan)
        shared.cluster.run(20_000)
        const { joinsMs, leavesMs, ...packets } = joinsAndLeaves(shared.cluster, 3, (name, seed) =>
          shared.join(name, seed),
        )
        const rates = [packets.packetsAtRest, packets.packetsPerSecond].map((rate) => rate.toFixed(2))
        return [count, spread(joinsMs), spread(leavesMs), ...rates]
      }),
    ])
    const cost = crowd(10_000)
    printTable('One member among 10,000 (the others only ack)', [
      [
        'packets/s',
        'push/pulls a minute',
        'taking the state, ms',
        'CPU ms per s, the 10,000 stand-ins and the simulator in it',
        'heap bytes per member',
      ],
      [
        cost.packetsPerSecond.toFixed(2),
        cost.pushPullsPerMinute.toFixed(2),
        cost.takeStateMs.toFixed(0),
        cost.cpuMsPerSecond.toFixed(2),
        Math.round(cost.heapBytesPerMember),
      ],
    ])
  }
})
console.log(`\n${((performance.now() - started) / 1000).toFixed(0)} s`)
