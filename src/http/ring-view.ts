import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { getOrMake } from '../get-or-make.ts'
import type { HashRingManager } from '../manager/hash-ring-manager.ts'
import type { RingSnapshot } from '../manager/snapshot.ts'
import type { RingNode } from '../ring/node.ts'
import type { RingService } from '../service/ring-service.ts'
import type { NamedRing } from '../service/named-rings.ts'
import { fingerprintOf } from '../service/fingerprint.ts'
import { asciiJson, jsonAnswer, makeAnswer, type Answer } from './respond.ts'

/** On a ring of more nodes each is asked for so seldom that what is kept for it is a burden: it makes collections of new objects long. */
const KEEPING_NODES = 1000

/** One ring as HTTP shows it. What every look-up writes is made once per ring, when it is first asked for. */
export class RingView {
  readonly snapshot: RingSnapshot
  /** Whether the member that answers cannot know at this time whether the ring is old. */
  readonly unsure: boolean
  readonly version: number | undefined
  /** `"digest":"…","epoch":…`: what stands in each answer of this ring. */
  readonly state: string
  readonly #nodes = new Map<RingNode, string>()
  readonly #ownerAnswers = new Map<RingNode, Answer>()
  /** Of each answer to a proxy; such an answer has no body. */
  readonly routeHeaders: readonly string[]
  #nodeList: string | undefined
  #etag: string | undefined

  /**
   * @param version - What puts the rings of a name in order; undefined where nothing does.
   * @param uid - Whose versions they are: of another uid they are not in one order.
   */
  constructor(snapshot: RingSnapshot, unsure: boolean, version?: number, uid?: string) {
    this.snapshot = snapshot
    this.unsure = unsure
    this.version = version
    const told =
      version === undefined
        ? ''
        : `,"version":${version}${uid === undefined ? '' : `,"uid":${asciiJson(uid)}`}`
    this.state = `"digest":"${snapshot.ring.digest}","epoch":${snapshot.epoch}${told}${unsure ? ',"unsure":true' : ''}`
    const versionHeader = version === undefined ? [] : ['X-Ringman-Version', String(version)]
    this.routeHeaders = ['X-Ringman-Digest', snapshot.ring.digest, ...versionHeader, ...NO_BODY]
  }

  /** Whether there is one {@link ownerAnswer} for each node, and not one for each call. */
  get keepsAnswers(): boolean {
    return this.snapshot.ring.size <= KEEPING_NODES
  }

  /** A node of this ring as JSON. */
  nodeJson(node: RingNode): string {
    return getOrMake(this.#nodes, node, () => asciiJson(nodeFields(node)))
  }

  /** `"next":…,` where a hand-over is moving a key to another node. */
  nextField(next: RingNode | undefined): string {
    return next === undefined ? '' : `"next":${this.nodeJson(next)},`
  }

  /** The answer of `/v1/owner` for every key of that node, or that a hand-over moves from there to `next`. */
  ownerAnswer(node: RingNode, next?: RingNode): Answer {
    if (next !== undefined) {
      return jsonAnswer(`{"owner":${this.nodeJson(node)},${this.nextField(next)}${this.state}}`)
    }
    let answer = this.#ownerAnswers.get(node)
    if (answer === undefined) {
      answer = jsonAnswer(`{"owner":${this.nodeJson(node)},${this.state}}`)
      if (this.keepsAnswers) this.#ownerAnswers.set(node, answer)
    }
    return answer
  }

  /** The whole ring as JSON, on one line. `nowMs` is of the manager's clock. */
  ringJson(nowMs: number): string {
    if (this.#nodeList === undefined) {
      const { ring } = this.snapshot
      const shares = ring.shares()
      this.#nodeList = ring.nodes
        .map((node) => asciiJson({ ...nodeFields(node), share: shares.get(node.ringKey) ?? 0 }))
        .join(',')
    }
    const sinceChangeMs = Math.max(0, Math.round(nowMs - this.snapshot.changedAtMs))
    return `{"nodes":[${this.#nodeList}],${this.state},"sinceChangeMs":${sinceChangeMs}}`
  }

  /**
   * The entity tag: the digest and a hash of all fields of the nodes, since an address, a name or a zone can change while
   * the digest stays. It is weak, because answers with the same tag differ in `epoch` and `sinceChangeMs`.
   */
  get etag(): string {
    if (this.#etag === undefined) {
      const { ring } = this.snapshot
      this.#etag = `W/"${ring.digest}-${fingerprintOf(ring)}"`
    }
    return this.#etag
  }
}

/** What is shown of a node. */
export function nodeFields({ ringKey, weight, name, address, port, zone }: RingNode) {
  return { name, address, port, ringKey, weight, zone }
}

const NO_BODY = ['Cache-Control', 'no-store', 'Content-Length', '0']

const HOST_NAME = /^[\w.-]{1,253}$/

/**
 * A node's `HOST:PORT` as proxies write it, IPv6 in brackets; undefined where it has no address that can stand in a
 * header, such as one with a zone identifier.
 */
export function proxyAddressOf({ address, port }: RingNode): string | undefined {
  if (address === undefined || port === undefined) return undefined
  if (isIP(address) === 6) return address.includes('%') ? undefined : `[${address}]:${port}`
  return HOST_NAME.test(address) ? `${address}:${port}` : undefined
}

/** What a ring that is known by name has besides itself. */
type Versioned = Pick<NamedRing, 'version' | 'uid'>

/** The ring that is shown. */
interface ViewedRing extends Pick<RingService, 'unsure'> {
  readonly manager: Pick<HashRingManager, 'snapshot'>
}

/** The view of the current ring; it holds one at a time. */
export class CurrentView {
  readonly #ring: ViewedRing
  readonly #versioned: Versioned | undefined
  #view: RingView | undefined

  /** @param versioned - Tells the version of the ring that is held, where rings have versions. */
  constructor(ring: ViewedRing, versioned?: Versioned) {
    this.#ring = ring
    this.#versioned = versioned
  }

  /** The same object as before for as long as nothing of it changed. */
  get(): RingView {
    const { manager, unsure } = this.#ring
    const { snapshot } = manager
    const version = this.#versioned?.version
    const held = this.#view
    if (held?.snapshot === snapshot && held.unsure === unsure && held.version === version) return held
    return (this.#view = new RingView(snapshot, unsure, version, this.#versioned?.uid))
  }
}

/** JSON with an entity tag, or the 304 for a client that has it already; whoever keeps it has to ask whether it still holds. */
export function taggedAnswer({ headers }: IncomingMessage, etag: string, json: () => string): Answer {
  const caching = ['ETag', etag, 'Cache-Control', 'no-cache']
  if (matchesEtag(headers['if-none-match'], etag)) return { status: 304, headers: caching, body: '' }
  const type = ['Content-Type', 'application/json', 'X-Content-Type-Options', 'nosniff']
  return makeAnswer(200, [...type, ...caching], json())
}

/** Whether an If-None-Match header names the entity tag, as RFC 9110 compares there (weakly). */
export function matchesEtag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '')
  return header.split(',').some((candidate) => opaque(candidate) === opaque(etag))
}
