import { RingmanError } from '../errors.ts'
import type { RingNode } from '../ring/node.ts'
import type { RingPlanChange } from '../ring/plan.ts'
import { isWeight, WEIGHT_LIMIT } from '../membership/member.ts'
import type { HttpLimits } from './limits.ts'
import { readParameters, shorten } from './parameters.ts'

/** The answer repeats ring keys many times. No member's is nearly so long. */
const MAX_ENTRY_LENGTH = 600

const LISTS = ['leave', 'join', 'weight']

/**
 * The change that a query of `/v1/plan` describes, in comma lists, which may be repeated: `leave=RINGKEY,…`, `join=RINGKEY[=WEIGHT],…`,
 * `weight=RINGKEY=WEIGHT,…`. An entry's last equals sign parts ring key and weight.
 *
 * @throws {RingmanError} `PARAMETER_INVALID`.
 */
export function parsePlanQuery(query: string, { maxPlannedNodes }: HttpLimits): Required<RingPlanChange> {
  const parameters = readParameters(query, LISTS, LISTS)
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
  const { ringKey, weight } = splitWeight(entry)
  return { ringKey, weight: weight === undefined ? 1 : checkWeight('join', entry, weight) }
}

function parseReweight(entry: string): { readonly ringKey: string; readonly weight: number } {
  const { ringKey, weight } = splitWeight(entry)
  if (weight === undefined) {
    throw new RingmanError('PARAMETER_INVALID', `weight takes RINGKEY=WEIGHT, got ${shorten(entry)}`)
  }
  return { ringKey, weight: checkWeight('weight', entry, weight) }
}

function splitWeight(entry: string): { readonly ringKey: string; readonly weight: string | undefined } {
  const equals = entry.lastIndexOf('=')
  return equals === -1
    ? { ringKey: entry, weight: undefined }
    : { ringKey: entry.slice(0, equals), weight: entry.slice(equals + 1) }
}

function checkWeight(parameter: string, entry: string, text: string): number {
  const weight = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (isWeight(weight)) return weight
  throw new RingmanError(
    'PARAMETER_INVALID',
    `${parameter} takes weights from 1 to ${WEIGHT_LIMIT}, got ${shorten(entry)}`,
  )
}
