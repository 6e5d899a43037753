import { RingmanError } from '../errors.ts'
import { getOrMake } from '../get-or-make.ts'
import { objectIn } from '../is-object.ts'
import { isPort, isWithin } from '../is-within.ts'

/** The four states of the memberlist protocol, in words. */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left'

/** What a member says of itself, decoded. `servicePort` is all that the Go library knows. */
export interface MemberMetadata {
  /** The application's port as text; part of the default ring key. */
  readonly servicePort: string
  /** Relative share of the ring, integer 1 to 1000; 1 when absent. */
  readonly weight?: number | undefined
  /** Failure domain, such as a Kubernetes zone. */
  readonly zone?: string | undefined
  /** Whether it looks for suspects with the others (see `ProtocolSettings.witnesses`): Go members do not say so. */
  readonly witness?: boolean | undefined
  /** The member's name, for protocols that know members by address alone (npm `swim`). */
  readonly name?: string | undefined
  /** Where the member answers look-ups over HTTP, 1 to 65535; left out where it does not. */
  readonly httpPort?: number | undefined
  /** Where its admin port is, 1 to 65535; left out where it has none. */
  readonly adminPort?: number | undefined
  /** Whether it was taken off the ring by hand; it gossips and answers look-ups as before. */
  readonly drained?: boolean | undefined
  /** Which of these fields it acts upon in others: see {@link METADATA_LEVEL}. Go members, and older ones, do not say so. */
  readonly level?: number | undefined
  /** Where it is in a hand-over; a member without it does not hand over, as Go members and older ones. */
  readonly handover?: HandoverState | undefined
  /** The version of the member's ringman. */
  readonly version?: string | undefined
}

/**
 * What a member does with its place on the ring: `owning`, nothing; `pending`, it is off the ring and comes on; `releasing`,
 * it is on the ring and goes; `weighing`, it is on the ring and gets another weight.
 */
export type HandoverPhase = 'owning' | 'pending' | 'releasing' | 'weighing'

/** A member's state in a hand-over. */
export interface HandoverState {
  readonly phase: HandoverPhase
  /** Tells this move of the member from its others: 1 to 2^32 - 1, by chance. */
  readonly number: number
  /** The weight that it is to have, where it is `weighing`. */
  readonly weight?: number | undefined
}

/** Level 1 knows `drained`, and can be evicted. */
export const METADATA_LEVEL = 1

/** Protocol and delegate versions as memberlist lists them, each 0 to 255. */
export interface ProtocolVersions {
  readonly pMin: number
  readonly pMax: number
  readonly pCur: number
  readonly dMin: number
  readonly dMax: number
  readonly dCur: number
}

/** What the Go ringman's members say: memberlist protocol 1 to 5, speaking 2, no delegate versions. */
export const DEFAULT_VERSIONS: ProtocolVersions = { pMin: 1, pMax: 5, pCur: 2, dMin: 0, dMax: 0, dCur: 0 }

/** A process known to a membership source. Immutable: a change is a new object. */
export interface Member {
  /** Unique within the cluster. */
  readonly name: string
  /** IP literal without brackets; a host name only where a source has nothing better. */
  readonly address: string
  /** The port of the membership protocol (gossip); 0 where the source has none. */
  readonly port: number
  readonly state: MemberState
  /** When this process saw the state begin, in milliseconds since the Unix epoch. */
  readonly stateSinceMs: number
  /** Metadata as it came, at most {@link METADATA_LIMIT_BYTES}. */
  readonly meta: Uint8Array
  /** `meta` decoded; undefined when it does not decode: such a member is listed and owns nothing. */
  readonly metadata: MemberMetadata | undefined
  readonly versions: ProtocolVersions
}

/** Whether a member is taken for there: a suspicion is no death. */
export function isLiving({ state }: { readonly state: string }): boolean {
  return state === 'alive' || state === 'suspect'
}

/** What makes a member of a place that some directory lists: no process there says anything of itself. */
export interface ListedPlace {
  readonly name: string
  /** IP literal without brackets, or a host name. */
  readonly address: string
  /** The application's port, 1 to 65535. */
  readonly port: number
  /** Integer 1 to {@link WEIGHT_LIMIT}. @default 1 */
  readonly weight?: number | undefined
  readonly zone?: string | undefined
  /** @default alive */
  readonly state?: MemberState | undefined
}

/** What members say where one directory lists them: it is the same for all places of one port, weight and zone. */
export type ListedMetadata = Map<string, Pick<Member, 'meta' | 'metadata'>>

/**
 * The member that a listed place makes.
 *
 * @param stateSinceMs - Milliseconds since the Unix epoch.
 * @param known - Of other members that are made at the same time; what is not there is added.
 */
export function listedMember(
  place: ListedPlace,
  stateSinceMs: number,
  known: ListedMetadata = new Map(),
): Member {
  const { name, address, port, weight, zone, state = 'alive' } = place
  const said = getOrMake(known, `${port} ${weight} ${zone ?? ''}`, () => {
    const metadata: MemberMetadata = {
      servicePort: String(port),
      ...(weight === undefined ? {} : { weight }),
      ...(zone === undefined ? {} : { zone }),
    }
    return { meta: encodeMetadata(metadata), metadata }
  })
  return { name, address, port: 0, state, stateSinceMs, ...said, versions: DEFAULT_VERSIONS }
}

/** Largest encoded metadata in bytes: memberlist's limit. */
export const METADATA_LIMIT_BYTES = 512

/** Largest weight that metadata may carry. */
export const WEIGHT_LIMIT = 1000

/** Longest that a member may be evicted for, in milliseconds: a week. */
export const MAX_EVICTION_MS = 7 * 24 * 3_600_000

const PHASE_LETTERS = { o: 'owning', p: 'pending', r: 'releasing', w: 'weighing' } as const

/** Such as `p123`, or `w123:20` with the weight that is to come. */
const HANDOVER = /^([opr])([1-9]\d{0,9})$|^(w)([1-9]\d{0,9}):([1-9]\d{0,3})$/

function formatHandover({ phase, number, weight }: HandoverState): string {
  return phase === 'weighing' ? `w${number}:${weight ?? 1}` : `${phase.charAt(0)}${number}`
}

function parseHandover(text: string): HandoverState | undefined {
  const found = HANDOVER.exec(text)
  if (found === null) return undefined
  const phase = PHASE_LETTERS[(found[1] ?? found[3]) as keyof typeof PHASE_LETTERS]
  const number = Number(found[2] ?? found[4])
  const weight = found[5] === undefined ? undefined : Number(found[5])
  if (number >= 2 ** 32 || (weight !== undefined && !isWeight(weight))) return undefined
  return { phase, number, ...(weight === undefined ? {} : { weight }) }
}

/** A version as people write them, such as `1.2.3-rc.1+4`. */
function isVersion(value: unknown): value is string {
  return typeof value === 'string' && /^\d[\w.+-]{0,31}$/.test(value)
}

/** A weight as metadata takes it: an integer from 1 to {@link WEIGHT_LIMIT}. */
export function isWeight(value: unknown): value is number {
  return isWithin(value, 1, WEIGHT_LIMIT)
}

/**
 * Characters that change how the text around them is shown, or show nothing at all: controls, line and paragraph
 * separators, direction marks, zero-width ones. A fixed list, so that members of all versions judge names alike.
 */
const UNPRINTABLE = /[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u

/** Whether a text from outside can be shown to people as it is; a member's name and zone must be. */
export function isPlainText(text: string): boolean {
  return text !== '' && !UNPRINTABLE.test(text)
}

/** Whether a text is 1 to `maxLength` printable characters without white space, as labels, names and zones of others are. */
export function isWord(text: unknown, maxLength: number): text is string {
  return typeof text === 'string' && text.length <= maxLength && /^[^\s\p{C}]+$/u.test(text)
}

/**
 * Encodes metadata as the JSON that Go ringman reads, `{"ServicePort":"8000"}`, with `Weight`, `Zone`, `Name`, `Witness` and
 * the others after it where they are set (Go ignores them). Who may use how many of the bytes is in `docs/memberlist.md`.
 *
 * @throws {RingmanError} `METADATA_TOO_LARGE` above {@link METADATA_LIMIT_BYTES}.
 */
export function encodeMetadata(metadata: MemberMetadata): Uint8Array {
  const bytes = new TextEncoder().encode(
    JSON.stringify({
      ServicePort: metadata.servicePort,
      Weight: metadata.weight,
      Zone: metadata.zone,
      Name: metadata.name,
      Witness: metadata.witness,
      HttpPort: metadata.httpPort,
      Level: metadata.level,
      AdminPort: metadata.adminPort,
      Drained: metadata.drained === true ? true : undefined,
      Handover: metadata.handover && formatHandover(metadata.handover),
      Version: metadata.version,
    }),
  )
  checkMetadata(bytes)
  return bytes
}

/** @throws {RingmanError} `METADATA_TOO_LARGE` above {@link METADATA_LIMIT_BYTES}. */
export function checkMetadata({ byteLength: bytes }: Uint8Array): void {
  if (bytes <= METADATA_LIMIT_BYTES) return
  throw new RingmanError(
    'METADATA_TOO_LARGE',
    `member metadata takes ${bytes} bytes; at most ${METADATA_LIMIT_BYTES} are allowed`,
    { detail: { bytes, limit: METADATA_LIMIT_BYTES } },
  )
}

/**
 * Decodes metadata from the network. Unknown fields are ignored, as is any other that is out of form; without a usable `ServicePort` there is no metadata.
 *
 * @returns undefined for bytes that are not such metadata; it never throws.
 */
export function decodeMetadata(bytes: Uint8Array): MemberMetadata | undefined {
  if (bytes.byteLength > METADATA_LIMIT_BYTES) return undefined
  const { ServicePort, Weight, Zone, Name, Witness, HttpPort, Level, AdminPort, Drained, Handover, Version } =
    objectIn(bytes) ?? {}
  if (typeof ServicePort !== 'string' || !isPort(ServicePort)) return undefined
  const handover = typeof Handover === 'string' ? parseHandover(Handover) : undefined
  return {
    servicePort: ServicePort,
    ...(isWeight(Weight) ? { weight: Weight } : {}),
    ...(typeof Zone === 'string' && isPlainText(Zone) ? { zone: Zone } : {}),
    ...(typeof Name === 'string' && isPlainText(Name) ? { name: Name } : {}),
    ...(Witness === true ? { witness: true } : {}),
    ...(isWithin(HttpPort, 1, 65_535) ? { httpPort: HttpPort } : {}),
    ...(isWithin(Level, 1, 255) ? { level: Level } : {}),
    ...(isWithin(AdminPort, 1, 65_535) ? { adminPort: AdminPort } : {}),
    ...(Drained === true ? { drained: true } : {}),
    ...(handover === undefined ? {} : { handover }),
    ...(isVersion(Version) ? { version: Version } : {}),
  }
}
