import type { Clock } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import type { RingService } from '../service/ring-service.ts'
import { TokenBucket } from '../token-bucket.ts'
import type { ActingGuard } from './acting-guard.ts'
import { readParameters } from './parameters.ts'
import type { Readiness } from './readiness.ts'
import { asciiJson, jsonAnswer } from './respond.ts'
import { plainRoute, type Handler, type Route } from './route.ts'
import { isLiving } from '../membership/member.ts'

/** Members that one request has this one ask at most, and all requests in a second. */
export const MAX_PEERS = 50
const PEERS = { burst: 400, perSecond: 20 }

export interface ReportDeps {
  readonly ring: RingService
  readonly readiness: Readiness
  readonly guard: Pick<ActingGuard, 'unusableFiles'>
  readonly clock: Clock
  /** What this process is called, where it is no member. */
  readonly name: string
  readonly version: string
  /** The settings by the keys of the file; nothing secret. */
  readonly settings: Readonly<Record<string, unknown>>
}

/**
 * `/v1/report` and `/v1/reach` of the admin port: all that `ringman doctor` wants to know of a member. Which keys and label it
 * has is told by name, and to nobody at the look-up port.
 */
export function reportRoutes(deps: ReportDeps): Route[] {
  const { ring, readiness, guard, clock, version, settings } = deps
  const asked = new TokenBucket(PEERS)

  const report = async () => {
    const { source, ringKeyMode, manager } = ring
    const { ready, checks } = await readiness.evaluate()
    const { condition, ok, message } = ring.health()
    const answer = {
      name: source.selfName ?? deps.name,
      version,
      node: process.version,
      timeMs: Math.round(clock.wallNow()),
      uptimeMs: Math.round(ring.uptimeMs),
      source: source.kind,
      condition,
      ok,
      message,
      ready,
      failing: checks.filter((check) => !check.ok).map((check) => check.message),
      digest: manager.snapshot.ring.digest,
      nodes: manager.snapshot.ring.size,
      ringKey: ringKeyMode,
      settings,
      unusableFiles: [...(ring.control?.unusableFiles ?? []), ...guard.unusableFiles],
      gossip: ring.control?.report() ?? null,
      members: source.members.map(({ name, address, port, state, metadata }) => ({
        name,
        address,
        port,
        state,
        httpPort: metadata?.httpPort ?? null,
        adminPort: metadata?.adminPort ?? null,
        level: metadata?.level ?? 0,
        drained: metadata?.drained ?? false,
        weight: metadata === undefined ? null : (metadata.weight ?? 1),
      })),
    }
    return jsonAnswer(asciiJson(answer))
  }

  const reach: Handler = async (_, query) => {
    const given = readParameters(query, ['peers']).get('peers') ?? String(MAX_PEERS)
    const count = /^\d{1,3}$/.test(given) ? Number(given) : 0
    if (count < 1 || count > MAX_PEERS) {
      throw new RingmanError('PARAMETER_INVALID', `peers must be an integer from 1 to ${MAX_PEERS}`)
    }
    const { control, source } = ring
    const living = source.members.filter((member) => member.name !== source.selfName && isLiving(member))
    // Those behind it in the order of names: with few asked by each, all of them are asked by somebody.
    const at = living.findIndex(({ name }) => name > (source.selfName ?? ''))
    const peers = [...living.slice(Math.max(0, at)), ...living.slice(0, Math.max(0, at))].slice(0, count)
    if (control === undefined) return jsonAnswer('{"peers":[]}')
    if (!asked.tryTake(clock.now(), peers.length)) {
      throw new RingmanError('OVERLOADED', 'members ask each other only so often; try again in a few seconds')
    }
    const reached = await Promise.all(
      peers.map(async ({ name }) => ({ name, ...(await control.checkReach(name)) })),
    )
    return jsonAnswer(asciiJson({ peers: reached }))
  }

  return [plainRoute('/v1/report', report), { path: '/v1/reach', GET: reach }]
}
