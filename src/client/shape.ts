import { RingmanError } from '../errors.ts'

/**
 * Reads a value of a shape out of JSON, and leaves out what the shape does not name, so that a newer member can say more.
 *
 * @param place - Where the value stands, for the message.
 * @throws {RingmanError} `RESPONSE_INVALID` for a value of another shape; the message does not quote it.
 */
export type Shape<T> = (value: unknown, place: string) => T

/** What a shape reads. */
export type Shaped<S> = S extends Shape<infer T> ? T : never

function misshapen(place: string, wanted: string): RingmanError {
  return new RingmanError('RESPONSE_INVALID', `${place} is not ${wanted}`)
}

export const text: Shape<string> = (value, place) => {
  if (typeof value !== 'string') throw misshapen(place, 'text')
  return value
}

export const number: Shape<number> = (value, place) => {
  if (typeof value !== 'number') throw misshapen(place, 'a number')
  return value
}

export const flag: Shape<boolean> = (value, place) => {
  if (typeof value !== 'boolean') throw misshapen(place, 'true or false')
  return value
}

/** A place in a list. */
export const index: Shape<number> = (value, place) => {
  const given = number(value, place)
  if (!Number.isSafeInteger(given) || given < 0) throw misshapen(place, 'an index')
  return given
}

export function orNull<T>(shape: Shape<T>): Shape<T | null> {
  return (value, place) => (value === null ? null : shape(value, place))
}

/** @param most - Longest list that is read. */
export function list<T>(shape: Shape<T>, most = Infinity): Shape<T[]> {
  return (value, place) => {
    if (!Array.isArray(value)) throw misshapen(place, 'a list')
    if (value.length > most) throw misshapen(place, `a list of at most ${most}`)
    return value.map((entry, at) => shape(entry, `${place}[${at}]`))
  }
}

type Fields = Readonly<Record<string, Shape<unknown>>>
type Read<F extends Fields> = { readonly [name in keyof F]: Shaped<F[name]> }

/** An object with these fields; those in `optional` may be missing, but not have another shape. */
export function object<F extends Fields>(fields: F): Shape<Read<F>>
export function object<F extends Fields, O extends Fields>(
  fields: F,
  optional: O,
): Shape<Read<F> & Partial<Read<O>>>
export function object(fields: Fields, optional: Fields = {}): Shape<Record<string, unknown>> {
  const required = Object.entries(fields)
  const possible = Object.entries(optional)
  return (value, place) => {
    if (typeof value !== 'object' || value === null) throw misshapen(place, 'an object')
    const given = value as Record<string, unknown>
    const read: Record<string, unknown> = {}
    for (const [name, shape] of required) read[name] = shape(given[name], `${place}.${name}`)
    for (const [name, shape] of possible) {
      if (given[name] !== undefined) read[name] = shape(given[name], `${place}.${name}`)
    }
    return read
  }
}
