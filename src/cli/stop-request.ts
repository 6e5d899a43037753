import type { EventEmitter } from 'node:events'
import { systemClock, type Clock } from '../clock.ts'

/** Signals that ask for an orderly end, with the exit code of a process that one of them ends at once. */
const SIGNALS: readonly (readonly [NodeJS.Signals, number])[] = [
  ['SIGTERM', 143],
  ['SIGINT', 130],
  ['SIGHUP', 129],
  ['SIGQUIT', 131],
]

/**
 * For so many milliseconds the same signal is the same request: a terminal sends it to npm and to what npm runs, and npm passes it
 * on.
 */
const SAME_REQUEST_MS = 500

/**
 * The first request to stop: a signal, or the end of a parent process that holds an IPC channel to this one. A signal after
 * it is for `endNow`, with its exit code.
 *
 * @returns What asked, in words.
 */
export function listenForStop(
  endNow: (signal: NodeJS.Signals, code: number) => void,
  clock: Pick<Clock, 'now'> = systemClock,
  source: EventEmitter & { readonly channel?: NodeJS.Process['channel'] | undefined } = process,
): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let first: { readonly by: string; readonly atMs: number } | undefined
  const ask = (by: string) => {
    first = { by, atMs: clock.now() }
    resolve(by)
  }
  for (const [signal, code] of SIGNALS) {
    source.on(signal, () => {
      if (first === undefined) ask(signal)
      else if (first.by !== signal || clock.now() - first.atMs >= SAME_REQUEST_MS) endNow(signal, code)
    })
  }
  if (source.channel !== undefined) {
    source.channel?.unref()
    source.once('disconnect', () => {
      if (first === undefined) ask('the end of the parent process')
    })
  }
  return promise
}
