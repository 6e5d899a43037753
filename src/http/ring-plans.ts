import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import { isWeight, WEIGHT_LIMIT } from '../membership/member.ts'
import { weightBoundOf } from '../membership/placement.ts'
import type { HashRing } from '../ring/hash-ring.ts'
import { compareRingKeys, type RingNode } from '../ring/node.ts'
import { planInSteps, type RingMove, type RingPlanChange } from '../ring/plan.ts'
import { finish, type Steps } from '../ring/steps.ts'
import { TokenBucket } from '../token-bucket.ts'
import type { HttpLimits } from './limits.ts'
import { shorten } from './parameters.ts'
import { asciiJson } from './respond.ts'
import type { RingView } from './ring-view.ts'
import type { Turns } from './turns.ts'

/** The parameters that say what a plan changes. They may be repeated. */
export const PLAN_PARAMETERS = ['leave', 'join', 'weight']

/** Nodes that plans may go over in a second, and at once; a plan of 1,000 nodes takes up to 0.1 s, in turns. */
const PLANNED_NODES = { burst: 4000, perSecond: 2000 }

/** Plans of so few nodes cost too little to be counted. */
const SMALL_PLAN_NODES = 50

/** The answer repeats ring keys many times. No member's is nearly so long. */
const MAX_ENTRY_LENGTH = 600

/**
 * Plans of one ring, for `/v1/plan` and for the page, so many in a second: a function that gives what `/v1/plan` answers. A large
 * plan is made one step in each turn of the event loop, one plan at a time.
 *
 * It gives undefined where nobody is left to answer, and throws `OVERLOADED`, `PLAN_INVALID`.
 */
export function planner(clock: Clock) {
  const planned = new TokenBucket(PLANNED_NODES)
  return async (
    { snapshot, state }: RingView,
    change: Required<RingPlanChange>,
    turns: Turns,
    socket: Socket,
  ): Promise<string | undefined> => {
    const { leave, join, reweight } = change
    const nodes = snapshot.ring.size + leave.length + join.length + reweight.length
    // A plan of a ring beyond the bound waits for all of it.
    const cost = nodes <= SMALL_PLAN_NODES ? 0 : Math.min(nodes, PLANNED_NODES.burst)
    if (!planned.tryTake(clock.now(), cost)) {
      throw new RingmanError(
        'OVERLOADED',
        'a ring of this size answers only a few plans in a second; try again in a moment',
      )
    }
    const steps = planJson(snapshot.ring, boundWeights(snapshot.ring, change), state)
    if (nodes <= SMALL_PLAN_NODES) return finish(steps)
    await turns.begin(socket)
    let step = steps.next()
    for (; step.done !== true; step = steps.next()) {
      if (socket.destroyed) return undefined
      await turns.goOn()
    }
    return step.value
  }
}

/** The same change with the weights that the ring would then have: members may say more than what counts. */
function boundWeights(ring: HashRing, { leave, join, reweight }: Required<RingPlanChange>): RingPlanChange {
  const after = new Map(ring.nodes.map((node) => [node.ringKey, node]))
  for (const ringKey of leave) after.delete(ringKey)
  for (const node of [...reweight, ...join]) after.set(node.ringKey, node)
  const most = weightBoundOf([...after.values()])
  const bound = <Node extends { readonly weight: number }>(node: Node): Node => ({
    ...node,
    weight: Math.min(node.weight, most),
  })
  const named = new Set([...leave, ...reweight.map(({ ringKey }) => ringKey)])
  const others = ring.nodes.filter(({ ringKey, weight }) => weight > most && !named.has(ringKey))
  return { leave, join: join.map(bound), reweight: [...reweight, ...others].map(bound) }
}

/** What `/v1/plan` answers; `state` is what stands in each answer of this ring. */
function* planJson(ring: HashRing, change: RingPlanChange, state: string): Steps<string> {
  const { sharesBefore, sharesAfter, moves, maxMeanBefore, maxMeanAfter, ...rest } = yield* planInSteps(
    ring,
    change,
  )
  const ringKeys = [...new Set([...sharesBefore.keys(), ...sharesAfter.keys()])].sort(compareRingKeys)
  const shares = ringKeys.map((ringKey) => ({
    ringKey,
    before: sharesBefore.get(ringKey) ?? 0,
    after: sharesAfter.get(ringKey) ?? 0,
  }))
  const first = asciiJson(rest).slice(0, -1)
  const last = asciiJson({ maxMeanBefore, maxMeanAfter, shares }).slice(1, -1)
  return `${first},"moves":[${yield* movesJson(moves)}],${last},${state}}`
}

/** There may be a hundred thousand. */
function* movesJson(moves: readonly RingMove[]): Steps<string> {
  let json = ''
  for (let at = 0; at < moves.length; at += MOVES_PER_STEP) {
    if (at > 0) yield
    json += (at > 0 ? ',' : '') + asciiJson(moves.slice(at, at + MOVES_PER_STEP)).slice(1, -1)
  }
  return json
}

const MOVES_PER_STEP = 2000

/**
 * The change that a query describes by {@link PLAN_PARAMETERS}, which are comma lists: `leave=RINGKEY,…`, `join=RINGKEY[=WEIGHT],…`,
 * `weight=RINGKEY=WEIGHT,…`. An entry's last equals sign parts ring key and weight.
 *
 * @throws {RingmanError} `PARAMETER_INVALID`.
 */
export function readPlan(
  parameters: ReadonlyMap<string, string>,
  { maxPlannedNodes }: HttpLimits,
): Required<RingPlanChange> {
  const leave = listOf(parameters.get('leave'))
  const join = listOf(parameters.get('join')).map(parseJoin)
  const reweight = listOf(parameters.get('weight')).map(parseReweight)
  const named = leave.length + join.length + reweight.length
  if (named > maxPlannedNodes) {
    throw new RingmanError(
      'PARAMETER_INVALID',
      `the plan names ${named} nodes; at most ${maxPlannedNodes} are allowed`,
      { detail: { limit: maxPlannedNodes } },
    )
  }
  return { leave, join, reweight }
}

function listOf(value: string | undefined): string[] {
  const entries = value === undefined ? [] : value.split(',').filter((entry) => entry !== '')
  const long = entries.find(({ length }) => length > MAX_ENTRY_LENGTH)
  if (long === undefined) return entries
  throw new RingmanError(
    'PARAMETER_INVALID',
    `a plan takes ring keys of at most ${MAX_ENTRY_LENGTH} characters, got ${shorten(long)}`,
  )
}

function parseJoin(entry: string): RingNode {
  const { ringKey, weight = 1 } = parseEntry('join', entry)
  return { ringKey, weight }
}

function parseReweight(entry: string): { readonly ringKey: string; readonly weight: number } {
  const { ringKey, weight } = parseEntry('weight', entry)
  if (weight !== undefined) return { ringKey, weight }
  throw new RingmanError('PARAMETER_INVALID', `weight takes RINGKEY=WEIGHT, got ${shorten(entry)}`)
}

function parseEntry(parameter: string, entry: string) {
  const equals = entry.lastIndexOf('=')
  if (equals === -1) return { ringKey: entry, weight: undefined }
  const text = entry.slice(equals + 1)
  const weight = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (isWeight(weight)) return { ringKey: entry.slice(0, equals), weight }
  throw new RingmanError(
    'PARAMETER_INVALID',
    `${parameter} takes weights from 1 to ${WEIGHT_LIMIT}, got ${shorten(entry)}`,
  )
}
