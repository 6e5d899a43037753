import { readFileSync } from 'node:fs'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { buildImage } from '../../support/container-images.ts'
import { ContainerLab, untilAgreed, type MemberContainer } from '../../support/container-lab.ts'
import { requireContainerTools } from '../../support/containers.ts'

const MB = 1e6

/** For members with little of a processor to agree, in milliseconds: some three times what they take to start. */
const LITTLE_PATIENCE_MS = 120_000

/** How long members with little of the machine are watched, in milliseconds: some thirty probes each. */
const WATCHED_MS = 30_000

let image: string
let lab: ContainerLab

beforeAll(async () => {
  requireContainerTools()
  image = (await buildImage()).name
})

beforeEach(async () => {
  lab = await ContainerLab.open(image)
})

afterEach(async () => {
  await lab[Symbol.asyncDispose]()
})

function start(name: string, limits: readonly string[]): Promise<MemberContainer> {
  return lab.start({
    name,
    aliases: ['ringman-gossip'],
    env: { RINGMAN_SEEDS: 'dns:ringman-gossip', RINGMAN_RING_KEY: 'name' },
    podmanArgs: limits,
  })
}

/**
 * A process's memory as Linux counts it, in megabytes: resident, and its own part of that. The rest are pages of files, the
 * `node` binary above all, which the members share; they count against the limit of whoever read them first.
 */
function memoryOf({ pid }: MemberContainer): { readonly nowMb: number; readonly ownMb: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) =>
    (Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]) * 1024) / MB
  return { nowMb: field('VmRSS'), ownMb: field('RssAnon') }
}

/**
 * The smallest share of a processor with which a member becomes ready within `seconds`: `least`, or twice, four or eight times that. One
 * share for all machines would have a member stand still for seconds where processors are slow, and be rightly taken for dead.
 */
async function smallShare(least: number, seconds: number): Promise<string> {
  for (const times of [1, 2, 4, 8]) {
    const share = String(least * times)
    const member = await start(`with-${share.replace('.', '-')}`, ['--cpus', share])
    const startedMs = performance.now()
    let isReady = false
    while (!isReady && performance.now() - startedMs < seconds * 1000) {
      await wait(250)
      isReady = await member.isReady()
    }
    await member.remove()
    if (isReady) return share
  }
  throw new Error(`with ${least * 8} of a processor no member is ready within ${seconds} s`)
}

/** What a member took off its ring while it was ready. */
async function removals(member: MemberContainer): Promise<unknown[]> {
  const events = await member.events()
  return events.flatMap(({ event, removed }) => (event === 'ring.changed' ? (removed as unknown[]) : []))
}

describe('with little memory', () => {
  test('128 MB are enough for a ring under look-ups, batches and watches', async () => {
    const limit = ['--memory', '128m', '--memory-swap', '128m']
    const members = await Promise.all(['a', 'b', 'c'].map((name) => start(name, limit)))
    await untilAgreed(members)
    const [asked] = members
    if (asked === undefined) throw new Error('there are no members')
    const atRest = memoryOf(asked)
    const over = new AbortController()
    const watches = await Promise.all(
      Array.from({ length: 50 }, () => fetch(`${asked.url}/v1/ring/watch`, { signal: over.signal })),
    )
    expect(watches.map(({ status }) => status)).toEqual(watches.map(() => 200))
    const keys = Array.from({ length: 10_000 }, (_, at) => `${'k'.repeat(100)}${at}`)
    const headers = { 'content-type': 'application/json' }
    let mostMb = atRest.ownMb
    for (let round = 0; round < 10; round++) {
      await Promise.all([
        asked.ask('/v1/owners', { method: 'POST', headers, body: JSON.stringify({ keys, n: 3 }) }),
        ...Array.from({ length: 500 }, (_, at) => asked.ask(`/v1/owner?key=${round}-${at}`)),
      ])
      mostMb = Math.max(mostMb, memoryOf(asked).ownMb)
      // In it the client's connections become free; without it there are more each round, up to the member's limit.
      await turn()
    }
    const { nowMb } = memoryOf(asked)
    over.abort()
    console.log(
      `Memory: ${atRest.nowMb.toFixed(0)} MB at rest, ${nowMb.toFixed(0)} MB after 5000 look-ups, ten batches of ` +
        `10,000 and 50 watches, ${mostMb.toFixed(0)} MB of its own at most; the limit was 134 MB`,
    )
    expect(mostMb).toBeGreaterThan(0)
    expect(mostMb).toBeLessThan(134)
    await untilAgreed(members)
    for (const member of members) expect(await removals(member), member.name).toEqual([])
    expect(await asked.stop()).toBe(0)
  })
})

describe('with little of a processor', () => {
  test('a small share of a core each: they start, agree, and nobody is taken for dead', async () => {
    const share = await smallShare(0.1, 15)
    const startedMs = performance.now()
    const members = await Promise.all(['a', 'b', 'c'].map((name) => start(name, ['--cpus', share])))
    const readyMs = await Promise.all(
      members.map(async (member) => {
        await member.untilReady()
        return performance.now() - startedMs
      }),
    )
    await untilAgreed(members, LITTLE_PATIENCE_MS)
    const untilMs = performance.now() + WATCHED_MS
    let answered = 0
    while (performance.now() < untilMs) {
      for (const member of members) await member.ask(`/v1/owner?key=${answered++}`)
      await wait(500)
    }
    console.log(
      `${share} of a core: ready after ${readyMs.map((ms) => (ms / 1000).toFixed(1)).join(', ')} s; ` +
        `${answered} look-ups answered in ${WATCHED_MS / 1000} s`,
    )
    await untilAgreed(members)
    for (const member of members) expect(await removals(member), member.name).toEqual([])
  })

  test('one that has a small share of a core keeps its place among others with plenty', async () => {
    const share = await smallShare(0.05, 40)
    const plenty = await Promise.all(['a', 'b', 'c'].map((name) => start(name, [])))
    const little = await start('little', ['--cpus', share])
    const members = [...plenty, little]
    const { tookMs } = await untilAgreed(members, LITTLE_PATIENCE_MS)
    console.log(`${share} of a core: on all rings after ${(tookMs / 1000).toFixed(1)} s`)
    await wait(WATCHED_MS / 2)
    await untilAgreed(members)
    for (const member of members) expect(await removals(member), member.name).toEqual([])
  })
})
