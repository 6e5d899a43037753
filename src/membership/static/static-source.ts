import { isIP } from 'node:net'
import type { Clock } from '../../clock.ts'
import { configInvalid } from '../../errors.ts'
import { silentLogger, type Logger } from '../../logger.ts'
import { healthIn, type Condition, type SourceHealth } from '../condition.ts'
import { isPort } from '../../is-within.ts'
import { isWeight, listedMember, type ListedPlace } from '../member.ts'
import type { MembershipSource, SourceKind } from '../source.ts'
import { SourceBase } from '../source-base.ts'

/**
 * Parses `HOST:PORT[=WEIGHT]`; an IPv6 host is bracketed, `[::1]:8000`. The place is named `HOST:PORT`, there without
 * brackets.
 *
 * @throws {RingmanError} `CONFIG_INVALID`, saying what was given and what is allowed.
 */
export function parseStaticMember(text: string): ListedPlace {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<host>[^:=[\]\s]+)):(?<port>\d+)(?:=(?<weight>.*))?$/.exec(text)
  const { v6, host, port = '', weight = '1' } = match?.groups ?? {}
  const valid =
    (v6 === undefined ? host !== undefined : isIP(v6) === 6) &&
    isPort(port) &&
    /^\d+$/.test(weight) &&
    isWeight(Number(weight))
  if (!valid) {
    throw configInvalid(
      `"${text}" is not a member: HOST:PORT or HOST:PORT=WEIGHT is allowed (IPv6 as [::1]:8000, port 1 to 65535, weight 1 to 1000)`,
    )
  }
  const address = v6 ?? host ?? ''
  return { name: `${address}:${port}`, address, port: Number(port), weight: Number(weight) }
}

/** How a source tells of its list, which it neither follows nor checks. */
export interface StaticReport {
  readonly kind: SourceKind
  readonly condition: Condition
  readonly message: string
}

const CONFIGURED: StaticReport = {
  kind: 'static',
  condition: 'well',
  message: 'The list is fixed by configuration',
}

/** A list of members that never changes: configured, or taken from another process. This process is not one of them. */
export class StaticSource extends SourceBase implements MembershipSource {
  readonly selfName = undefined
  readonly #places: readonly ListedPlace[]
  readonly #clock: Clock
  readonly #report: StaticReport

  /** @param places - Of two with the same name the last one counts. */
  constructor(
    places: readonly ListedPlace[],
    clock: Clock,
    logger: Logger = silentLogger,
    report: StaticReport = CONFIGURED,
  ) {
    super(logger)
    this.#places = places
    this.#clock = clock
    this.#report = report
  }

  get kind(): SourceKind {
    return this.#report.kind
  }

  protected open(): Promise<void> {
    return Promise.resolve()
  }

  protected begin(): void {
    const nowMs = this.#clock.wallNow()
    const byName = new Map(this.#places.map((place) => [place.name, place]))
    this.set.publish(Array.from(byName.values(), (place) => listedMember(place, nowMs)))
  }

  protected close(): Promise<void> {
    return Promise.resolve()
  }

  health(): SourceHealth {
    const { condition, message } = this.#report
    return healthIn(condition, message, { members: this.set.current.length })
  }
}
