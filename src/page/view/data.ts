import type { MembersAnswer, OwnersAnswer, RingAnswer, RingsAnswer } from '../../client/answers.ts'

export type Member = MembersAnswer['members'][number]
export type RingNode = RingAnswer['nodes'][number]

/** `GET /v1/changes`, of which events of `/v1/ring/watch` have the last, without digests. */
export interface ChangesAnswer {
  readonly changes: readonly (Change & { readonly before: string; readonly after: string })[]
}

type Change = NonNullable<RingAnswer['changes']>[number]

/** `GET /v1/plan`, as far as it is shown. */
export interface PlanAnswer {
  readonly movedShare: number
  readonly maxMeanBefore: number
  readonly maxMeanAfter: number
  readonly shares: readonly { readonly ringKey: string; readonly before: number; readonly after: number }[]
}

/** `GET /v1/agreement`. */
export interface AgreementAnswer {
  readonly agreed: boolean
  readonly askedAtMs: number
  readonly members: readonly {
    readonly name: string
    readonly url: string | null
    readonly verdict: string
    readonly digest: string | null
    readonly error: { readonly code: string; readonly message: string } | null
  }[]
}

/** The views, in the order of the navigation, by the last part of their path. */
export const VIEWS = {
  '': 'Overview',
  ring: 'Ring',
  members: 'Members',
  changes: 'Changes',
  plan: 'What if',
  rings: 'Rings',
} as const

export type View = keyof typeof VIEWS

/** Where a key lands. */
export interface LookUp {
  readonly key: string
  /** The owner and the next nodes; undefined where there was a problem. */
  readonly owners: OwnersAnswer['owners'] | undefined
  readonly problem: string | undefined
}

/** Everything that a page shows: answers of the routes under `/v1`. */
export interface PageData {
  readonly view: View
  /** `NAMESPACE/NAME` of the HashRing that is shown; undefined for the ring of the members themselves. */
  readonly ringName: string | undefined
  /** Whether there are rings that are known by name. */
  readonly hasRings: boolean
  /** Whether the port that serves the page takes actions of operators. */
  readonly actions: boolean
  readonly ring: RingAnswer
  readonly members: MembersAnswer
  readonly changes: ChangesAnswer
  /** Undefined before anybody was asked. */
  readonly agreement: AgreementAnswer | undefined
  readonly lookUp: LookUp | undefined
  readonly rings: RingsAnswer | undefined
  /** What a plan would move, or why there is no answer. */
  readonly planned: PlanAnswer | { readonly problem: string } | undefined
  /** What a member's row must contain to be shown; empty for all. */
  readonly filter: string
  /** Whether whoever looks has entered the token for actions. */
  readonly operating: boolean
  /** The time of day at the member that answers, in milliseconds since the Unix epoch. */
  readonly nowMs: number
}
