import type { Clock } from '../../clock.ts'
import { configInvalid, messageOf } from '../../errors.ts'
import { readSmallFile } from '../../small-file.ts'

/** How often a file is looked at, in milliseconds. A mounted Secret itself takes up to a minute to change. */
export const FILE_POLL_MS = 5000

export interface FollowedFileOptions<T> {
  readonly path: string
  /** What the file is called in messages, in front of its path. */
  readonly what: string
  /** Reads the content; it throws an error that says what is wrong with it. */
  readonly parse: (text: string) => T
  readonly clock: Clock
  /** Called with each content after the first. */
  readonly onChange: (content: T) => void
  /** Called when the file has become unusable, and why; not again for the same reason. */
  readonly onRefused: (reason: string) => void
}

/**
 * Follows a file. It reads the content again and again instead of watching the file, because a mounted
 * Secret is changed by swapping a link above it, which file watches do not see. A file that has become unusable
 * changes nothing: what was read last stays in use.
 */
export class FollowedFile<T> {
  readonly #options: FollowedFileOptions<T>
  /** What was read last and could be used. */
  #current: { readonly text: string; readonly content: T } | undefined
  #failure: string | undefined
  #cancelTimer: (() => void) | undefined
  #stopped = false

  constructor(options: FollowedFileOptions<T>) {
    this.#options = options
  }

  /** What the file is called in messages, with its path. */
  get what(): string {
    return `${this.#options.what} ${this.#options.path}`
  }

  /**
   * Reads the file and begins to follow it.
   *
   * @throws {RingmanError} `CONFIG_INVALID` when it cannot be read or used.
   */
  async start(): Promise<T> {
    const { path, parse } = this.#options
    let content: T
    try {
      const { text } = await readSmallFile(path)
      content = parse(text)
      this.#current = { text, content }
    } catch (error) {
      throw configInvalid(`the ${this.what} cannot be used: ${messageOf(error)}`, { cause: error })
    }
    this.#schedule()
    return content
  }

  /** Ends following; nothing is called afterwards. Idempotent. */
  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
  }

  /** Why the file cannot be used, as of the last look; undefined where it can. */
  get failure(): string | undefined {
    return this.#failure
  }

  /**
   * Looks at the file now, and takes up what is new.
   *
   * @param dryRun - Whether only to look. @default false
   * @throws Why the file cannot be used.
   */
  async reload(dryRun = false): Promise<{ readonly content: T; readonly isNew: boolean }> {
    const { path, parse, onChange, onRefused } = this.#options
    try {
      const { text } = await readSmallFile(path)
      const current = this.#current
      const isNew = current?.text !== text
      const content = current?.text === text ? current.content : parse(text)
      if (isNew && !dryRun && !this.#stopped) {
        this.#current = { text, content }
        onChange(content)
      }
      this.#failure = undefined
      return { content, isNew }
    } catch (error) {
      const failure = messageOf(error)
      if (failure !== this.#failure && !this.#stopped) onRefused(failure)
      this.#failure = failure
      throw error
    }
  }

  #schedule(): void {
    if (this.#stopped) return
    this.#cancelTimer?.()
    this.#cancelTimer = this.#options.clock.after(FILE_POLL_MS, () => {
      void this.#poll()
    })
  }

  /** One look at the file; it never rejects. */
  async #poll(): Promise<void> {
    try {
      await this.reload()
    } catch {
      // It is told already: `onRefused`.
    }
    this.#schedule()
  }
}
