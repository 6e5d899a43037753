import { Agent, request } from 'node:http'
import type { MonitoredPod } from './monitored-cluster.ts'

/** Look-ups for each pod and second. */
const RATE = 20
/** A pod that is frozen must not hold up those who ask the others. */
const TIMEOUT_MS = 500

/** Asks all pods for owners all the time, by every route, as callers behind a Service do. */
export class LookUpLoad implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 4 })
  readonly #timer: NodeJS.Timeout
  #count = 0

  /** @param pods - The pods as they are at the moment of a request. */
  constructor(pods: () => readonly MonitoredPod[]) {
    this.#timer = setInterval(() => {
      for (const { httpUrl } of pods()) this.#ask(httpUrl)
    }, 1_000 / RATE)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#agent.destroy()
  }

  #ask(url: string): void {
    this.#count += 1
    const key = `user:${this.#count % 10_000}`
    switch (this.#count % 20) {
      case 0:
        this.#send(
          `${url}/v1/owners`,
          JSON.stringify({ keys: Array.from({ length: 50 }, (_, i) => `${key}:${i}`) }),
        )
        break
      case 1:
        this.#send(`${url}/v1/owners?n=2&key=${key}`)
        break
      case 2:
        this.#send(`${url}/hashring/nodes/get?key=${key}`)
        break
      case 3:
        // Some callers make mistakes.
        this.#send(`${url}/v1/owner`)
        break
      default:
        this.#send(`${url}/v1/owner?key=${key}`)
    }
  }

  #send(url: string, body?: string): void {
    const sent = request(url, {
      agent: this.#agent,
      timeout: TIMEOUT_MS,
      ...(body === undefined ? {} : { method: 'POST', headers: { 'Content-Type': 'application/json' } }),
    })
    sent.on('timeout', () => sent.destroy())
    // Pods come and go here, and do not answer while they are frozen.
    sent.on('error', () => {})
    sent.on('response', (response) => response.resume())
    sent.end(body)
  }
}
