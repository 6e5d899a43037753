import { sleep } from '../../clock.ts'
import type { Pod, PodWatch } from '../../kubernetes/pod-watch.ts'
import type { Logger } from '../../logger.ts'
import type { Basics } from '../../basics.ts'
import { isLiving } from '../member.ts'
import type { MembershipSource } from '../source.ts'

/** What the check needs of a source whose members gossip. */
export interface CheckedGossip extends Pick<MembershipSource, 'selfName' | 'members' | 'subscribe'> {
  /**
   * Declares a living member dead, and tells the others, who take it; it can deny that if it lives.
   *
   * @param address - Where it is: one that has moved on meanwhile is left alone.
   * @returns Whether it was declared.
   */
  declareDead(name: string, address: string): boolean
  /** Tells that the pod of a member at this address is not ready, which is evidence if the member is suspected. */
  podUnready(name: string, address: string): void
}

/** What the check needs to know of pods. */
export type KnownPods = Pick<PodWatch, 'objects' | 'subscribe' | 'find'>

/** Time for a member to leave by itself, in milliseconds, and up to as much again by chance. */
const GRACE_MS = 500
/** Wait after the API server could not be asked, in milliseconds; it doubles. */
const RETRY_MIN_MS = 1000
const RETRY_MAX_MS = 30_000

export interface GossipCheckOptions extends Basics {
  readonly gossip: CheckedGossip
  readonly pods: KnownPods
}

/** The pod that a member was seen to be. */
interface Link {
  readonly uid: string
  readonly address: string
  /** Ends the inquiry into what became of the pod; undefined while it is there. */
  inquiry: AbortController | undefined
}

/**
 * Holds gossip against Kubernetes, one way: a member whose pod is gone is declared dead at once, where gossip would
 * take seconds to be sure.
 *
 * A member is only ever declared dead when all of this holds: a pod of its name, with its address, was seen; that very
 * pod (by its UID) is gone from what the API server tells; some time later gossip still holds the member for living, at
 * that same address; and the API server, asked then for the pod by name and not from a cache, says that there is none,
 * or another one that has another address. So members that are no pods are left alone, as are pods that drain, that
 * were given other labels, and everybody while the API server cannot be asked. It happens once for a pod: a process that
 * denies it lives, whatever Kubernetes says.
 *
 * A pod that is not ready (its node is silent, or its probe fails) is evidence against a member that is suspected, and nothing
 * against any other.
 */
export class GossipCheck {
  readonly #options: GossipCheckOptions
  readonly #logger: Logger
  readonly #links = new Map<string, Link>()
  readonly #inquiries = new Set<Promise<void>>()
  readonly #onError: (error: unknown) => void
  #unsubscribe: (() => void)[] = []
  declaredCount = 0

  /** @param onError - Called when the check itself breaks; it then goes no further for that member. */
  constructor(options: GossipCheckOptions, onError: (error: unknown) => void) {
    this.#options = options
    this.#logger = options.logger.child({ component: 'kubernetes-check' })
    this.#onError = onError
  }

  /** Members that are known to be pods. */
  get linkedCount(): number {
    return this.#links.size
  }

  start(): void {
    const { gossip, pods } = this.#options
    const compare = () => this.#compare()
    this.#unsubscribe = [gossip.subscribe(compare), pods.subscribe(compare)]
    this.#compare()
  }

  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe()
    for (const { inquiry } of this.#links.values()) inquiry?.abort()
    this.#links.clear()
    await Promise.all(this.#inquiries)
  }

  /** Brings the links up to date, and begins inquiries where a pod is gone. */
  #compare(): void {
    const { gossip, pods } = this.#options
    const living = new Set<string>()
    for (const member of gossip.members) {
      const { name, address, state } = member
      if (name === gossip.selfName || !isLiving(member)) continue
      living.add(name)
      const pod = pods.objects.get(name)
      this.#compareOne(name, address, pod)
      const isUnready = pod?.ready === false && pod.uid === this.#links.get(name)?.uid
      if (state === 'suspect' && isUnready) gossip.podUnready(name, address)
    }
    for (const name of this.#links.keys()) {
      if (!living.has(name)) this.#unlink(name)
    }
  }

  #compareOne(name: string, address: string, pod: Pod | undefined): void {
    const link = this.#links.get(name)
    if (pod?.addresses.includes(address) === true) {
      if (link?.uid === pod.uid && link.address === address && link.inquiry === undefined) return
      link?.inquiry?.abort()
      this.#links.set(name, { uid: pod.uid, address, inquiry: undefined })
    } else if (link !== undefined) {
      // Elsewhere by now: it is not the process that was linked.
      if (link.address !== address) this.#unlink(name)
      else if (pod?.uid !== link.uid) this.#inquire(name, link)
    }
  }

  #unlink(name: string): void {
    this.#links.get(name)?.inquiry?.abort()
    this.#links.delete(name)
  }

  #inquire(name: string, link: Link): void {
    if (link.inquiry !== undefined) return
    const abort = new AbortController()
    link.inquiry = abort
    const inquiry = this.#follow(name, link, abort.signal)
      .catch(this.#onError)
      .finally(() => this.#inquiries.delete(inquiry))
    this.#inquiries.add(inquiry)
  }

  async #follow(name: string, link: Link, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options
    await sleep(clock, GRACE_MS * (1 + random()), signal)
    for (let tries = 0; !signal.aborted; tries++) {
      const fate = await this.#ask(name, link, signal)
      if (signal.aborted) return
      if (fate === 'gone') {
        this.#declare(name, link)
        return
      }
      if (fate === 'there') {
        // It was given other labels: it lives, and no further news of it will come.
        this.#unlink(name)
        return
      }
      const waitMs = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(tries, 20))
      await sleep(clock, waitMs * (0.5 + 0.5 * random()), signal)
    }
  }

  /** What became of the pod: unknown also while its successor has no address yet, or the same one. */
  async #ask(name: string, link: Link, signal: AbortSignal): Promise<'gone' | 'there' | 'unknown'> {
    try {
      const pod = await this.#options.pods.find(name, signal)
      if (pod === undefined || isSuccessorElsewhere(pod, link)) return 'gone'
      return pod.uid === link.uid ? 'there' : 'unknown'
    } catch (error) {
      // The API server is away: that says nothing about the member.
      this.#logger.debug(
        { event: 'check.failed', peer: name, err: error },
        'Failed to ask for the pod of a member',
      )
      return 'unknown'
    }
  }

  #declare(name: string, link: Link): void {
    this.#links.delete(name)
    if (!this.#options.gossip.declareDead(name, link.address)) return
    this.declaredCount += 1
    this.#logger.info(
      { event: 'member.declared-dead', peer: name, address: link.address, uid: link.uid },
      'Declared a member dead whose pod is gone',
    )
  }
}

/** Whether the pod has the name of a linked one that is gone, and another address. */
function isSuccessorElsewhere(pod: Pod, link: Link): boolean {
  return pod.uid !== link.uid && pod.addresses.length > 0 && !pod.addresses.includes(link.address)
}
