import { Agent, get } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import type { MemberContainer } from '../../support/container-lab.ts'

/** How often an endpoint's readiness is asked, in milliseconds; the kubelet does it every few seconds. */
const PROBE_INTERVAL_MS = 250

/** How long a look-up may take before it counts as failed, in milliseconds. */
const LOOK_UP_DEADLINE_MS = 3000

/** Look-ups under way at once. */
const WORKERS = 4

/** Pause of a worker between two look-ups, in milliseconds. */
const PAUSE_MS = 4

/** A look-up that did not get what it should. */
export interface FailedLookUp {
  readonly endpoint: string
  readonly key: string
  readonly kept: boolean
  readonly why: string
}

interface Endpoint {
  readonly member: MemberContainer
  ready: boolean
  readonly agent: Agent
}

/**
 * A client that stands where kube-proxy and an application do. Look-ups go in turn to the endpoints whose `/readyz` was
 * 200 when it was last asked, every 250 ms; it is told nothing else, in particular not that a container is about to be
 * stopped, which Kubernetes would tell. Every other look-up opens a connection of its own, as kube-proxy spreads
 * connections; the ones between keep theirs open, as HTTP clients do, and those to an endpoint that is not ready any
 * more are dropped when idle. **Nothing is tried again**: whatever is not a 200 with an owner in time is a failed look-up,
 * and so is a moment without a ready endpoint.
 */
export class ServiceClient {
  readonly failures: FailedLookUp[] = []
  /** Answers so far by the address that gave them. */
  readonly answeredBy = new Map<string, number>()
  /** Answers so far by the owner that they named. */
  readonly owners = new Map<string, number>()
  /** Names of members that have ended; an answer that names one of them is a failed look-up. */
  readonly gone = new Set<string>()
  /** Longest time until an answer, in milliseconds. */
  slowestMs = 0
  #answered = 0
  #asked = 0
  readonly #endpoints = new Map<MemberContainer, Endpoint>()
  readonly #over = new AbortController()
  readonly #loops: Promise<void>[] = []

  get answered(): number {
    return this.#answered
  }

  /** Makes a member an endpoint; it gets look-ups once it is ready. */
  add(member: MemberContainer): void {
    const endpoint = { member, ready: false, agent: new Agent({ keepAlive: true }) }
    this.#endpoints.set(member, endpoint)
    this.#loops.push(this.#probe(endpoint))
  }

  /** Forgets a member that is no more. It must have become unready before: else look-ups to it have failed. */
  remove(member: MemberContainer): void {
    this.#endpoints.get(member)?.agent.destroy()
    this.#endpoints.delete(member)
  }

  /** Waits until every endpoint is ready, and starts the look-ups. */
  async start(): Promise<void> {
    while ([...this.#endpoints.values()].some(({ ready }) => !ready)) await wait(PROBE_INTERVAL_MS)
    for (let worker = 0; worker < WORKERS; worker++) this.#loops.push(this.#lookUp())
  }

  async stop(): Promise<void> {
    this.#over.abort()
    await Promise.all(this.#loops)
    for (const { agent } of this.#endpoints.values()) agent.destroy()
  }

  /** Each by itself: an address that is gone may keep whoever asks there waiting. */
  async #probe(endpoint: Endpoint): Promise<void> {
    while (!this.#over.signal.aborted && this.#endpoints.get(endpoint.member) === endpoint) {
      endpoint.ready = await endpoint.member.isReady()
      if (!endpoint.ready) for (const socket of idleSockets(endpoint.agent)) socket.destroy()
      await wait(PROBE_INTERVAL_MS)
    }
  }

  async #lookUp(): Promise<void> {
    while (!this.#over.signal.aborted) {
      const number = this.#asked++
      const key = `key-${number}`
      const kept = number % 2 === 0
      const ready = [...this.#endpoints.values()].filter((endpoint) => endpoint.ready)
      const endpoint = ready[number % ready.length]
      if (endpoint === undefined) {
        this.failures.push({ endpoint: 'none', key, kept, why: 'no endpoint is ready' })
      } else {
        const startedMs = performance.now()
        try {
          const owner = await ask(`${endpoint.member.url}/v1/owner?key=${key}`, kept ? endpoint.agent : false)
          if (this.gone.has(owner)) throw new Error(`the owner ${owner} has gone`)
          this.#answered++
          count(this.owners, owner)
          count(this.answeredBy, endpoint.member.address)
        } catch (error) {
          const why = error instanceof Error ? error.message : String(error)
          this.failures.push({ endpoint: endpoint.member.name, key, kept, why })
        }
        this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs)
      }
      await wait(PAUSE_MS)
    }
  }
}

function idleSockets(agent: Agent) {
  return Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? [])
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1)
}

/** One look-up, once. @returns The owner's name. */
function ask(url: string, agent: Agent | false): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent, signal: AbortSignal.timeout(LOOK_UP_DEADLINE_MS) }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.on('error', reject)
      response.on('end', () => {
        try {
          if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${body}`)
          const { owner } = JSON.parse(body) as { owner: { name: string } }
          resolve(owner.name)
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      })
    }).on('error', reject)
  })
}
