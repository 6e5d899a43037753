import { isIP } from 'node:net'
import type { Clock } from '../../clock.ts'
import { RingmanError } from '../../errors.ts'
import { silentLogger, type Logger } from '../../logger.ts'
import { healthIn, type SourceHealth } from '../condition.ts'
import { DEFAULT_VERSIONS, encodeMetadata, isServicePort, isWeight, type Member } from '../member.ts'
import type { MembershipSource } from '../source.ts'
import { SourceBase } from '../source-base.ts'

/** One member of a fixed list. */
export interface StaticMember {
  /** IP literal without brackets, or a host name. */
  readonly host: string
  /** The application's port, 1 to 65535. */
  readonly port: number
  /** Integer 1 to 1000. @default 1 */
  readonly weight?: number
}

/**
 * Parses `HOST:PORT[=WEIGHT]`; an IPv6 host is bracketed, `[::1]:8000`.
 *
 * @throws {RingmanError} `CONFIG_INVALID`, saying what was given and what is allowed.
 */
export function parseStaticMember(text: string): StaticMember {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<host>[^:=[\]\s]+)):(?<port>\d+)(?:=(?<weight>.*))?$/.exec(text)
  const { v6, host, port = '', weight = '1' } = match?.groups ?? {}
  const valid =
    (v6 === undefined ? host !== undefined : isIP(v6) === 6) &&
    isServicePort(port) &&
    /^\d+$/.test(weight) &&
    isWeight(Number(weight))
  if (!valid) {
    throw new RingmanError(
      'CONFIG_INVALID',
      `"${text}" is not a member: HOST:PORT or HOST:PORT=WEIGHT is allowed (IPv6 as [::1]:8000, port 1 to 65535, weight 1 to 1000)`,
    )
  }
  return { host: v6 ?? host ?? '', port: Number(port), weight: Number(weight) }
}

/**
 * A list of members that never changes: for look-ups from outside a cluster, and for tests. This process is not
 * one of them. Each member is named `HOST:PORT`.
 */
export class StaticSource extends SourceBase implements MembershipSource {
  readonly kind = 'static'
  readonly selfName = undefined
  readonly #list: readonly StaticMember[]
  readonly #clock: Clock

  /** @param members - At least one; of two with the same host and port the last one counts. */
  constructor(members: readonly StaticMember[], clock: Clock, logger: Logger = silentLogger) {
    super(logger)
    this.#list = members
    this.#clock = clock
  }

  protected open(): Promise<void> {
    return Promise.resolve()
  }

  protected begin(): void {
    const stateSinceMs = this.#clock.wallNow()
    const members = new Map<string, Member>()
    for (const { host, port, weight } of this.#list) {
      const metadata = { servicePort: String(port), ...(weight === undefined ? {} : { weight }) }
      const name = `${host}:${port}`
      members.set(name, {
        name,
        address: host,
        port: 0,
        state: 'alive',
        stateSinceMs,
        meta: encodeMetadata(metadata),
        metadata,
        versions: DEFAULT_VERSIONS,
      })
    }
    this.set.publish(members.values())
  }

  leave(): Promise<void> {
    return Promise.resolve()
  }

  protected close(): Promise<void> {
    return Promise.resolve()
  }

  health(): SourceHealth {
    return healthIn('well', 'The list is fixed by configuration', { members: this.set.current.length })
  }
}
