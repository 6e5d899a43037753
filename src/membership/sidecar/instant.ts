/** Nanoseconds since the Unix epoch; negative before 1970. */
export type Instant = bigint

/** What Go's zero time is written as, `0001-01-01T00:00:00Z`: the instant of a time that was never set. */
export const ZERO_INSTANT: Instant = -62_135_596_800_000_000_000n

/** A time with more digits than this after the second is refused; Go writes at most nine. */
const FRACTION_LIMIT = 30

const form = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/

/**
 * Reads an RFC 3339 time to the nanosecond, as Go's `time.Time` reads JSON: upper-case `T` and `Z`, no leap
 * seconds, any offset up to 23:59, digits after the ninth cut off. Two instants compare with `<`.
 *
 * @returns undefined for anything else; it never throws.
 * @see RFC 3339, section 5.6
 */
export function tryParseInstant(text: string): Instant | undefined {
  const match = form.exec(text)
  if (match === null) return undefined
  const [, yearText, monthText, dayText, hourText, minuteText, secondText] = match
  const [year, month, day] = [Number(yearText), Number(monthText), Number(dayText)]
  const [hour, minute, second] = [Number(hourText), Number(minuteText), Number(secondText)]
  const [, , , , , , , fraction = '', sign, offsetHourText = '0', offsetMinuteText = '0'] = match
  const [offsetHour, offsetMinute] = [Number(offsetHourText), Number(offsetMinuteText)]
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined
  if (hour > 23 || minute > 59 || second > 59) return undefined
  if (offsetHour > 23 || offsetMinute > 59 || fraction.length > FRACTION_LIMIT) return undefined
  const offsetSeconds = (offsetHour * 60 + offsetMinute) * 60 * (sign === '-' ? -1 : 1)
  const seconds =
    daysSinceEpoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offsetSeconds
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))
}

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
}

function daysIn(year: number, month: number): number {
  if (month === 2) return isLeap(year) ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** Days from 1970-01-01 in the Gregorian calendar; `Date.UTC` takes the years 0 to 99 for 1900 to 1999. */
function daysSinceEpoch(year: number, month: number, day: number): number {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date.getTime() / 86_400_000
}
