import { expect, test } from 'vitest'
import { Cluster } from '../../lab/network/cluster.ts'
import { goMemberlist } from '../../lab/network/contender.ts'
import { measure } from '../../lab/network/measures.ts'
import { runScenario, type Scenario } from '../../lab/network/scenario.ts'
import { SCENARIOS } from '../../lab/network/scenarios.ts'

/** More than Go takes at its slowest to remove one of three with the local preset. */
const REMOVAL_MS = 60_000

test('Go members in a bad network: a scenario from kill to heal', async () => {
  const scenario: Scenario = {
    name: 'self-test',
    title: 'Self-test',
    hosts: 4,
    steps: [
      { do: 'start', members: [1, 2, 3] },
      { do: 'start', members: [4] },
      { do: 'settle', withinMs: REMOVAL_MS },
      { do: 'leave', member: 4 },
      { do: 'settle', withinMs: REMOVAL_MS },
      { do: 'freeze', member: 3 },
      { do: 'settle', withinMs: REMOVAL_MS },
      { do: 'thaw', member: 3 },
      { do: 'settle', withinMs: REMOVAL_MS },
      { do: 'kill', member: 3 },
      { do: 'settle', withinMs: REMOVAL_MS },
    ],
    questions: [
      { title: 'join', deed: 'started', measure: 'settledMs' },
      { title: 'leave', deed: 'left', measure: 'removedMs' },
      { title: 'freeze', deed: 'frozen', measure: 'removedMs' },
      { title: 'thaw', deed: 'thawed', measure: 'settledMs' },
      { title: 'kill', deed: 'killed', measure: 'removedMs' },
    ],
    repeat: 1,
  }
  const { answers } = await runScenario(scenario, goMemberlist(), 'local')
  expect(answers.every((answer) => answer !== undefined)).toBe(true)
  // A silent member is suspected for 3 s at least before it is removed: less would be a fault of the measuring.
  expect(answers[2]).toBeGreaterThan(3000)
  expect(answers[4]).toBeGreaterThan(3000)
})

test('a split cluster settles by island', async () => {
  await using cluster = await Cluster.open(goMemberlist(), 'local', 4)
  await cluster.start(1)
  await Promise.all([2, 3, 4].map((number) => cluster.start(number)))
  expect(await cluster.settle(REMOVAL_MS)).toBe(true)
  await cluster.split([
    [1, 2],
    [3, 4],
  ])
  expect(await cluster.settle(100)).toBe(false)
  expect(cluster.describeUnsettled()).toContain('still shows')
  expect(await cluster.settle(REMOVAL_MS)).toBe(true)
  const { consequences } = measure(cluster.timeline, 5000)
  expect(consequences.at(-1)?.settledMs).toBeGreaterThan(3000)
  expect(measure(cluster.timeline, 5000).falseRemovals).toEqual([])
})

test('a member that ends by itself fails the run', async () => {
  await using cluster = await Cluster.open(goMemberlist(), 'local', 2)
  await cluster.start(1)
  await cluster.start(2)
  const [first] = cluster.running
  await first?.kill()
  await expect(cluster.settle(1000)).rejects.toThrow(/m1/)
  expect(() => {
    cluster.assertWhole()
  }).toThrow(/m1/)
})

test('every scenario asks about deeds that it does, of members that it starts', () => {
  const deeds: Record<string, string> = {
    start: 'started',
    kill: 'killed',
    leave: 'left',
    freeze: 'frozen',
    thaw: 'thawed',
    isolate: 'isolated',
    split: 'split',
    mend: 'mended',
  }
  for (const { steps, questions, hosts } of SCENARIOS) {
    const done = steps.map((step) => deeds[step.do])
    for (const { deed } of questions) expect(done).toContain(deed)
    const started = new Set(steps.flatMap((step) => (step.do === 'start' ? step.members : [])))
    expect(Math.max(...started)).toBe(hosts)
    for (const step of steps) if ('member' in step) expect(started).toContain(step.member)
  }
})
