import { atOnce } from '../at-once.ts'
import type { Basics } from '../basics.ts'
import { sleep } from '../clock.ts'
import { membersAnswer, ringAnswer, ringsAnswer, type RingsAnswer } from '../client/answers.ts'
import { Members } from '../client/members.ts'
import type { RingKeyMode } from '../membership/placement.ts'
import type { RingNode } from '../ring/node.ts'
import { httpPeers } from '../service/http-peers.ts'
import type { RingService } from '../service/ring-service.ts'
import { shuffle } from '../shuffle.ts'

/** What another pod has of a ring. */
export interface KeptRing {
  readonly ringKey: RingKeyMode
  readonly braked: boolean
  /** The nodes of its ring, where its brake is on, or somebody asked for them. */
  readonly nodes: readonly RingNode[] | undefined
  /** Since when members are held that do not serve, by name, in milliseconds since the Unix epoch. */
  readonly heldSinceMs: ReadonlyMap<string, number>
}

/** What another pod has. */
export interface KeptRings {
  /** The pod's name; undefined where no other pod has rings. */
  readonly from: string | undefined
  readonly url: string
  readonly rings: ReadonlyMap<string, KeptRing>
}

export const NO_RINGS: KeptRings = { from: undefined, url: '', rings: new Map() }

type Peer = { readonly name: string; readonly url: string }

/** How long a pod looks for another one that has rings, when it starts, in milliseconds. */
const LOOK_MS = 4000
/** The same where there is none, in milliseconds. */
const LOOK_ALONE_MS = 1000
const LOOK_AGAIN_MS = 250
/** Pods that are asked one after the other. */
const ASKED_LIMIT = 3
const TIMEOUT_MS = 2000
/** Requests at a time to one pod. */
const AT_A_TIME = 8

/** The other pods of this installation, as far as they have rings of HashRings. */
export class RingPeers {
  readonly #own: RingService
  readonly #basics: Basics

  /** @param own - The ring of the pods themselves. */
  constructor(own: RingService, basics: Basics) {
    this.#own = own
    this.#basics = { ...basics, logger: basics.logger.child({ component: 'ring-peers' }) }
  }

  /** Those that live and say where they answer. */
  get all(): readonly Peer[] {
    return httpPeers(this.#own.source).flatMap(({ name, url }) => (url === undefined ? [] : [{ name, url }]))
  }

  /**
   * Asks other pods, until one has rings, for what only memory knows: who is held, and which brakes are on. It gives up
   * after a few seconds, and never rejects.
   */
  async ask(signal: AbortSignal): Promise<KeptRings> {
    const startedMs = this.#basics.clock.now()
    for (;;) {
      const waitedMs = this.#basics.clock.now() - startedMs
      if (signal.aborted || waitedMs >= (this.all.length === 0 ? LOOK_ALONE_MS : LOOK_MS)) return NO_RINGS
      for (const peer of shuffle([...this.all], this.#basics.random).slice(0, ASKED_LIMIT)) {
        const kept = await this.#askOne(peer, signal)
        if (kept !== undefined) return kept
      }
      await sleep(this.#basics.clock, LOOK_AGAIN_MS, signal)
    }
  }

  /** The same with the nodes of all rings. A ring that the pod does not give any more is left out. */
  async withNodes(kept: KeptRings, signal: AbortSignal): Promise<KeptRings> {
    const rings = new Map<string, KeptRing>()
    await atOnce(AT_A_TIME, [...kept.rings], async ([name, ring]) => {
      if (signal.aborted) return
      try {
        rings.set(name, { ...ring, nodes: ring.nodes ?? (await this.#nodesOf(kept.url, name, signal)) })
      } catch (err) {
        const fields = { event: 'rings.not-taken', hashRing: name, from: kept.from, err }
        this.#basics.logger.warn(fields, 'Could not take a ring from another pod')
      }
    })
    return { ...kept, rings }
  }

  /** The fingerprints of each pod's rings, by name of the ring. @returns Undefined for a pod that does not answer. */
  async fingerprints(
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, ReadonlyMap<string, string> | undefined>> {
    const asked = this.all.map(async ({ name, url }) => {
      const answer = await this.#list(url, signal).catch(() => undefined)
      const told = answer?.rings.flatMap(({ name: of, ring }) =>
        ring ? [[of, ring.fingerprint] as const] : [],
      )
      return [name, told && new Map(told)] as const
    })
    return new Map(await Promise.all(asked))
  }

  async #askOne({ name: from, url }: Peer, signal: AbortSignal): Promise<KeptRings | undefined> {
    try {
      const rings = new Map<string, KeptRing>()
      for (const { name, ring } of (await this.#list(url, signal)).rings) {
        if (ring === null) continue
        const { braked } = ring
        rings.set(name, {
          ringKey: ring.ringKey === 'name' ? 'name' : 'address',
          braked,
          nodes: braked ? await this.#nodesOf(url, name, signal) : undefined,
          heldSinceMs: ring.held > 0 ? await this.#heldOf(url, name, signal) : new Map(),
        })
      }
      return { from, url, rings }
    } catch (err) {
      const fields = { event: 'rings.not-asked', from, err }
      this.#basics.logger.debug(fields, 'Another pod did not tell of its rings')
      return undefined
    }
  }

  async #list(url: string, signal: AbortSignal): Promise<RingsAnswer> {
    return ringsAnswer(await this.#json(url, '/v1/rings', signal), 'the answer')
  }

  async #nodesOf(url: string, name: string, signal: AbortSignal): Promise<readonly RingNode[]> {
    return ringAnswer(await this.#json(url, `/v1/rings/${name}/ring`, signal), 'the answer').nodes
  }

  async #heldOf(url: string, name: string, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    const answer = membersAnswer(await this.#json(url, `/v1/rings/${name}/members`, signal), 'the answer')
    const suspects = answer.members.filter(({ state }) => state === 'suspect')
    return new Map(suspects.map(({ name: member, stateSinceMs }) => [member, stateSinceMs]))
  }

  #json(url: string, path: string, signal: AbortSignal): Promise<unknown> {
    const { clock, random } = this.#basics
    const members = new Members({ url, timeoutMs: TIMEOUT_MS, clock, random })
    return members.json(`${url}${path}`, {}, signal)
  }
}
