import type { NodeView, RingAnswer } from '../client/answers.ts'
import { RingmanClient } from '../client/ringman-client.ts'
import type { ClientConfig } from '../config/client-settings.ts'
import { RingmanError } from '../errors.ts'
import type { GetConfig, PlanConfig } from './query-settings.ts'
import { renderBar, renderJson, renderShare, renderTable, type Terminal } from './terminal.ts'

/** Longest bar of `ringman ring`, in characters. */
const BAR_WIDTH = 40

/** What a query command gets. */
export interface QueryInput<Config extends ClientConfig> {
  readonly config: Config
  readonly terminal: Terminal
  readonly json: boolean
}

/** `ringman get`: one line per owner, ring key and address. */
export async function runGet(input: QueryInput<GetConfig> & { readonly key: string }): Promise<void> {
  const { config, terminal, json, key } = input
  const client = clientOf(config)
  if (config.count === 1) {
    const answer = await client.owner(key)
    terminal.out(json ? renderJson(answer) : renderOwners([answer.owner]))
  } else {
    const answer = await client.owners(key, config.count)
    terminal.out(json ? renderJson(answer) : renderOwners(answer.owners))
  }
}

/** `ringman nodes`: every member that the asked one knows. */
export async function runNodes({ config, terminal, json }: QueryInput<ClientConfig>): Promise<void> {
  const answer = await clientOf(config).members()
  if (json) {
    terminal.out(renderJson(answer))
    return
  }
  const nowMs = Date.now()
  const rows = answer.members.map((member) => [
    member.name,
    member.state,
    `${Math.max(0, Math.round((nowMs - member.stateSinceMs) / 1000))}s`,
    member.address,
    member.servicePort ?? '-',
    member.zone ?? '-',
  ])
  terminal.out(renderTable([['MEMBER', 'STATE', 'SINCE', 'ADDRESS', 'SERVICE PORT', 'ZONE'], ...rows], [2]))
}

/**
 * `ringman ring`: shares as bars, the longest first.
 *
 * @throws {RingmanError} `RING_EMPTY`, after it has printed what there is.
 */
export async function runRing({ config, terminal, json }: QueryInput<ClientConfig>): Promise<void> {
  const ring = await clientOf(config).ring()
  if (json) terminal.out(renderJson(ring))
  else if (ring.nodes.length > 0) terminal.out(renderRing(ring, terminal))
  if (ring.nodes.length === 0) throw new RingmanError('RING_EMPTY', 'no nodes in ring')
}
