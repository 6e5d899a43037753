import { isRingmanError } from '../../src/errors.ts'

/** The code of the error with which work fails, or what else it fails with in words; `none` where it does not. */
export function codeOf(work: Promise<unknown>): Promise<string>
export function codeOf(work: () => unknown): string
export function codeOf(work: Promise<unknown> | (() => unknown)): string | Promise<string> {
  const nameOf = (error: unknown) => (isRingmanError(error) ? error.code : String(error))
  if (work instanceof Promise) return work.then(() => 'none', nameOf)
  try {
    work()
    return 'none'
  } catch (error) {
    return nameOf(error)
  }
}
