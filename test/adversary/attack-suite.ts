import { resolve } from 'node:path'
import { expect } from 'vitest'
import { threadCpuMs } from '../../lab/loop-meter.ts'
import { TestProcess } from '../support/child-process.ts'
import type { AttackedCluster, LimitedMember } from './attacked-cluster.ts'
import { HonestClients, type Seen } from './honest-clients.ts'

const RUN_ATTACK = resolve(import.meta.dirname, 'run-attack.ts')
/** Ends an attack that hangs; the longest takes 20 s on a quiet machine. */
const ATTACK_DEADLINE_MS = 200_000
/** Longest that anything may hold the event loop, in milliseconds of processor time: look-ups wait meanwhile. */
const HOLD_LIMIT_MS = 50
/**
 * An attack that holds the loop does so each time. A machine may, once: where the threads that collect garbage get no processor, this
 * thread does their work, and a virtual machine counts time that its host took away.
 */
const MOST_RUNS = 3
/** So long after the end of an attack, on a quiet machine, all members hold the one honest ring again. */
const PATIENCE_MS = 10_000
const MIB = 1024 * 1024

/** What an attack came to: a row of the table in `docs/threat-model.md`. */
export interface Outcome {
  readonly attack: string
  readonly told: string
  /** The most memory that a member had, in MiB. */
  readonly peakMib: number
  /** The longest that a member's event loop was held, in milliseconds of processor time of a quiet machine. */
  readonly heldMs: number
  readonly clients: readonly Seen[]
  /** Milliseconds from the end of the attack until all members held the one honest ring; Infinity when they did not. */
  readonly settledMs: number
  /** The most lines that a member logged. */
  readonly logLines: number
}

const outcomes: Outcome[] = []

/** Milliseconds of processor time that the work below takes on a machine that does nothing else. */
const REFERENCE_MS = 4
const SAMPLE_MS = 250
const sampled = new Uint32Array(1 << 20)

/** How many times slower than a quiet machine this one is during an attack. */
export class Slowness implements Disposable {
  readonly #samples: { readonly processorMs: number; readonly waitedMs: number }[] = []
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setInterval(() => {
      const before = { processorMs: threadCpuMs(), nowMs: performance.now() }
      for (let i = 0, at = 1; i < 1_000_000; i++) {
        at = (Math.imul(at, 1_664_525) + 1_013_904_223) >>> 0
        sampled[at & (sampled.length - 1)]! += i
      }
      this.#samples.push({
        processorMs: threadCpuMs() - before.processorMs,
        waitedMs: performance.now() - before.nowMs,
      })
    }, SAMPLE_MS)
  }

  /** In processor time, which also grows where others use the same caches and the same core's other thread. At least 1. */
  get ofProcessor(): number {
    return timesSlower(this.#samples.map(({ processorMs }) => processorMs))
  }

  /** By the clock: also where others have the processor. At least 1. */
  get ofClock(): number {
    return timesSlower(this.#samples.map(({ waitedMs }) => waitedMs))
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

function timesSlower(samplesMs: readonly number[]): number {
  const sumMs = samplesMs.reduce((sum, ms) => sum + ms, 0)
  return Math.max(1, sumMs / Math.max(1, samplesMs.length) / REFERENCE_MS)
}

/**
 * Runs an attack with honest look-ups beside it, and holds the members to what holds under every attack: none is killed,
 * none ends, no event loop is held for 50 ms in each of three runs, and within 10 s of its end all hold the honest ring again.
 * Both times are those of a quiet machine.
 *
 * @param meanwhile - Honest work during the attack, such as a member that joins.
 */
export async function runAttack(
  cluster: AttackedCluster,
  attack: string,
  meanwhile?: (slowness: Slowness) => Promise<void>,
): Promise<Outcome> {
  await cluster.revive()
  const { members } = cluster
  for (const member of members) member.memory.resetPeak()
  const linesBefore = members.map(({ process }) => process.outLines.length)
  using slowness = new Slowness()
  const honest = new HonestClients(members)
  const heldMs: number[] = []
  let run: Run
  try {
    do {
      run = await runOnce(cluster, attack, slowness, meanwhile)
      heldMs.push(run.heldMs)
    } while (run.heldMs >= HOLD_LIMIT_MS && heldMs.length < MOST_RUNS)
  } finally {
    await honest.stop(slowness.ofClock)
  }
  if (heldMs.length > 1) console.log(`${attack} held a loop for ${heldMs.map(Math.ceil).join(', then ')} ms`)
  const outcome: Outcome = {
    attack,
    ...run,
    peakMib: Math.max(...members.map(({ memory }) => memory.peakBytes)) / MIB,
    clients: honest.seen,
    logLines: Math.max(...members.map(({ process }, i) => process.outLines.length - (linesBefore[i] ?? 0))),
  }
  outcomes.push(outcome)
  expect(outcome.heldMs).toBeLessThan(HOLD_LIMIT_MS)
  return outcome
}

type Run = Pick<Outcome, 'told' | 'heldMs' | 'settledMs'>

async function runOnce(
  cluster: AttackedCluster,
  attack: string,
  slowness: Slowness,
  meanwhile: ((slowness: Slowness) => Promise<void>) | undefined,
): Promise<Run> {
  const { members } = cluster
  for (const member of members) await member.heldMs()
  const addresses = members.map(({ name, httpPort, adminPort, gossipPort }) => {
    return { name, httpPort, adminPort, gossipPort }
  })
  await using attacker = new TestProcess([RUN_ATTACK, attack, JSON.stringify(addresses)])
  const deadline = new Promise<never>((_, reject) => {
    setTimeout(reject, ATTACK_DEADLINE_MS, new Error(`the attack ${attack} did not end`)).unref()
  })
  await Promise.race([Promise.all([attacker.ended, meanwhile?.(slowness)]), deadline])
  const told = attacker.events.find(({ event }) => event === 'over')?.['told']
  expect(told, attacker.err).toBeTypeOf('string')
  const settledMs = members.every(({ isRunning }) => isRunning)
    ? await cluster.settled(members.length, PATIENCE_MS * slowness.ofClock)
    : Infinity
  const heldMs =
    Math.max(...(await Promise.all(members.map((member) => member.heldMs())))) / slowness.ofProcessor
  for (const member of members) expect(member.isRunning, describeEnd(member)).toBe(true)
  expect(settledMs, await describeRings(cluster)).toBeLessThan(Infinity)
  return { told: told as string, heldMs, settledMs }
}

/** The rows of all attacks so far, as a table in Markdown. */
export function outcomeTable(): string {
  const rows = outcomes.map(({ attack, told, peakMib, heldMs, clients, settledMs }) => {
    const failed = clients.reduce((sum, seen) => sum + seen.failed, 0)
    const asked = clients.reduce((sum, seen) => sum + seen.asked, 0)
    const cells = [attack.replaceAll('-', ' '), told, `${Math.ceil(peakMib)} MiB`, `${Math.ceil(heldMs)} ms`]
    return `| ${[...cells, `${failed} of ${asked}`, `${(settledMs / 1000).toFixed(1)} s`].join(' | ')} |`
  })
  const head = [
    'attack',
    'sent',
    'peak memory',
    'loop held',
    'honest look-ups failed',
    'one ring again after',
  ]
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...rows].join('\n')
}

function describeEnd({ name, process }: LimitedMember): string {
  return `${name} ended: ${process.child.signalCode ?? process.child.exitCode}; ${process.err.slice(-500)}`
}

async function describeRings({ members }: AttackedCluster): Promise<string> {
  const rings = members.map(async (member) => {
    const shown = await member.ask<unknown>('/v1/members').catch(String)
    return `${member.name}: ${JSON.stringify(shown).slice(0, 3000)}`
  })
  return (await Promise.all(rings)).join('\n')
}
