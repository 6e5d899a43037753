import { Agent, get } from 'node:http'
import type { LimitedMember } from './attacked-cluster.ts'

const PAUSE_MS = 20
/** So long they wait for an answer on a quiet machine. */
const PATIENCE_MS = 10_000
/** Ends a question that hangs, however slow the machine is. */
const DEADLINE_MS = 100_000

/** What honest clients of one member saw. */
export interface Seen {
  readonly member: string
  asked: number
  /** Answers that were none: an error, a status other than 200, or too late. */
  failed: number
  /** The first failure, for the message of a test. */
  firstFailure: string | undefined
  worstMs: number
}

/**
 * Asks each member for owners without a pause to speak of: one client keeps its connection, one opens a new one each time.
 * A client tries a request once and waits 10 s for the answer, and as many times longer as the machine is slower.
 */
export class HonestClients {
  readonly seen: readonly Seen[]
  /** Waits of more than 10 s for an answer, for each member. */
  readonly #longMs: number[][]
  readonly #running: Promise<void>[]
  #stopped = false

  constructor(members: readonly LimitedMember[]) {
    this.seen = members.map(({ name }) => ({
      member: name,
      asked: 0,
      failed: 0,
      firstFailure: undefined,
      worstMs: 0,
    }))
    this.#longMs = members.map(() => [])
    this.#running = members.flatMap((member, i) => {
      const seen = this.seen[i] as Seen
      const longMs = this.#longMs[i] as number[]
      const keeping = new Agent({ keepAlive: true, maxSockets: 1 })
      return [this.#ask(member, seen, longMs, keeping), this.#ask(member, seen, longMs, undefined)]
    })
  }

  /** Ends the asking, on a machine that was so many times slower than a quiet one. */
  async stop(slowness: number): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
    for (const [i, seen] of this.seen.entries()) {
      const lateMs = this.#longMs[i]?.filter((ms) => ms > PATIENCE_MS * slowness) ?? []
      if (lateMs.length === 0) continue
      seen.failed += lateMs.length
      seen.firstFailure ??= `an answer after ${lateMs[0]} ms`
    }
  }

  async #ask(member: LimitedMember, seen: Seen, longMs: number[], agent: Agent | undefined): Promise<void> {
    while (!this.#stopped) {
      const startedMs = performance.now()
      const failure = await lookUp(member.httpPort, agent)
      seen.asked++
      const tookMs = performance.now() - startedMs
      seen.worstMs = Math.max(seen.worstMs, tookMs)
      if (failure !== undefined) {
        seen.failed++
        seen.firstFailure ??= failure
      } else if (tookMs > PATIENCE_MS) longMs.push(tookMs)
      await new Promise((wake) => setTimeout(wake, PAUSE_MS))
    }
    agent?.destroy()
  }
}

/** Asks for one owner; undefined when there was an answer, else what went wrong. */
function lookUp(port: number, agent: Agent | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = { host: '127.0.0.1', port, path: '/v1/owner?key=user:42', agent: agent ?? false }
    const request = get({ ...options, signal: AbortSignal.timeout(DEADLINE_MS) }, (response) => {
      response.resume()
      response.on('end', () => {
        resolve(response.statusCode === 200 ? undefined : `status ${response.statusCode}`)
      })
      response.on('error', (error) => {
        resolve(error.message)
      })
    })
    request.on('error', (error) => {
      resolve(error.message)
    })
  })
}
