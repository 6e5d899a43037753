/** Whether a value is an integer from `least` to `most`. */
export function isWithin(value: unknown, least: number, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= most
}

/** Whether a text is a port: a decimal integer from 1 to 65535 in its one spelling. */
export function isPort(text: string): boolean {
  return /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535
}
