import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { HashRing } from '../../src/ring/hash-ring.ts'
import { TestProcess } from '../../test/support/child-process.ts'
import { freePort } from '../../test/support/free-port.ts'

/** How long an instance may take to start, to leave, or to have the ring that it should, in milliseconds. */
const PATIENCE_MS = 60_000

/** How long whoever spreads the requests takes to notice that an instance is about to end, in milliseconds. */
const ROTATION_MS = 300

/** One program of a {@link Fleet}. */
export interface Instance {
  readonly process: TestProcess
  /** `IP:PORT`, where it takes requests. */
  readonly ringKey: string
  readonly gossip: string
}

/**
 * Instances of a program of `examples/`, each a process, and the load balancer in front of them. A program prints one line of
 * JSON with its ports once it takes requests, and `ring of SIZE: DIGEST` on its error output at each change of its ring.
 */
export class Fleet implements AsyncDisposable {
  readonly #script: string
  readonly #env: Readonly<Record<string, string>>
  readonly #processes: TestProcess[] = []
  /** Those that run. */
  readonly living: Instance[] = []
  /** Those that new requests are sent to. */
  readonly rotation: Instance[] = []

  /** @param name - Of the program in `examples/`. */
  constructor(name: string, env: Readonly<Record<string, string>> = {}) {
    this.#script = new URL(`../../examples/${name}.ts`, import.meta.url).pathname
    // Members of another ring may look for one of theirs at a port that is now one of ours.
    this.#env = { ...env, LABEL: randomUUID() }
  }

  /** The ring that all instances should have. */
  get ring(): HashRing {
    return HashRing.of(this.living.map(({ ringKey }) => ({ ringKey, weight: 1 })))
  }

  /**
   * The rings that each instance has had, a line each: for a test that failed. One that nobody planned is there where a machine was
   * so busy that instances took another one for dead.
   */
  get history(): string {
    const ringsOf = ({ errLines }: TestProcess) =>
      errLines.filter((line) => line.startsWith('ring of ')).map((line) => line.slice('ring of '.length))
    return this.#processes.map((process, n) => `${n}. ${ringsOf(process).join(', ')}`).join('\n')
  }

  /** Starts one, and waits until it takes requests. */
  async start(port?: number): Promise<Instance> {
    const seeds = this.living.map(({ gossip }) => gossip).join(',')
    const process = new TestProcess([this.#script], {
      env: {
        ...this.#env,
        PORT: String(port ?? (await freePort())),
        ...(seeds === '' ? {} : { SEEDS: seeds }),
      },
    })
    this.#processes.push(process)
    const ports = await process.until(
      'the ports',
      () => process.events.find((fields) => typeof fields['gossipPort'] === 'number'),
      PATIENCE_MS,
    )
    const instance = {
      process,
      ringKey: `127.0.0.1:${String(ports['port'])}`,
      gossip: `127.0.0.1:${String(ports['gossipPort'])}`,
    }
    this.living.push(instance)
    this.rotation.push(instance)
    return instance
  }

  /** Ends one as Kubernetes does: it is told, and a little later gets no new requests. Resolves when it has ended. */
  async stop(instance: Instance): Promise<void> {
    instance.process.signal('SIGTERM')
    await sleep(ROTATION_MS)
    remove(this.rotation, instance)
    const { process } = instance
    const isOver = () => process.child.exitCode ?? process.child.signalCode ?? undefined
    const end = await process.until('its end', isOver, PATIENCE_MS)
    remove(this.living, instance)
    if (end !== 0) throw new Error(`an instance ended with ${end}:\n${process.err}`)
  }

  /** Kills one; the load balancer finds out by itself. */
  kill(instance: Instance): void {
    instance.process.signal('SIGKILL')
    remove(this.living, instance)
  }

  /** Resolves once every instance has the ring of all that run, without those that are `frozen`. */
  async settled(frozen: readonly Instance[] = []): Promise<void> {
    const awake = this.living.filter((instance) => !frozen.includes(instance))
    const { digest } = HashRing.of(awake.map(({ ringKey }) => ({ ringKey, weight: 1 })))
    for (const { process } of awake) {
      const hasIt = () => {
        const last = process.errLines.findLast((line) => line.startsWith('ring of '))
        return last?.endsWith(digest) === true ? true : undefined
      }
      await process.until(`the ring ${digest}`, hasIt, PATIENCE_MS)
    }
  }

  /** Takes an instance out of the rotation, or puts it back. */
  rotate(instance: Instance, isIn: boolean): void {
    remove(this.rotation, instance)
    if (isIn) this.rotation.push(instance)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process[Symbol.asyncDispose]()))
  }
}

function remove<T>(list: T[], element: T): void {
  const place = list.indexOf(element)
  if (place >= 0) list.splice(place, 1)
}
