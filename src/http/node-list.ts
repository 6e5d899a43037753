import { assertNever } from '../errors.ts'
import type { RingSnapshot } from '../manager/snapshot.ts'
import type { Member } from '../membership/member.ts'
import type { SourceKind } from '../membership/source.ts'
import { goJsonString, toByteText } from './go-json.ts'

/** What a node list is written from. */
export interface NodeListInput {
  readonly members: readonly Member[]
  readonly snapshot: RingSnapshot
  /** Whether the source knows its members; see `MembershipSource.populated`. */
  readonly populated: boolean
}

/** Writes the body of `/hashring/nodes`, in byte text. */
export type NodeListWriter = (input: NodeListInput) => string

/** The node list of the Go library's ring of that kind; a source that Go does not have lists like memberlist. */
export function nodeListWriterOf(kind: SourceKind): NodeListWriter {
  switch (kind) {
    case 'memberlist':
    case 'swim':
    case 'kubernetes':
    case 'static':
      return writeMembers
    case 'sidecar':
      return writeRingKeys
    default:
      return assertNever(kind)
  }
}

/** memberlist's list: every member that lives or is suspect, also one that owns nothing, by name. */
function writeMembers({ members }: NodeListInput): string {
  const living = members.filter(({ state }) => state === 'alive' || state === 'suspect')
  return living.length === 0 ? '[]' : `[\n${living.map(writeMember).join(',\n')}\n]`
}

function writeMember({ name, address, port, meta, versions }: Member): string {
  return `  {
    "Name": ${goJsonString(toByteText(name))},
    "Addr": ${goJsonString(toByteText(address))},
    "Port": ${port},
    "Meta": "${Buffer.from(meta).toString('base64')}",
    "PMin": ${versions.pMin},
    "PMax": ${versions.pMax},
    "PCur": ${versions.pCur},
    "DMin": ${versions.dMin},
    "DMax": ${versions.dMax},
    "DCur": ${versions.dCur}
  }`
}

/** SidecarRing's list: the ring keys in byte order, or `null` before any state came. */
function writeRingKeys({ snapshot: { ring }, populated }: NodeListInput): string {
  if (ring.size === 0) return populated ? '{}' : 'null'
  return `{\n${ring.nodes.map(({ ringKey }) => `  ${goJsonString(toByteText(ringKey))}: {}`).join(',\n')}\n}`
}
