import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import type { RingPlanChange } from '../ring/plan.ts'
import type { NamedRing } from '../service/named-rings.ts'
import type { RingService } from '../service/ring-service.ts'
import type { AgreementRounds } from './agreement.ts'
import { memberAnswer } from './member-answer.ts'
import { asciiJson } from './respond.ts'
import { planner } from './ring-plans.ts'
import { CurrentView, type RingView } from './ring-view.ts'
import type { Turns } from './turns.ts'

/** What the routes under `/v1` tell of a ring as a whole, as JSON in ASCII: for these routes, and for the page. */
export class RingAnswers {
  readonly service: RingService
  readonly view: CurrentView
  readonly #name: string | undefined
  readonly #clock: Clock
  readonly #rounds: AgreementRounds
  readonly #plan: ReturnType<typeof planner>
  #agreement: { readonly round: unknown; readonly state: string; readonly json: string } | undefined

  constructor(
    service: RingService,
    deps: {
      /** The same ring where it is known by name. */
      readonly named: NamedRing | undefined
      readonly clock: Clock
      readonly rounds: AgreementRounds
    },
  ) {
    this.service = service
    this.view = new CurrentView(service, deps.named)
    this.#name = deps.named?.name
    this.#clock = deps.clock
    this.#rounds = deps.rounds
    this.#plan = planner(deps.clock)
  }

  /** @throws {RingmanError} `MANAGER_NOT_RUNNING`. */
  runningView(): RingView {
    if (this.service.manager.running) return this.view.get()
    throw new RingmanError('MANAGER_NOT_RUNNING', 'the ring manager is not running')
  }

  /** The time of day, in milliseconds since the Unix epoch. */
  wallNow(): number {
    return this.#clock.wallNow()
  }

  /** `/v1/ring`, whether the manager runs or not. */
  ring(): string {
    return this.view.get().ringJson(this.#clock.now())
  }

  /** `/v1/members`. */
  members(): string {
    const { source, ringKeyMode: mode } = this.service
    const { snapshot, state } = this.view.get()
    const members = source.members.map((member) =>
      asciiJson(memberAnswer(member, { snapshot, mode, selfName: source.selfName })),
    )
    const { condition, ok, message } = this.service.health()
    const health = asciiJson({ kind: source.kind, condition, ok, message })
    return `{"members":[${members.join(',')}],"source":${health},${state}}`
  }

  /** `/v1/changes`. */
  changes(): string {
    const changes = this.service.manager.recentChanges.flatMap(({ epoch, records }) =>
      records.map(({ digests, ...record }) => ({ epoch, ...record, ...digests })),
    )
    return `{"changes":${asciiJson(changes)},${this.view.get().state}}`
  }

  /** `/v1/plan`, as {@link planner}. @throws {RingmanError} `MANAGER_NOT_RUNNING`, `OVERLOADED`, `PLAN_INVALID`. */
  async plan(change: Required<RingPlanChange>, turns: Turns, socket: Socket): Promise<string | undefined> {
    return this.#plan(this.runningView(), change, turns, socket)
  }

  /** `/v1/agreement`: asks the other members, unless that was just done. @throws {RingmanError} `OVERLOADED`. */
  async agreement(): Promise<string> {
    await this.#rounds.refresh(this.service, this.#name)
    const last = this.lastAgreement()
    if (last !== undefined) return last
    throw new RingmanError('OVERLOADED', 'many wait already for what the others say; try again in a moment')
  }

  /** Asks them, unless that was just done, and waits for nothing. */
  askAgreement(): void {
    this.#rounds.ask(this.service, this.#name)
  }

  /** What they said the last time; undefined where nobody has been asked yet. */
  lastAgreement(): string | undefined {
    const { state } = this.view.get()
    const round = this.#rounds.roundOf(this.service)
    // A crowd that waited for a round is answered in one turn.
    if (this.#agreement?.round !== round || this.#agreement?.state !== state) {
      const last = this.#rounds.last(this.service)
      this.#agreement = last && { round, state, json: `${asciiJson(last).slice(0, -1)},${state}}` }
    }
    return this.#agreement?.json
  }
}
