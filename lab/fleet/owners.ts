import type { HashRing } from '../../src/ring/hash-ring.ts'
import type { Answer, Probe } from './load.ts'

/** What the answers to requests during one change of the ring say about who answered as an owner. */
export interface Owners {
  /** Keys that were asked for before and after they moved. */
  readonly movedKeys: number
  /** Those of them whose new owner had the value when it was first asked. */
  readonly warmKeys: number
  /** Answers by the owner before, after the owner of now had already answered for one of the keys that moved with it. */
  readonly doubleAnswers: number
  /** From the first to the last time that both of them answered, in milliseconds: the longest of all pairs. */
  readonly doubleMs: number
  /** Answers by an instance, as the owner, that owned the key on neither ring. */
  readonly strangers: readonly Answer[]
}

/**
 * Reads from answers who acted as an owner while one ring became the next. All keys that move from one instance to another do so
 * at once, so they are looked at together: few requests then say much.
 */
export function findOwners(before: HashRing, after: HashRing, answers: readonly Answer[]): Owners {
  const moved = before.movedTo(after)
  const byPair = new Map<string, { old: Answer[]; first: Map<string, Answer> }>()
  const strangers: Answer[] = []
  for (const answer of answers.filter(({ isOwner }) => isOwner).sort((a, b) => a.atMs - b.atMs)) {
    const { key, by } = answer
    const from = before.ownerOf(key)?.ringKey
    const to = after.ownerOf(key)?.ringKey
    if (by !== from && by !== to) strangers.push(answer)
    if (!moved.contains(key)) continue
    const pair = `${from} ${to}`
    const seen = byPair.get(pair) ?? { old: [], first: new Map<string, Answer>() }
    byPair.set(pair, seen)
    if (by === from) seen.old.push(answer)
    else if (by === to && !seen.first.has(key)) seen.first.set(key, answer)
  }
  let [movedKeys, warmKeys, doubleAnswers, doubleMs] = [0, 0, 0, 0]
  for (const { old, first } of byPair.values()) {
    const firsts = [...first.values()]
    const sinceMs = Math.min(...firsts.map(({ atMs }) => atMs))
    const late = old.filter(({ atMs }) => atMs > sinceMs)
    doubleAnswers += late.length
    doubleMs = Math.max(doubleMs, ...late.map(({ atMs }) => atMs - sinceMs))
    movedKeys += firsts.length
    warmKeys += firsts.filter(({ hit }) => hit).length
  }
  return { movedKeys, warmKeys, doubleAnswers, doubleMs, strangers }
}

/** The hit rate of each `size` answers in their order, as a fraction. */
export function hitRates(answers: readonly Answer[], size: number): number[] {
  const rates: number[] = []
  for (let from = 0; from + size <= answers.length; from += size) {
    rates.push(answers.slice(from, from + size).filter(({ hit }) => hit).length / size)
  }
  return rates
}

/** Keys that move, and both of their owners: asked again and again, they show how long both act as such. */
export function probesOf(before: HashRing, after: HashRing, keys: readonly string[]): Probe[] {
  const moved = before.movedTo(after)
  const pairs = new Set<string>()
  const probes: Probe[] = []
  for (const key of keys) {
    const { from, to } = moved.find(key) ?? {}
    if (from === undefined || to === undefined || pairs.size >= PROBED_PAIRS) continue
    const pair = `${from.ringKey} ${to.ringKey}`
    if (pairs.has(pair)) continue
    pairs.add(pair)
    probes.push({ key, at: from.ringKey }, { key, at: to.ringKey })
  }
  return probes
}

/** Pairs of owners that are probed at a time: with more of them each is asked less often. */
const PROBED_PAIRS = 3
