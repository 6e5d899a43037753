import { resolve } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { buildGoProgram } from '../../../lab/peers/go-program.ts'
import { MemberProcess } from '../../../lab/peers/member-process.ts'
import { MemberlistPeer } from '../../../lab/peers/memberlist-peer.ts'
import { eventually } from './eventually.ts'
import { statesHeldBy } from './held-state.ts'
import { everybodyShows, metaOf, NEWS_MS, NOTICE_MS, startMixed } from './mixed-cluster.ts'
import type { OurMember } from './our-member.ts'

/** At least so long a member is frozen. The `lan` preset gives a suspect no less than 4 s to deny it. */
const FROZEN_MS = 3000
/** Suspected within two probe rounds of each of the others. */
const SUSPECT_MS = 15_000

beforeAll(async () => {
  await buildGoProgram('memberlist-peer')
})

/** One of ours as a process. */
function startOurProcess(name: string, join: readonly string[]): Promise<MemberProcess> {
  const settings = {
    name,
    bindAddress: '127.0.0.1',
    bindPort: 0,
    preset: 'lan',
    meta: metaOf(8003),
    join,
  }
  return MemberProcess.start({
    command: process.execPath,
    args: [resolve(import.meta.dirname, '../../../lab/peers/ringman-member.ts')],
    settings,
  })
}

/**
 * Two Go members and two of ours, who watch; `lan`. Go's have three times as long to answer: Go takes time in which the whole
 * machine stood still for a silence.
 */
async function startWatchers(stack: AsyncDisposableStack) {
  const { go, ours, all } = await startMixed(stack, {
    each: 2,
    go: { preset: 'lan', timing: { probeIntervalMs: 3000 } },
    ours: { preset: 'lan' },
  })
  return { go, ours, all, join: all.map(({ gossipAddress }) => gossipAddress) }
}

/** Freezes a process until one of ours suspects it and 3 s have passed, and waits until all hold it for alive again. */
async function freeze(
  victim: MemberProcess,
  go: readonly MemberlistPeer[],
  ours: readonly OurMember[],
): Promise<void> {
  const startedMs = performance.now()
  victim.signal('SIGSTOP')
  try {
    await Promise.any(ours.map((our) => our.untilState(victim.name, 'suspect', SUSPECT_MS)))
    await eventually(
      'frozen for long enough',
      () => performance.now() - startedMs >= FROZEN_MS,
      FROZEN_MS * 2,
    )
  } finally {
    victim.signal('SIGCONT')
  }
  for (const our of ours) await our.untilState(victim.name, 'alive', NEWS_MS)
  for (const peer of go) {
    await eventually(
      `${peer.name} holds ${victim.name} for alive`,
      async () => (await statesHeldBy(peer)).get(victim.name) === 'alive',
      NEWS_MS,
    )
  }
}

/** That nobody took `name` off its list meanwhile. */
function expectNeverRemoved(name: string, go: readonly MemberlistPeer[], ours: readonly OurMember[]): void {
  for (const peer of go) {
    const leaves = peer.process.lines.flatMap((line) => (line.type === 'leave' ? [line.member.name] : []))
    expect(leaves, peer.process.explain('saw leaves').message).not.toContain(name)
  }
  for (const our of ours) expect(our.timesSeen('dead', name), our.facts()).toBe(0)
}

test('a Go member that was frozen refutes the suspicion to both kinds', async () => {
  await using stack = new AsyncDisposableStack()
  const { go, ours, all, join } = await startWatchers(stack)
  const victim = stack.use(
    await MemberlistPeer.start({ name: 'victim', preset: 'lan', meta: metaOf(9003), join }),
  )
  await everybodyShows([...all, victim], [...all.map(({ name }) => name), 'victim'], NEWS_MS)
  const before = ours.map(({ source }) => source.node.member('victim')?.incarnation ?? 0)
  await freeze(victim.process, go, ours)
  const after = ours.map(({ source }) => source.node.member('victim')?.incarnation ?? 0)
  for (const [i, incarnation] of after.entries()) expect(incarnation).toBeGreaterThan(before[i] ?? 0)
  expectNeverRemoved('victim', go, ours)
})

test('one of ours that was frozen refutes the suspicion to both kinds, and suspects nobody', async () => {
  await using stack = new AsyncDisposableStack()
  const { go, ours, all, join } = await startWatchers(stack)
  const victim = stack.use(await startOurProcess('victim', join))
  await everybodyShows(all, [...all.map(({ name }) => name), 'victim'], NEWS_MS)
  await victim.untilShown([...all.map(({ name }) => name), 'victim'], NEWS_MS)
  const before = ours.map(({ source }) => source.node.member('victim')?.incarnation ?? 0)
  await freeze(victim, go, ours)
  const after = ours.map(({ source }) => source.node.member('victim')?.incarnation ?? 0)
  for (const [i, incarnation] of after.entries()) expect(incarnation).toBeGreaterThan(before[i] ?? 0)
  expectNeverRemoved('victim', go, ours)
  // It was the one that stood still: nobody else may be suspected for that.
  for (const our of ours) {
    for (const { name } of all) expect(our.timesSeen('suspect', name), our.facts()).toBe(0)
  }
  expect(victim.lines.filter(({ type }) => type === 'leave')).toEqual([])
})

test('a process of ours that is killed is removed by both kinds', async () => {
  await using stack = new AsyncDisposableStack()
  const { go, ours, all, join } = await startWatchers(stack)
  const names = all.map(({ name }) => name)
  const victim = stack.use(await startOurProcess('victim', join))
  await everybodyShows(all, [...names, 'victim'], NEWS_MS)
  await victim.kill()
  await everybodyShows(all, names, NOTICE_MS)
  for (const our of ours) expect(our.get('victim')?.state).toBe('dead')
  for (const peer of go) expect((await statesHeldBy(peer)).get('victim')).toBe('dead')
})
