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
    this.#running = members.flatMap((member, i) => {
      const seen = this.seen[i] as Seen
      const keeping = new Agent({ keepAlive: true, maxSockets: 1 })
      return [this.#ask(member, seen, keeping), this.#ask(member, seen, undefined)]
    })
  }

  /** Ends the asking, on a machine that was so many times slower than a quiet one. */
  async stop(slowness: number): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#running)
    for (const seen of this.seen) {
      if (seen.worstMs <= PATIENCE_MS * slowness) continue
      seen.failed++
      seen.firstFailure ??= `an answer after ${seen.worstMs} ms`
    }
  }

  async #ask(member: LimitedMember, seen: Seen, agent: Agent | undefined): Promise<void> {
    while (!this.#stopped) {
      const startedMs = performance.now()
      const failure = await lookUp(member.httpPort, agent)
      seen.asked++
      seen.worstMs = Math.max(seen.worstMs, performance.now() - startedMs)
      if (failure !== undefined) {
        seen.failed++
        seen.firstFailure ??= failure
      }
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
