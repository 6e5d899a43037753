import { once } from 'node:events'
import { resolve } from 'node:path'
import { imageEnv } from '../../lab/image-env.ts'
import type { Held } from '../../lab/loop-meter.ts'
import { GOSSIP_PORT, HTTP_PORTS, TestProcess } from '../support/child-process.ts'
import { chartMemoryLimit, compile, MemoryLimit } from './memory-limit.ts'

const HELD_LOOP = resolve(import.meta.dirname, '../support/held-loop.ts')

/** Where a member can be reached. */
export interface Addresses {
  readonly name: string
  readonly httpPort: number
  readonly adminPort: number
  readonly gossipPort: number
}

/** A member as the image starts it, within the chart's memory limit. */
export class LimitedMember implements AsyncDisposable, Addresses {
  readonly name: string
  readonly process: TestProcess
  readonly memory: MemoryLimit
  httpPort = 0
  adminPort = 0
  gossipPort = 0

  constructor(name: string, program: string, args: readonly string[]) {
    this.name = name
    this.memory = new MemoryLimit(name, chartMemoryLimit())
    this.process = new TestProcess(
      [
        '--import',
        HELD_LOOP,
        program,
        'serve',
        '--name',
        name,
        '--log-format',
        'json',
        ...HTTP_PORTS,
        ...args,
      ],
      { ipc: true, prefix: this.memory.prefix, env: imageEnv() },
    )
  }

  get isRunning(): boolean {
    return this.process.child.exitCode === null && this.process.child.signalCode === null
  }

  async ready(): Promise<void> {
    const ready = (await this.process.event('ready')) as Record<'http' | 'admin' | 'gossip', { port: number }>
    this.httpPort = ready.http.port
    this.adminPort = ready.admin.port
    this.gossipPort = ready.gossip?.port ?? 0
  }

  /** The longest that its event loop was held since the last call, in milliseconds of processor time. */
  async heldMs(): Promise<number> {
    const { child } = this.process
    if (!this.isRunning) return Infinity
    const answer = once(child, 'message', { signal: AbortSignal.timeout(60_000) })
    child.send('look')
    const [{ cpuMs }] = (await answer) as [Held]
    return cpuMs
  }

  /** JSON of its look-up port. */
  async ask<T>(path: string): Promise<T> {
    const url = `http://127.0.0.1:${this.httpPort}${path}`
    const answer = await fetch(url, { signal: AbortSignal.timeout(5000) })
    return (await answer.json()) as T
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
    // The kernel lets the group go a moment after its last process.
    for (let tries = 0; ; tries++) {
      try {
        this.memory[Symbol.dispose]()
        return
      } catch (error) {
        if (tries === 1000) throw error
        await new Promise((wake) => setTimeout(wake, 50))
      }
    }
  }
}

/** Members that gossip on loopback, each within the chart's memory limit. */
export class AttackedCluster implements AsyncDisposable {
  readonly members: LimitedMember[] = []
  readonly #program = compile()
  readonly #args: readonly string[]

  /** @param args - Of every member: the keys of a keyed ring, say. */
  constructor(args: readonly string[]) {
    this.#args = args
  }

  /** Starts `count` members and waits until they hold one ring. */
  async start(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const member = this.newMember(`member-${i + 1}`, 8001 + i)
      this.members.push(member)
      await member.ready()
    }
    await this.settled(count)
  }

  /** Starts members again that an attack before has killed, so that each attack is judged by itself. */
  async revive(): Promise<void> {
    for (const [i, member] of this.members.entries()) {
      if (member.isRunning) continue
      await member[Symbol.asyncDispose]()
      const next = this.newMember(member.name, 8001 + i)
      this.members[i] = next
      await next.ready()
    }
    await this.settled()
  }

  /** One more member, which is not counted among {@link members}. */
  newMember(name: string, servicePort: number, more: readonly string[] = []): LimitedMember {
    const seeds = this.members
      .filter(({ isRunning }) => isRunning)
      .map((one) => `127.0.0.1:${one.gossipPort}`)
    const gossip = ['--source', 'memberlist', ...GOSSIP_PORT, '--ring-key', 'name']
    const join = ['--service-port', String(servicePort), '--seeds', seeds.join(',')]
    return new LimitedMember(name, this.#program, [...gossip, ...join, ...this.#args, ...more])
  }

  /**
   * Waits until every member shows the same ring of these members and nobody else, each at its own place.
   *
   * @returns Milliseconds that it took; Infinity when it did not come to that within `patienceMs`.
   */
  async settled(count = this.members.length, patienceMs = 20_000): Promise<number> {
    const startedMs = performance.now()
    const expected = this.members
      .slice(0, count)
      .map(({ name }, i) => `${name}=127.0.0.1:${8001 + i}`)
      .join(' ')
    for (;;) {
      const rings = await Promise.all(this.members.map((member) => ringOf(member).catch(() => 'no answer')))
      if (rings.every((ring) => ring === expected)) return performance.now() - startedMs
      if (performance.now() - startedMs > patienceMs) return Infinity
      await new Promise((wake) => setTimeout(wake, 100))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.members) await member[Symbol.asyncDispose]()
  }
}

async function ringOf(member: LimitedMember): Promise<string> {
  interface Node {
    readonly name: string
    readonly address: string
    readonly port: number
  }
  const { nodes } = await member.ask<{ nodes: Node[] }>('/v1/ring')
  return nodes.map(({ name, address, port }) => `${name}=${address}:${port}`).join(' ')
}
