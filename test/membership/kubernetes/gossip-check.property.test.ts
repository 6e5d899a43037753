import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Pod } from '../../../src/kubernetes/pod-watch.ts'
import { silentLogger } from '../../../src/logger.ts'
import {
  GossipCheck,
  type CheckedGossip,
  type KnownPods,
} from '../../../src/membership/kubernetes/gossip-check.ts'
import type { Member } from '../../../src/membership/member.ts'
import { seededRandom } from '../../../lab/sim/seeded-random.ts'
import { fakeMember } from '../../support/fake-source.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

/** Runs, by default as many as take a second or two; on a busy machine as many as fit into the time. */
const RUNS = Number(process.env['KUBERNETES_RUNS'] ?? 300)
const LIMIT_MS = process.env['KUBERNETES_RUNS'] === undefined ? 10_000 : 1_000_000

interface WorldPod extends Pod {
  readonly labelled: boolean
}

/**
 * Pods, the processes in them, what gossip holds of the processes, and a watch that is behind: events reach it in their
 * order, but only when the test lets them. The API server itself always knows the truth, when it can be asked.
 */
class World implements CheckedGossip, KnownPods {
  readonly selfName = 'self'
  readonly objects = new Map<string, Pod>()
  readonly declared: string[] = []
  members: readonly Member[] = []
  away = false
  readonly #truth = new Map<string, WorldPod>()
  /** By name: the UID of the pod in which the process runs that gossip holds for living. */
  readonly #gossiping = new Map<string, string>()
  readonly #events: (() => void)[] = []
  readonly #listeners = new Set<() => void>()
  readonly #silent = new Set<string>()
  #made = 0

  subscribe(listener: (members: readonly Member[]) => void): () => void {
    const entry = () => {
      listener(this.members)
    }
    this.#listeners.add(entry)
    return () => {
      this.#listeners.delete(entry)
    }
  }

  /** What must never happen: the pod of the process at this place is there. */
  declareDead(name: string, address: string): boolean {
    const member = this.members.find((other) => other.name === name)
    if (member === undefined || member.address !== address || member.state !== 'alive') return false
    const uid = this.#gossiping.get(name)
    expect(
      this.#truth.get(name)?.uid,
      `${name} at ${address} was declared dead while its pod is there`,
    ).not.toBe(uid)
    this.declared.push(name)
    this.#setState(name, 'dead')
    return true
  }

  podUnready(name: string): void {
    throw new Error(`nobody is suspected here, and ${name} is no exception`)
  }

  async find(name: string): Promise<Pod | undefined> {
    await Promise.resolve()
    if (this.away) throw new Error('away')
    return this.#truth.get(name)
  }

  /** A new pod without an address, unless there is one of that name. */
  create(name: string): void {
    if (this.#truth.has(name)) return
    this.#made += 1
    this.#write(name, {
      name,
      uid: `u${this.#made}`,
      phase: 'Pending',
      terminating: false,
      ready: true,
      addresses: [],
      labelled: true,
    })
  }

  /** The pod's process begins to gossip; the API shows its address now, or (`early`) only with `show`. */
  run(name: string, sameAddress: boolean, early: boolean): void {
    const pod = this.#truth.get(name)
    if (pod === undefined || pod.addresses.length > 0 || this.#gossiping.get(name) === pod.uid) return
    const address = sameAddress ? '10.0.0.1' : `10.0.1.${this.#made}`
    this.#gossiping.set(name, pod.uid)
    this.#silent.delete(name)
    this.#put({ name, address, state: 'alive' })
    if (!early) this.show(name)
  }

  show(name: string): void {
    const pod = this.#truth.get(name)
    const member = this.members.find((other) => other.name === name)
    if (pod === undefined || member === undefined || this.#gossiping.get(name) !== pod.uid) return
    this.#write(name, { ...pod, phase: 'Running', addresses: [member.address] })
  }

  terminate(name: string): void {
    const pod = this.#truth.get(name)
    if (pod !== undefined) this.#write(name, { ...pod, terminating: true })
  }

  relabel(name: string): void {
    const pod = this.#truth.get(name)
    if (pod !== undefined) this.#write(name, { ...pod, labelled: false })
  }

  /** The pod is gone; gossip hears of it (`politely`) or not. */
  delete(name: string, politely: boolean): void {
    const pod = this.#truth.get(name)
    if (pod === undefined) return
    this.#truth.delete(name)
    this.#events.push(() => this.objects.delete(name))
    if (this.#gossiping.get(name) !== pod.uid) return
    this.#silent.add(name)
    if (politely) this.#setState(name, 'left')
  }

  /** Lets the watch hear the next `count` things. */
  hear(count: number): void {
    for (const event of this.#events.splice(0, count)) {
      event()
      for (const listener of this.#listeners) listener()
    }
  }

  /** Gossip holds for living whose pod is gone, though the watch once showed that pod at that address. */
  ghosts(everShown: ReadonlySet<string>): string[] {
    return this.members
      .filter(({ name, address, state }) => {
        const uid = this.#gossiping.get(name) ?? ''
        const gone = this.#truth.get(name)?.uid !== uid && this.#silent.has(name)
        return state === 'alive' && gone && everShown.has(`${name} ${uid} ${address}`)
      })
      .map(({ name }) => name)
  }

  #write(name: string, pod: WorldPod): void {
    this.#truth.set(name, pod)
    this.#events.push(() => {
      if (pod.labelled) this.objects.set(name, pod)
      else this.objects.delete(name)
    })
  }

  #setState(name: string, state: Member['state']): void {
    const member = this.members.find((other) => other.name === name)
    if (member !== undefined) this.#put({ name, address: member.address, state })
  }

  #put({ name, address, state }: Pick<Member, 'name' | 'address' | 'state'>): void {
    const others = this.members.filter((other) => other.name !== name)
    this.members = [...others, fakeMember(name, address, { state })]
    for (const listener of this.#listeners) listener()
  }
}

const name = fc.constantFrom('a', 'b')

const mostly = fc.constantFrom(true, true, false)

/** What happens, by name for counterexamples. */
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('create'), name }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('run'), name, same: mostly, early: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('replace'),
      name,
      same: mostly,
      early: fc.boolean(),
      hear: fc.nat(3),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('show'), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('terminate'), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('relabel'), name }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('delete'), name, politely: mostly.map((is) => !is) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('hear'), count: fc.constantFrom(1, 2, 20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('away'), away: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.constantFrom(10, 400, 800, 3000, 40_000) }),
  },
)

test(
  'nobody is declared dead whose pod is there, and everybody whose pod was seen and is gone',
  async () => {
    let declarations = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 20, maxLength: 80, size: 'max' }),
        fc.integer(),
        async (steps, seed) => {
          const clock = new VirtualClock()
          const world = new World()
          const check = new GossipCheck(
            { gossip: world, pods: world, clock, random: seededRandom(seed), logger: silentLogger },
            (error) => {
              broken = error
            },
          )
          let broken: unknown
          const everShown = new Set<string>()
          check.start()
          for (const what of steps) {
            switch (what.do) {
              case 'create':
                world.create(what.name)
                break
              case 'run':
                world.run(what.name, what.same, what.early)
                break
              case 'replace':
                // The pod goes by force and its successor begins at once, while the watch is somewhere in between.
                world.delete(what.name, false)
                world.create(what.name)
                world.hear(what.hear)
                world.run(what.name, what.same, what.early)
                break
              case 'show':
                world.show(what.name)
                break
              case 'terminate':
                world.terminate(what.name)
                break
              case 'relabel':
                world.relabel(what.name)
                break
              case 'delete':
                world.delete(what.name, what.politely)
                break
              case 'hear':
                for (let n = 0; n < what.count; n++) {
                  world.hear(1)
                  for (const { name: pod, uid, addresses } of world.objects.values()) {
                    const member = world.members.find((other) => other.name === pod)
                    if (
                      member !== undefined &&
                      addresses.includes(member.address) &&
                      member.state === 'alive'
                    ) {
                      everShown.add(`${pod} ${uid} ${member.address}`)
                    }
                  }
                }
                break
              case 'away':
                world.away = what.away
                break
              case 'wait':
                await clock.advance(what.ms)
                break
            }
            if (broken !== undefined) throw broken as Error
          }
          world.away = false
          world.hear(Infinity)
          await clock.advance(120_000)
          if (broken !== undefined) throw broken as Error
          // Of those that were relabelled before they went, nothing more is heard; and a successor without an address leaves
          // open where it will be. They are gossip's to find.
          const open = world.ghosts(everShown).filter((ghost) => {
            const relabelled = steps.some((what) => what.do === 'relabel' && what.name === ghost)
            const successor = world.objects.get(ghost)
            return !relabelled && (successor === undefined || successor.addresses.length > 0)
          })
          expect(open).toEqual([])
          declarations += world.declared.length
          await check.stop()
          expect(clock.pendingTimers).toBe(0)
        },
      ),
      {
        numRuns: RUNS,
        interruptAfterTimeLimit: LIMIT_MS,
        markInterruptAsFailure: false,
      },
    )
    expect(declarations).toBeGreaterThan(0)
  },
  LIMIT_MS + 10_000,
)
