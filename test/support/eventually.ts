import { setTimeout as wait } from 'node:timers/promises'

/**
 * Looks again and again until there is something else than false or undefined, and returns it. An error counts as not yet.
 *
 * @param options - `facts` is asked for at the deadline.
 * @throws {Error} after `withinMs` (a minute), caused by the last error.
 */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  options: {
    readonly withinMs?: number
    readonly everyMs?: number
    readonly facts?: () => string | Promise<string>
  } = {},
): Promise<Exclude<Awaited<T>, false | undefined>> {
  const { withinMs = 60_000, everyMs = 50, facts = () => '' } = options
  const untilMs = performance.now() + withinMs
  for (;;) {
    let cause: unknown
    try {
      const found = await look()
      if (found !== false && found !== undefined) return found as Exclude<Awaited<T>, false | undefined>
    } catch (error) {
      cause = error
    }
    if (performance.now() > untilMs) {
      throw new Error(`not within ${withinMs} ms: ${what}\n${await facts()}`, { cause })
    }
    await wait(everyMs)
  }
}
