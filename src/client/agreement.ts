import { atOnce } from '../at-once.ts'
import { formatHostPort } from '../addresses.ts'
import { isRingmanError, type RingmanError } from '../errors.ts'
import { traceHeaders } from '../tracing.ts'
import { HashRing } from '../ring/hash-ring.ts'
import { batchAnswer, ownerAnswer, type NodeView } from './answers.ts'
import { Members, notRingman, readAnswer } from './members.ts'

/** Members that are asked at the same time. */
const AT_ONCE = 32

/** What one member answered, or why it did not. */
export type MemberAnswer =
  | {
      readonly url: string
      readonly digest: string
      /** For each key, in their order, its owner. */
      readonly owners: readonly NodeView[]
    }
  | { readonly url: string; readonly error: RingmanError }

/** How the answers of several members compare. */
export interface Agreement {
  /** Whether all answered, with the same digest and the same owner of each key, at the same address and port. */
  readonly agreed: boolean
  readonly answers: readonly MemberAnswer[]
  /** Keys that do not have the same owner at all members that answered. */
  readonly differingKeys: readonly string[]
  /** Owners that members know at different places (`ADDRESS:PORT`): as when two processes have one name. */
  readonly contested: readonly { readonly ringKey: string; readonly places: readonly string[] }[]
}

/** How members are asked. */
export interface AskOptions {
  /** Base URLs, each of one member. */
  readonly urls: readonly string[]
  /** `NAMESPACE/NAME` of the HashRing whose ring is meant. @default the ring of the members themselves */
  readonly ring?: string | undefined
  /** 1 to 10,000 keys. */
  readonly keys: readonly string[]
  /** Milliseconds that one member may take. */
  readonly timeoutMs: number
}

/** Asks each member for the owners of the same keys and compares. A member that does not answer is part of the result. */
export async function compareMembers(options: AskOptions): Promise<Agreement> {
  const { urls, keys } = options
  const answers = await atOnce(AT_ONCE, urls, (url) => askMember(url, options))
  const given = answers.flatMap((answer) => ('error' in answer ? [] : [answer]))
  const [first] = given
  const identity = (owner: NodeView | undefined) => `${owner?.ringKey} ${placeOf(owner)}`
  const differingKeys = keys.filter((_, at) =>
    given.some(({ owners }) => identity(owners[at]) !== identity(first?.owners[at])),
  )
  const owners = Map.groupBy(
    given.flatMap((answer) => answer.owners),
    ({ ringKey }) => ringKey,
  )
  const contested = [...owners].flatMap(([ringKey, nodes]) => {
    const places = [...new Set(nodes.map(placeOf))].sort()
    return places.length > 1 ? [{ ringKey, places }] : []
  })
  return {
    agreed:
      given.length === urls.length &&
      differingKeys.length === 0 &&
      given.every(({ digest }) => digest === first?.digest),
    answers,
    differingKeys,
    contested,
  }
}

async function askMember(url: string, options: AskOptions): Promise<MemberAnswer> {
  const { keys, ring, timeoutMs } = options
  try {
    const member = new Members({ url, ring, timeoutMs }, { traceHeaders })
    const question = { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ keys, n: 1 }) }
    const answer = await member.json(`${member.urls[0] ?? url}${member.root}/owners`, question)
    return { url, ...readOwners(url, keys.length, answer) }
  } catch (error) {
    if (!isRingmanError(error)) throw error
    return { url, error }
  }
}

/** Milliseconds that a member may take to tell its digest. */
const DIGEST_TIMEOUT_MS = 2000

/** More than an owner and a digest take. */
const DIGEST_ANSWER_BYTES = 16 * 1024

/**
 * Asks a member for the digest of its ring.
 *
 * @param url - Base URL of the member.
 * @param ring - `NAMESPACE/NAME` of a HashRing. @default the ring of the members themselves
 * @throws {RingmanError} as {@link Members.json}.
 */
export async function askDigest(url: string, ring: string | undefined): Promise<string> {
  const options = { url, ring, timeoutMs: DIGEST_TIMEOUT_MS, answerLimitBytes: DIGEST_ANSWER_BYTES }
  const member = new Members(options, { traceHeaders })
  try {
    const answer = await member.json(`${url}${member.root}/owner?key=digest`)
    return readAnswer(ownerAnswer, answer, url).digest
  } catch (error) {
    if (isRingmanError(error) && error.code === 'RING_EMPTY') return HashRing.empty.digest
    throw error
  }
}

function readOwners(url: string, keyCount: number, answer: unknown) {
  const { nodes, owners, digest } = readAnswer(batchAnswer, answer, url)
  const named = owners.map(([index = -1]) => nodes[index]).filter((node) => node !== undefined)
  if (named.length !== keyCount) throw notRingman(url, 'its answer lacks owners of some keys')
  return { digest, owners: named }
}

/** Where a node is reached, `ADDRESS:PORT`; empty where it is not said. */
export function placeOf(node: NodeView | undefined): string {
  const { address, port } = node ?? {}
  return address === undefined || port === undefined ? '' : formatHostPort({ address, port })
}
