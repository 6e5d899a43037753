/**
 * What comes of some work, or a rejection as soon as `signal` aborts: for work that may not hear of the signal itself.
 *
 * @param why - Makes what it rejects with. @default the signal's reason
 */
export function unlessAborted<T>(
  signal: AbortSignal,
  work: Promise<T>,
  why: () => unknown = () => signal.reason,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const onAbort = () => reject(why())
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  work.then(resolve, reject)
  return promise.finally(() => signal.removeEventListener('abort', onAbort))
}
