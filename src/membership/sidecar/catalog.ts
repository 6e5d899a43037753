import { RingmanError } from '../../errors.ts'
import { isObject } from '../../is-object.ts'

/** Sidecar's numbers for the status of a service. */
export const STATUS = { alive: 0, tombstone: 1, unhealthy: 2, unknown: 3, draining: 4 } as const

/** A port of a service: `port` is where it is reached, `servicePort` what it stands for everywhere. */
export interface SidecarPort {
  readonly port: number
  readonly servicePort: number
  /** IP literal; empty when Sidecar knows none. */
  readonly ip: string
}

/** One instance of a service, as far as the ring needs it. */
export interface SidecarService {
  readonly id: string
  readonly hostname: string
  readonly ports: readonly SidecarPort[]
  /** One of {@link STATUS}, or a number that Sidecar may add. */
  readonly status: number
  readonly updated: Instant
}

/** What one Sidecar knows: every instance of the service that was asked for, and when anything changed last. */
export interface SidecarState {
  readonly lastChanged: Instant
  readonly services: readonly SidecarService[]
}

/** What Sidecar posts to its listeners: its whole state, and the change that made it post. */
export interface SidecarUpdate {
  readonly state: SidecarState
  readonly change: { readonly serviceName: string; readonly status: number; readonly previousStatus: number }
}

/** More instances of one service than this are refused. */
export const INSTANCE_LIMIT = 10_000

/**
 * Reads JSON text.
 *
 * @throws {RingmanError} `BODY_INVALID`
 */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    // Node's own decoding replaces what is not UTF-8, as Go does, and keeps a byte order mark, which is an error.
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  } catch (error) {
    throw new RingmanError('BODY_INVALID', describeSyntaxError(Buffer.from(bytes).toString('latin1')), {
      cause: error,
    })
  }
}

/** Two texts are those of Go's decoder, which clients of the Go library match. */
function describeSyntaxError(text: string): string {
  if (text.trim() === '') return 'unexpected end of JSON input'
  const [, character] = /^\s*\{\s*(\w)/.exec(text) ?? []
  return character === undefined
    ? 'the body is not JSON'
    : `invalid character '${character}' looking for beginning of object key string`
}

/**
 * Picks the instances of `serviceName` out of Sidecar's state (`/api/state.json`). As Go decodes it, a field
 * that is absent or null has its zero value; other services are skipped unread.
 *
 * @param value - Decoded JSON.
 * @throws {RingmanError} `BODY_INVALID` when a field has another type, a time cannot be read, or there are more
 *   instances than {@link INSTANCE_LIMIT}.
 */
export function parseState(value: unknown, serviceName: string): SidecarState {
  const state = objectAt(value, 'state')
  if (state === undefined) throw invalid('state', 'an object')
  const services: SidecarService[] = []
  for (const server of Object.values(objectAt(state['Servers'], 'Servers') ?? {})) {
    const listed = objectAt(objectAt(server, 'Servers entry')?.['Services'], 'Services') ?? {}
    for (const entry of Object.values(listed)) {
      const service = objectAt(entry, 'Services entry')
      if (service === undefined || textAt(service['Name'], 'Name') !== serviceName) continue
      if (services.length >= INSTANCE_LIMIT) {
        throw new RingmanError(
          'BODY_INVALID',
          `the state has more than ${INSTANCE_LIMIT} instances of the service`,
        )
      }
      services.push(parseService(service))
    }
  }
  return { lastChanged: instantAt(state['LastChanged'], 'LastChanged'), services }
}

/**
 * Reads what Sidecar posts: `{"State": …, "ChangeEvent": …}`.
 *
 * @param value - Decoded JSON.
 * @throws {RingmanError} `BODY_INVALID`, as {@link parseState} does, and when there is no `State`.
 */
export function parseUpdate(value: unknown, serviceName: string): SidecarUpdate {
  const body = objectAt(value, 'body')
  if (body === undefined) throw invalid('body', 'an object')
  const change = objectAt(body['ChangeEvent'], 'ChangeEvent') ?? {}
  const service = objectAt(change['Service'], 'ChangeEvent.Service') ?? {}
  return {
    state: parseState(body['State'], serviceName),
    change: {
      serviceName: textAt(service['Name'], 'ChangeEvent.Service.Name'),
      status: integerAt(service['Status'], 'ChangeEvent.Service.Status'),
      previousStatus: integerAt(change['PreviousStatus'], 'ChangeEvent.PreviousStatus'),
    },
  }
}

/**
 * Whether a change of status counts, by Sidecar's own rule: becoming alive, a tombstone or draining always
 * does; becoming unknown or unhealthy only from alive; a status that Sidecar does not have never does.
 */
export function changeCounts(status: number, previousStatus: number): boolean {
  switch (status) {
    case STATUS.alive:
    case STATUS.tombstone:
    case STATUS.draining:
      return true
    case STATUS.unknown:
    case STATUS.unhealthy:
      return previousStatus === STATUS.alive
    default:
      return false
  }
}

function parseService(service: Readonly<Record<string, unknown>>): SidecarService {
  const ports = service['Ports'] ?? []
  if (!Array.isArray(ports)) throw invalid('Ports', 'an array')
  return {
    id: textAt(service['ID'], 'ID'),
    hostname: textAt(service['Hostname'], 'Hostname'),
    status: integerAt(service['Status'], 'Status'),
    updated: instantAt(service['Updated'], 'Updated'),
    ports: ports.map((entry: unknown) => {
      const port = objectAt(entry, 'Ports entry') ?? {}
      return {
        port: integerAt(port['Port'], 'Port'),
        servicePort: integerAt(port['ServicePort'], 'ServicePort'),
        ip: textAt(port['IP'], 'IP'),
      }
    }),
  }
}

function objectAt(value: unknown, field: string): Readonly<Record<string, unknown>> | undefined {
  if (value === undefined || value === null) return undefined
  if (!isObject(value)) throw invalid(field, 'an object')
  return value
}

function textAt(value: unknown, field: string): string {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'string') throw invalid(field, 'a string')
  return value
}

function integerAt(value: unknown, field: string): number {
  if (value === undefined || value === null) return 0
  if (!Number.isSafeInteger(value)) throw invalid(field, 'an integer')
  return value as number
}

function instantAt(value: unknown, field: string): Instant {
  const text = textAt(value, field)
  if (text === '') {
    if (typeof value === 'string') throw invalid(field, 'an RFC 3339 time')
    return ZERO_INSTANT
  }
  const instant = tryParseInstant(text)
  if (instant === undefined) throw invalid(field, 'an RFC 3339 time')
  return instant
}

function invalid(field: string, wanted: string): RingmanError {
  return new RingmanError('BODY_INVALID', `${field} is not ${wanted}`, { detail: { field } })
}

/** Nanoseconds since the Unix epoch; negative before 1970. */
export type Instant = bigint

/** What Go's zero time is written as, `0001-01-01T00:00:00Z`: the instant of a time that was never set. */
export const ZERO_INSTANT: Instant = -62_135_596_800_000_000_000n

const FORM =
  /^(\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d{1,30}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/

/**
 * Reads an RFC 3339 time to the nanosecond, as Go's `time.Time` reads JSON: upper-case `T` and `Z`, no leap
 * seconds, any offset up to 23:59, digits after the ninth cut off. Two instants compare with `<`.
 *
 * @returns undefined for anything else; it never throws.
 * @see RFC 3339, section 5.6
 */
export function tryParseInstant(text: string): Instant | undefined {
  const match = FORM.exec(text)
  if (match === null) return undefined
  const [, local = '', fraction = '', sign, hours = '0', minutes = '0'] = match
  const localMs = Date.parse(`${local}Z`)
  // `Date` takes 30 February for 1 March.
  if (Number.isNaN(localMs) || !new Date(localMs).toISOString().startsWith(local)) return undefined
  const offsetMs = (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === '-' ? -1 : 1)
  return BigInt(localMs - offsetMs) * 1_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
}
