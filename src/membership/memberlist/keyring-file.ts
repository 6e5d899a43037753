import { readFile, stat } from 'node:fs/promises'
import type { Clock } from '../../clock.ts'
import { RingmanError } from '../../errors.ts'
import type { Logger } from '../../logger.ts'
import { keyId, parseKeyring, type Keyring } from './keyring.ts'

/** How often the file is looked at, in milliseconds. A mounted Secret itself takes up to a minute to change. */
export const KEYRING_POLL_MS = 5000

/** Largest file that is read; {@link parseKeyring} takes far less. */
const MAX_FILE_BYTES = 64 * 1024

export interface KeyringFileOptions {
  readonly path: string
  readonly clock: Clock
  readonly logger: Logger
  /** Called with each keyring after the first. */
  readonly onChange: (keyring: Keyring) => void
  /** @default KEYRING_POLL_MS */
  readonly pollMs?: number | undefined
}

/**
 * Follows a keyring file. It reads the content again and again instead of watching the file, because a mounted
 * Secret is changed by swapping a link above it, which file watches do not see. A file that has become unusable
 * changes nothing: the keys in use stay, with a warning.
 */
export class KeyringFile {
  readonly #options: KeyringFileOptions
  #text = ''
  #failure: string | undefined
  #cancelTimer: (() => void) | undefined
  #stopped = false

  constructor(options: KeyringFileOptions) {
    this.#options = options
  }

  /**
   * Reads the file and begins to follow it.
   *
   * @throws {RingmanError} `CONFIG_INVALID` when it cannot be read or holds no usable keyring.
   */
  async start(): Promise<Keyring> {
    let keyring: Keyring
    try {
      this.#text = await this.#read()
      keyring = parseKeyring(this.#text)
    } catch (error) {
      throw new RingmanError(
        'CONFIG_INVALID',
        `the keyring file ${this.#options.path} cannot be used: ${messageOf(error)}`,
        { cause: error },
      )
    }
    this.#schedule()
    return keyring
  }

  /** Ends following; nothing is called afterwards. Idempotent. */
  stop(): void {
    this.#stopped = true
    this.#cancelTimer?.()
  }

  /** Looks at the file now. @returns Why it cannot be used; undefined where it can. */
  async reload(): Promise<string | undefined> {
    await this.#look()
    return this.#failure
  }

  #schedule(): void {
    if (this.#stopped) return
    this.#cancelTimer?.()
    this.#cancelTimer = this.#options.clock.after(this.#options.pollMs ?? KEYRING_POLL_MS, () => {
      void this.#look()
    })
  }

  /** One look at the file; it never rejects. */
  async #look(): Promise<void> {
    const { path, logger, onChange } = this.#options
    try {
      const text = await this.#read()
      if (this.#stopped) return
      if (text !== this.#text) {
        const keyring = parseKeyring(text)
        this.#text = text
        logger.info(
          { event: 'keyring.changed', path, keys: keyring.map(keyId) },
          'Took up the changed keyring',
        )
        onChange(keyring)
      }
      this.#failure = undefined
    } catch (error) {
      const failure = messageOf(error)
      if (failure !== this.#failure && !this.#stopped) {
        logger.warn(
          { event: 'keyring.refused', path, reason: failure },
          'Failed to read the keyring file; the keys in use stay',
        )
      }
      this.#failure = failure
    }
    this.#schedule()
  }

  async #read(): Promise<string> {
    const { size } = await stat(this.#options.path)
    if (size > MAX_FILE_BYTES) {
      throw new RingmanError('CONFIG_INVALID', `it has ${size} bytes; at most ${MAX_FILE_BYTES} are allowed`)
    }
    return readFile(this.#options.path, 'utf8')
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
