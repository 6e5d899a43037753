import { WEIGHT_SPAN, weightBoundOf } from '../membership/placement.ts'
import { found, list, mostFrequent, namesOf, quote, type Finding } from './doctor-finding.ts'
import type { SurveyedMember } from './doctor-survey.ts'

interface Weighed {
  readonly name: string
  readonly weight: number
  /** That of its configuration. */
  readonly configured: number
}

/** Members that own more or less than the others because of their weight, or than they will after a restart. */
export function weights(members: readonly SurveyedMember[]): Finding[] {
  const all = members.flatMap(({ report: { name, settings, members: known } }): Weighed[] => {
    const { weight = null, drained = false } = known.find((one) => one.name === name) ?? {}
    return weight === null || drained ? [] : [{ name, weight, configured: Number(settings['weight'] ?? 1) }]
  })
  const bound = weightBoundOf(all)
  const capped = all.filter(({ weight }) => weight > bound)
  const byHand = all.filter(({ weight, configured }) => weight !== configured)
  const usual = Number(mostFrequent(all.map(({ weight }) => String(weight))))
  const odd = all.filter((one) => one.weight !== usual && !byHand.includes(one))
  return [
    ...found('WEIGHT_CAPPED', 'warning', namesOf(capped), {
      summary: `${eachHas(capped)}, and ${capped.length > 1 ? 'count' : 'counts'} for ${bound}.`,
      meaning: `No weight counts for more than ${WEIGHT_SPAN} times the median of all.`,
      advice: 'Give the members weights that are nearer to each other.',
    }),
    ...found('WEIGHTS_DIFFER', 'note', namesOf(odd), {
      summary: `${eachHas(odd)}, and most others ${usual}.`,
      meaning: 'Each member owns keys in proportion to its weight.',
      advice: 'If that is not meant so, start them with the same --weight.',
    }),
    ...found('WEIGHT_BY_HAND', 'note', namesOf(byHand), {
      summary: `${list(byHand.map(({ name, weight, configured }) => `${quote(name)} has the weight ${weight} by hand, and ${configured} once it is restarted`))}.`,
      meaning: 'Somebody gave it by `ringman weight`; keys move again when the member is restarted.',
      advice: 'To keep it, set --weight; to undo it, `ringman weight` with the other one.',
    }),
  ]
}

function eachHas(weighed: readonly Weighed[]): string {
  return list(
    weighed.map(({ name, weight }, at) => `${quote(name)} ${at === 0 ? 'has ' : ''}the weight ${weight}`),
  )
}
