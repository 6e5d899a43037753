import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { Clock } from '../clock.ts'
import { configInvalid, messageOf, RingmanError } from '../errors.ts'
import { LimitedWarnings } from '../limited-warnings.ts'
import type { Logger } from '../logger.ts'
import { readSmallFileSync } from '../small-file.ts'

/** How old what was read of the token file may be, in milliseconds. */
const TOKEN_AGE_MS = 1000
/** Longest token, in bytes. */
const MAX_TOKEN_BYTES = 4096
/** A token of fewer characters is warned of: it may be guessed. */
const SAFE_TOKEN_LENGTH = 16

export interface ActingGuardOptions {
  /** File with the token; see {@link ActingGuard.hasToken}. */
  readonly tokenFile: string | undefined
  /** Host names, in lower case, by which this process may be asked to act, besides IP addresses and `localhost`. */
  readonly allowedHosts: readonly string[]
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Who may have this process do something: whoever has the token, and no web page that an operator's browser shows.
 *
 * A page of elsewhere is known by its `Origin` and `Sec-Fetch-Site`. One that has had its own name lead here (DNS rebinding)
 * sends neither, but names itself as the `Host`.
 */
export class ActingGuard {
  readonly #options: ActingGuardOptions
  readonly #allowedHosts: ReadonlySet<string>
  readonly #warnings: LimitedWarnings
  #token: { readonly digest: Buffer; readonly readMs: number } | undefined

  /** @throws {RingmanError} `CONFIG_INVALID` when there is a token file with no token in it. */
  constructor(options: ActingGuardOptions) {
    this.#options = options
    this.#allowedHosts = new Set(options.allowedHosts)
    this.#warnings = new LimitedWarnings(options.clock, options.logger)
    if (options.tokenFile !== undefined && this.#readToken(options.tokenFile) < SAFE_TOKEN_LENGTH) {
      options.logger.warn(
        { event: 'token.short', path: options.tokenFile },
        `The token is shorter than ${SAFE_TOKEN_LENGTH} characters and may be guessed`,
      )
    }
  }

  /** Whether there is a token to be shown. */
  get hasToken(): boolean {
    return this.#options.tokenFile !== undefined
  }

  /** The token file, where it cannot be used as it is now. */
  get unusableFiles() {
    const { tokenFile } = this.#options
    try {
      if (tokenFile !== undefined) parseToken(readSmallFileSync(tokenFile))
      return []
    } catch (error) {
      return [{ what: `token file ${tokenFile}`, reason: messageOf(error) }]
    }
  }

  /**
   * Checks where a request comes from, not its token.
   *
   * @param pages - Whether a page of this very host may send it.
   * @throws {RingmanError} `FORBIDDEN`.
   */
  checkOrigin({ headers, socket }: IncomingMessage, pages: boolean): void {
    const { origin, 'sec-fetch-site': site, host = '' } = headers
    const isOwn = site === undefined || site === 'same-origin' || site === 'none'
    const isAllowed = pages
      ? isOwn && (origin === undefined || URL.parse(origin)?.host === host.toLowerCase())
      : origin === undefined && site === undefined
    if (!isAllowed) this.#forbid('requests of web pages are not taken', socket.remoteAddress)
    if (!this.#isOwnHost(host)) {
      this.#forbid(
        `the Host must be an IP address, localhost or one of --allowed-hosts, got ${JSON.stringify(host.slice(0, 64))}`,
        socket.remoteAddress,
      )
    }
  }

  /**
   * @param basic - Whether the token may also come as the password of basic authentication.
   * @throws {RingmanError} `UNAUTHORIZED`. It takes the same time however much of a token is right.
   */
  checkToken({ headers, socket }: IncomingMessage, basic: boolean): void {
    const { tokenFile, clock } = this.#options
    if (tokenFile === undefined) return
    if (this.#token === undefined || clock.now() - this.#token.readMs > TOKEN_AGE_MS) {
      try {
        this.#readToken(tokenFile)
      } catch (error) {
        // The one that was read before still counts: a mounted Secret is away for a moment when it changes.
        this.#warnings.warn(
          { event: 'token.unreadable', reason: messageOf(error) },
          'Failed to read the token file; the token stays',
        )
      }
    }
    const given = tokenIn(headers.authorization ?? '', basic)
    if (
      given !== undefined &&
      this.#token !== undefined &&
      timingSafeEqual(digestOf(given), this.#token.digest)
    )
      return
    const message = 'the token is missing or wrong'
    this.#warnings.warn(
      { event: 'admin.refused', reason: message, address: socket.remoteAddress ?? '' },
      'Refused to act',
      'token',
    )
    throw new RingmanError('UNAUTHORIZED', message)
  }

  /** @returns The length of the token, in characters. */
  #readToken(path: string): number {
    const token = tokenOf(path)
    this.#token = { digest: digestOf(token), readMs: this.#options.clock.now() }
    return token.length
  }

  #isOwnHost(host: string): boolean {
    const name = host.toLowerCase().replace(/:\d+$/, '').replace(/\.$/, '')
    if (name === 'localhost' || name.endsWith('.localhost')) return true
    return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 || this.#allowedHosts.has(name)
  }

  #forbid(message: string, address = ''): never {
    this.#warnings.warn({ event: 'admin.refused', reason: message, address }, 'Refused to act', 'origin')
    throw new RingmanError('FORBIDDEN', message)
  }
}

/** @throws {RingmanError} `CONFIG_INVALID` when there is no token in the file. */
export function tokenOf(path: string): string {
  try {
    return parseToken(readSmallFileSync(path))
  } catch (error) {
    throw configInvalid(`the token file ${path} cannot be used: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** @throws {RingmanError} `CONFIG_INVALID` when the text of a token file is no token. */
export function parseToken(text: string): string {
  const token = text.trim()
  if (token === '') throw configInvalid('it is empty')
  if (token.length > MAX_TOKEN_BYTES || !/^[\x21-\x7e]+$/.test(token)) {
    const allowed = `one line of at most ${MAX_TOKEN_BYTES} visible ASCII characters`
    throw configInvalid(`it must hold ${allowed}`)
  }
  return token
}

function tokenIn(header: string, basic: boolean): string | undefined {
  const [, scheme = '', credentials = ''] = /^(\S+) +(\S+) *$/.exec(header) ?? []
  if (scheme.toLowerCase() === 'bearer') return credentials
  if (!basic || scheme.toLowerCase() !== 'basic') return undefined
  const pair = Buffer.from(credentials, 'base64').toString('utf8')
  return pair.slice(pair.indexOf(':') + 1)
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
