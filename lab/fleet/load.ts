import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fleet } from './fleet.ts'

/** An instance's answer to one request. */
export interface Answer {
  readonly key: string
  /** The ring key of the instance that gave it. */
  readonly by: string
  /** Whether that one answered as the owner of the key, and not in the place of one that it could not reach. */
  readonly isOwner: boolean
  /** Whether it had the value. */
  readonly hit: boolean
  /** When it took the request up, in milliseconds of the wall clock that all instances share. */
  readonly atMs: number
}

/** Reads an answer. @throws when it is wrong. */
export type Check = (key: string, body: string) => Answer

export interface LoadOptions {
  readonly fleet: Fleet
  /** Before the key in the path. */
  readonly path: string
  readonly keys: readonly string[]
  readonly perSecond: number
  readonly random: () => number
  readonly check: Check
}

/** Between two batches of requests, in milliseconds. */
const TICK_MS = 20

/** Most requests at a time: what is over it is left out, as it would only measure the machine. */
const AT_A_TIME = 100

/** Of each batch. */
const PROBES_PER_TICK = 1

/** Times that a request is sent to another instance, where that is allowed. */
const RESENDS = 3

/** A question to one instance: whether it acts as the owner of a key. */
export interface Probe {
  readonly key: string
  /** The ring key of the instance. */
  readonly at: string
}

/**
 * So many requests in a second and their answers: each key once, then keys by chance, to the instances in turn. A client
 * that loses its connection may be allowed to ask another instance, as a browser or a load balancer does.
 */
export class Load {
  readonly answers: Answer[] = []
  /** What went wrong: a status that is not 200, a wrong answer, a broken connection. */
  readonly failures: string[] = []
  /** Asked again and again in turns. One that fails, as the instance is gone, counts for nothing: it is nobody's request. */
  probes: readonly Probe[] = []
  /** Answers to {@link probes}. */
  readonly probed: Answer[] = []
  /** Requests that were sent to another instance, because the first one did not answer. */
  resent = 0
  /**
   * Milliseconds after which a client gives an instance up and asks the next one, also when its connection broke. 0: it waits
   * for half a minute, and asks nobody else.
   */
  patienceMs = 0
  readonly #options: LoadOptions
  // An instance closes idle connections after five seconds: none is used that it may just close.
  readonly #agent = new Agent({ keepAlive: true, timeout: 1000 })
  readonly #underWay = new Set<Promise<void>>()
  #isOver = false
  #sent = 0
  #turn = 0
  readonly #running: Promise<void>

  constructor(options: LoadOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  /** Resolves when as many more answers, or failures, have come. */
  async more(count: number): Promise<void> {
    const end = this.answers.length + this.failures.length + count
    while (this.answers.length + this.failures.length < end && !this.#isOver) await sleep(TICK_MS)
  }

  /** Sends no more requests, and waits for those under way. */
  async end(): Promise<void> {
    this.#isOver = true
    await this.#running
    await Promise.all(this.#underWay)
    this.#agent.destroy()
  }

  async #run(): Promise<void> {
    const { keys, perSecond, random } = this.#options
    let dueMs = performance.now()
    for (let tick = 0; !this.#isOver; tick++) {
      await sleep(TICK_MS)
      for (let n = 0; n < PROBES_PER_TICK; n++) void this.#probe(PROBES_PER_TICK * tick + n)
      // After a stall it goes on at its rate, and catches up on nothing.
      const nowMs = performance.now()
      dueMs = Math.max(dueMs, nowMs - 5 * TICK_MS)
      for (; dueMs < nowMs; dueMs += 1000 / perSecond) {
        if (this.#underWay.size >= AT_A_TIME) continue
        const place = this.#sent < keys.length ? this.#sent : Math.floor(random() * keys.length)
        this.#sent++
        const asking = this.#ask(keys[place] ?? '').finally(() => {
          this.#underWay.delete(asking)
        })
        this.#underWay.add(asking)
      }
    }
  }

  async #ask(key: string): Promise<void> {
    const { fleet, path, check } = this.#options
    for (let left = RESENDS; ; left--) {
      const { ringKey } = fleet.rotation[this.#turn++ % fleet.rotation.length] ?? { ringKey: 'nobody' }
      try {
        const body = await this.#get(`http://${ringKey}${path}${key}`, this.patienceMs || 30_000)
        this.answers.push(check(key, body))
        return
      } catch (error) {
        // Whether it may ask another one is what counts now: it may have been under way when that was allowed.
        if (error instanceof WrongAnswer || this.patienceMs === 0 || left === 0) {
          this.failures.push(`${key} at ${ringKey}: ${String(error)}`)
          return
        }
        this.resent++
      }
    }
  }

  async #probe(turn: number): Promise<void> {
    const { key, at } = this.probes[turn % this.probes.length] ?? {}
    if (key === undefined) return
    const { path, check } = this.#options
    try {
      this.probed.push(check(key, await this.#get(`http://${at}${path}${key}`, 30_000)))
    } catch (error) {
      if (error instanceof WrongAnswer) this.failures.push(`${key} at ${at}: ${String(error)}`)
    }
  }

  #get(url: string, timeoutMs: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(timeoutMs)
      get(url, { agent: this.#agent, signal }, (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (text: string) => (body += text))
        response.once('error', reject)
        response.once('end', () => {
          if (response.statusCode === 200) resolve(body)
          else reject(new WrongAnswer(`${response.statusCode} ${body}`))
        })
      }).once('error', (error) => {
        reject(signal.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error)
      })
    })
  }
}

/** It came, and is not what was asked for: no other instance is asked. */
export class WrongAnswer extends Error {
  override readonly name = 'WrongAnswer'
}
