import type { MemberConfig } from './member-settings.ts'
import { quoteGiven, type ConfigProblem } from './problem.ts'
import { flagOf, type Origin } from './setting.ts'

/** What the settings about Kubernetes must be together. */
export function checkKubernetes(
  member: MemberConfig,
  origins: Readonly<Record<string, Origin>>,
): ConfigProblem[] {
  const originOf = (property: string): Origin => origins[property] ?? { kind: 'default' }
  if (member.source === 'kubernetes') {
    const { kubernetesService, kubernetesSelector } = member
    if (kubernetesService !== undefined && kubernetesSelector !== undefined) {
      return [
        {
          key: 'kubernetesSelector',
          origin: originOf('kubernetesSelector'),
          given: quoteGiven(kubernetesSelector),
          message: 'either it or kubernetesService is allowed, and both are set',
        },
      ]
    }
    if (kubernetesService === undefined && kubernetesSelector === undefined) {
      return [
        {
          key: 'kubernetesService',
          origin: originOf('source'),
          given: quoteGiven(member.source),
          message: `this source needs kubernetesService (${flagOf('kubernetesService')}), the name of a Service, or kubernetesSelector (${flagOf('kubernetesSelector')})`,
        },
      ]
    }
    return []
  }
  if (member.kubernetesPodSelector !== undefined) return []
  const need = (property: string, given: unknown, what: string): ConfigProblem => ({
    key: 'kubernetesPodSelector',
    origin: originOf(property),
    given: quoteGiven(given),
    message: `${what} needs kubernetesPodSelector (${flagOf('kubernetesPodSelector')}), the labels of the pods`,
  })
  return [
    ...(member.kubernetesCheck ? [need('kubernetesCheck', true, 'the check')] : []),
    ...(member.seeds.some(({ kind }) => kind === 'pods') ? [need('seeds', 'pods:', 'the seed pods:')] : []),
  ]
}
