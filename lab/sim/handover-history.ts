import { HandoverCluster, type HandoverMember, type OwnerGap } from './handover-cluster.ts'
import type { Conditions } from './sim-network.ts'
import { GOOD_LAN } from './sim-network.ts'

/** What happens to a cluster besides planned moves. */
export type HistoryKind = 'planned' | 'faults'

/** What came of one history. */
export interface HistoryResult {
  readonly seed: number
  /** What happened, a line each, to be read when something is wrong. */
  readonly log: readonly string[]
  /** Whether all rings became the one of those who live, and when after the last event. */
  readonly settledMs: number | undefined
  /** Moves that were not over in time. */
  readonly overdue: readonly string[]
  readonly gaps: readonly OwnerGap[]
}

/** How long a history may take to become quiet: a dead member is forgotten, islands find each other. */
const QUIET_LIMIT_MS = 180_000

/** How long a fault is the reason for what follows: deaths are found, news is repeated by push/pull. */
const AFTERMATH_MS = 35_000

const TIMEOUT_MS = 4000

/**
 * Some minutes in the life of 3 to 7 members: they join, leave, are drained and get other weights, several at a time; and, in a
 * history with faults, are killed, restarted, stopped and cut off in every state, while packets are lost.
 */
export function runHistory(seed: number, kind: HistoryKind, steps = 12): HistoryResult {
  const cluster = new HandoverCluster(seed, TIMEOUT_MS, {
    minMs: 5,
    maxMs: 1500,
    hangRate: kind === 'faults' ? 0.05 : 0,
  })
  const { sim } = cluster
  const log: string[] = []
  let started = 0
  const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(sim.random() * list.length)]
  const say = (line: string) => {
    log.push(`${Math.round(sim.nowMs)} ${line}`)
  }
  const start = (name = `m${started++}`) => {
    say(`start ${name}`)
    cluster.start(name)
  }
  const fault = (what: string, line: string, forMs = 0) => {
    say(line)
    cluster.noteFault(what, forMs + AFTERMATH_MS)
  }
  const count = 3 + Math.floor(sim.random() * 3)
  for (let i = 0; i < count; i++) {
    start()
    sim.run(i === 0 ? 300 : 50)
  }
  sim.runUntil(() => cluster.isSettled(), 30_000)
  cluster.watch()

  /** Those that own keys and are to go on. */
  const remaining = () =>
    cluster.staying.filter(({ handover, own }) => handover.phase === undefined && own.drained !== true)
  const planned: Record<string, () => void> = {
    join: () => {
      if (cluster.staying.length < 8) start()
    },
    leave: () => {
      const member = pick(cluster.staying.filter(({ handover }) => handover.phase !== 'releasing'))
      if (member === undefined || remaining().length < 3) return
      say(`leave ${member.name}`)
      member.leave()
    },
    drain: () => {
      const member = pick(idle().filter(({ own }) => own.drained !== true))
      if (member === undefined || remaining().length < 3) return
      say(`drain ${member.name}`)
      member.drain()
    },
    return: () => {
      const member = pick(idle().filter(({ own }) => own.drained === true))
      if (member === undefined) return
      say(`return ${member.name}`)
      member.return()
    },
    weigh: () => {
      const member = pick(idle().filter(({ own }) => own.drained !== true))
      if (member === undefined) return
      const weight = 1 + Math.floor(sim.random() * 3)
      say(`weigh ${member.name} ${weight}`)
      member.weigh(weight)
    },
  }
  const idle = () =>
    cluster.staying.filter(({ handover, isFrozen }) => handover.phase === undefined && !isFrozen)
  /** Those in the midst of a move rather than others. */
  const pickVictim = (members: HandoverMember[]) => {
    const moving = members.filter(({ handover }) => handover.phase !== undefined)
    return pick(moving.length > 0 && sim.random() < 0.8 ? moving : members)
  }
  const faults: Record<string, () => void> = {
    kill: () => {
      const member = pickVictim(cluster.staying)
      if (member === undefined || cluster.staying.length < 3) return
      fault('crash', `kill ${member.name} (${member.handover.phase ?? 'owning'})`)
      member.kill()
      if (sim.random() < 0.5) {
        sim.clock.after(sim.random() * 6000, () => {
          fault('crash', `restart ${member.name}`)
          cluster.start(member.name, sim.random() < 0.5 ? member.sim.endpoint : undefined)
        })
      }
    },
    freeze: () => {
      const member = pickVictim(cluster.staying.filter(({ isFrozen }) => !isFrozen))
      if (member === undefined) return
      const forMs = 100 + sim.random() * 6000
      fault(
        'stall',
        `freeze ${member.name} (${member.handover.phase ?? 'owning'}) for ${Math.round(forMs)} ms`,
        forMs,
      )
      member.freeze()
      sim.clock.after(forMs, () => {
        say(`thaw ${member.name}`)
        member.thaw()
      })
    },
    partition: () => {
      const members = cluster.staying.map((member) => member.sim)
      const cut = 1 + Math.floor(sim.random() * (members.length - 1))
      const forMs = 200 + sim.random() * 12_000
      fault('partition', `partition ${cut} of ${members.length} for ${Math.round(forMs)} ms`, forMs)
      const [one, other] = [members.slice(0, cut), members.slice(cut)]
      sim.partition([one, other])
      sim.clock.after(forMs, () => {
        say('heal')
        sim.heal()
      })
    },
    loss: () => {
      const lossRate = 0.1 + sim.random() * 0.3
      const forMs = 3000 + sim.random() * 8000
      fault('loss', `lose ${Math.round(lossRate * 100)} % for ${Math.round(forMs)} ms`, forMs)
      sim.network.conditions = { ...BAD_LAN, lossRate }
      sim.clock.after(forMs, () => {
        say('lose nothing')
        sim.network.conditions = GOOD_LAN
      })
    },
  }
  const events =
    kind === 'faults'
      ? [...Object.values(planned), ...Object.values(planned), ...Object.values(faults)]
      : Object.values(planned)
  for (let step = 0; step < steps; step++) {
    pick(events)?.()
    sim.run(sim.random() < 0.5 ? sim.random() * 300 : sim.random() * 5000)
  }
  sim.run(13_000)
  say('quiet')
  const settledMs = sim.runUntil(() => cluster.isSettled(), QUIET_LIMIT_MS)
  cluster.look()
  return { seed, log, settledMs, overdue: cluster.overdue, gaps: [...cluster.gaps, ...cluster.openGaps] }
}

const BAD_LAN: Conditions = { ...GOOD_LAN, maxDelayMs: 40, reorderRate: 0.1, reorderDelayMs: 100 }
