import { sleep } from '../clock.ts'
import { RingmanError } from '../errors.ts'
import { LimitedWarnings } from '../limited-warnings.ts'
import type { Basics } from '../basics.ts'
import type { ApiClient, ApiEvent } from './api-client.ts'
import { apiError, apiErrorKindOf, retryAfterMsOf, type ApiErrorKind } from './api-error.ts'
import { resourceOf, type ApiSelection, type PartialSelection } from './api-resource.ts'

/** The pace of a list and watch. */
const DEFAULT_SETTINGS = {
  /** Everything is listed again after a time between these two, in milliseconds. */
  relistMinMs: 300_000,
  relistMaxMs: 600_000,
  /** Wait after the first failure in a row, in milliseconds, less up to half of it; it doubles up to the second. */
  backoffMinMs: 500,
  backoffMaxMs: 30_000,
  /** Objects that are asked for at a time. */
  pageSize: 200,
  /** Objects that are held at most; a list or a watch with more fails. */
  maxObjects: 20_000,
}

export type ListWatchSettings = Readonly<typeof DEFAULT_SETTINGS>

/** What is kept of an object. */
export interface Held {
  /** `metadata.name`, unique within the selection. */
  readonly name: string
}

export interface ListWatchOptions<T extends Held> extends Basics {
  readonly client: ApiClient
  readonly selection: PartialSelection
  /**
   * Takes what is needed of an object.
   *
   * @returns undefined for what is no such object, which makes the whole list or watch malformed.
   */
  readonly parse: (object: unknown) => T | undefined
  /** Objects that are not wanted are not held. @default all are */
  readonly wants?: (object: T) => boolean
  /**
   * Called after each list, changed or not, and after each batch of changes, with the whole set, which goes on changing.
   *
   * @param changed - Names of the objects that the batch was about; undefined after a list.
   */
  readonly onObjects: (objects: ReadonlyMap<string, T>, changed: ReadonlySet<string> | undefined) => void
  /** Called at each failure, before the wait that follows it. */
  readonly onFailure?: (error: RingmanError) => void
  readonly settings?: Partial<ListWatchSettings> | undefined
}

/** How well the objects are known. */
export interface ListWatchStatus {
  readonly listed: boolean
  /** Whether the last request has not failed: then the objects are as the server has them. */
  readonly current: boolean
  /** Milliseconds since the server last said something of them; undefined before the first list. */
  readonly sinceConfirmedMs: number | undefined
  readonly failuresInARow: number
  /** The last failure of this row, for a human; undefined without one. */
  readonly problem: string | undefined
  readonly counts: ListWatchCounts
}

/** What a list and watch has come to since it began. */
export interface ListWatchCounts {
  /** Lists that came whole, and watches that were opened. */
  readonly lists: number
  readonly watches: number
  /** Objects added, changed and deleted, as watches told. */
  readonly changes: number
  readonly bookmarks: number
  /** Lists and watches that failed. */
  readonly failures: number
}

/** A watch open for so long without a failure is a success, even if it brought nothing. */
const PROVEN_MS = 5000
/** A watch that the server ends sooner, and that brought nothing, is a failure: it must not be asked for at once. */
const TOO_SHORT_MS = 1000
/** Longest wait that the server can ask for. */
const RETRY_AFTER_LIMIT_MS = 60_000
/** Pages of one list, so that a server that always names a next one comes to an end. */
const PAGE_LIMIT = 500
/** Failures after which a watch does not go on from where it was: everything is listed again. */
const RESUMES_IN_A_ROW = 2
/** An outage that goes on is told again this often. */
const REMIND_EVERY_MS = 300_000
/** After these a watch can go on where it was: nothing said that it was wrong about anything. */
const RESUMABLE: typeof ROUTINE = ['cut', 'unreachable', 'throttled', 'unauthorized']
/** What happens now and then in a healthy cluster, and mends itself with the next try. */
const ROUTINE: readonly (ApiErrorKind | undefined)[] = ['cut', 'expired', 'throttled', 'stalled']

/**
 * Follows the objects of a selection: lists them, watches from there on, and begins again when the server says so, when
 * the watch fails in a way that leaves a doubt, and every few minutes anyway. There is one request at a time. Failures
 * are followed by waits that grow and have chance in them; the objects stay as they were meanwhile.
 *
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
export class ListWatch<T extends Held> {
  readonly #done = Promise.withResolvers<void>()
  readonly #first = Promise.withResolvers<void>()
  /** Rejects when the loop itself breaks, as when `onObjects` throws; resolves after `stop`. */
  readonly done = this.#done.promise
  /** Resolves after the first list; rejects when stopped before it. */
  readonly listed = this.#first.promise
  readonly #options: ListWatchOptions<T>
  readonly #settings: ListWatchSettings
  readonly #abort = new AbortController()
  readonly #warnings: LimitedWarnings
  #objects: Map<string, T> = new Map()
  #loop: Promise<void> | undefined
  #selection: ApiSelection | undefined
  /** Where the next watch goes on from; undefined when everything is to be listed. */
  #version: string | undefined
  #relistAtMs = 0
  #pageSize: number
  #confirmedAtMs: number | undefined
  #current = false
  #failuresInARow = 0
  #lastKind: ApiErrorKind | undefined
  #renewed = false
  #problem: string | undefined
  #counts = { lists: 0, watches: 0, changes: 0, bookmarks: 0, failures: 0 }

  constructor(options: ListWatchOptions<T>) {
    this.#options = options
    this.#settings = { ...DEFAULT_SETTINGS, ...options.settings }
    this.#pageSize = this.#settings.pageSize
    this.#warnings = new LimitedWarnings(options.clock, options.logger, REMIND_EVERY_MS)
    // Whoever awaits them still sees the rejection; without a waiter it must not end the process.
    this.done.catch(() => {})
    this.listed.catch(() => {})
  }

  get objects(): ReadonlyMap<string, T> {
    return this.#objects
  }

  get status(): ListWatchStatus {
    return {
      listed: this.#confirmedAtMs !== undefined,
      current: this.#current,
      sinceConfirmedMs:
        this.#confirmedAtMs === undefined ? undefined : this.#options.clock.now() - this.#confirmedAtMs,
      failuresInARow: this.#failuresInARow,
      problem: this.#problem,
      counts: { ...this.#counts },
    }
  }

  /** Where the objects are; undefined before the first request. */
  get namespace(): string | undefined {
    return this.#selection?.namespace
  }

  /** Begins. Once only. */
  start(): void {
    if (this.#loop !== undefined || this.#abort.signal.aborted) return
    this.#loop = this.#run().catch((error: unknown) => {
      this.#first.reject(error)
      this.#done.reject(error)
    })
  }

  /** Ends the request under way and the loop; nothing is called afterwards. Idempotent. */
  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#loop
    this.#first.reject(new RingmanError('SOURCE_FAILED', 'it was stopped before the first list'))
    this.#done.resolve()
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort
    const { clock } = this.#options
    while (!signal.aborted) {
      let waitMs = 0
      try {
        if (this.#version === undefined || clock.now() >= this.#relistAtMs) await this.#list(signal)
        await this.#watch(signal)
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof RingmanError) || apiErrorKindOf(error) === undefined) throw error
        waitMs = this.#fail(error)
      }
      if (waitMs > 0) await sleep(clock, waitMs, signal)
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, clock, random, onObjects } = this.#options
    const { maxObjects, relistMinMs, relistMaxMs } = this.#settings
    this.#version = undefined
    const selection = (this.#selection ??= await client.complete(this.#options.selection, signal))
    // What the list says was true at some time after this one.
    const askedAtMs = clock.now()
    const objects = new Map<string, T>()
    let next: string | undefined
    let version = ''
    for (let pages = 0; pages === 0 || next !== undefined; pages++) {
      if (pages >= PAGE_LIMIT) throw apiError('too-large', `the list has more than ${PAGE_LIMIT} pages`)
      const page = await this.#page(selection, next, signal)
      for (const item of page.items) {
        const object = this.#options.parse(item)
        if (object === undefined) throw this.#malformed()
        if (this.#wants(object)) objects.set(object.name, object)
      }
      if (objects.size > maxObjects) throw tooMany(selection, maxObjects)
      next = page.next
      version = page.version
    }
    signal.throwIfAborted()
    this.#counts.lists += 1
    this.#pageSize = this.#settings.pageSize
    this.#objects = objects
    this.#version = version
    this.#confirmedAtMs = askedAtMs
    this.#relistAtMs = clock.now() + relistMinMs + (relistMaxMs - relistMinMs) * random()
    this.#current = true
    onObjects(objects, undefined)
    this.#first.resolve()
  }

  async #page(selection: ApiSelection, next: string | undefined, signal: AbortSignal) {
    try {
      return await this.#options.client.list(selection, { limit: this.#pageSize, next }, signal)
    } catch (error) {
      // The pages took longer than the server remembers them: the next try asks for all at once.
      if (next !== undefined && apiErrorKindOf(error) === 'expired') this.#pageSize = 0
      throw error
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { client, clock, onObjects } = this.#options
    const version = this.#version
    const selection = this.#selection
    if (version === undefined || selection === undefined || signal.aborted) return
    const timeoutMs = Math.max(0, this.#relistAtMs - clock.now())
    const untilRelist = new AbortController()
    const cancel = clock.after(timeoutMs, () => untilRelist.abort())
    let cancelProof = () => {}
    let openedAtMs: number | undefined
    let eventful = false
    try {
      const ends = AbortSignal.any([signal, untilRelist.signal])
      for await (const events of client.watch(selection, { version, timeoutMs }, ends)) {
        if (signal.aborted) return
        if (openedAtMs === undefined) {
          openedAtMs = clock.now()
          this.#counts.watches += 1
          cancelProof = clock.after(PROVEN_MS, () => this.#succeed())
        }
        if (events.length === 0) continue
        eventful = true
        this.#confirmedAtMs = clock.now()
        const { changed, failure } = this.#take(events)
        if (failure === undefined) this.#succeed()
        if (changed.size > 0) onObjects(this.#objects, changed)
        if (failure !== undefined) throw failure
      }
    } catch (error) {
      if (!untilRelist.signal.aborted || signal.aborted || apiErrorKindOf(error) === undefined) throw error
      // The time for the next list has come: the watch was ended by us.
    } finally {
      cancel()
      cancelProof()
    }
    // Not by the clock alone: a timer may be a little early.
    if (untilRelist.signal.aborted) this.#version = undefined
    const tooShort = !eventful && clock.now() - (openedAtMs ?? clock.now()) < TOO_SHORT_MS
    if (tooShort && !untilRelist.signal.aborted) {
      throw apiError('cut', 'the server ended the watch as soon as it had begun')
    }
  }

  /** @returns The names of what changed, and what is wrong with the event after that, if something is. */
  #take(events: readonly ApiEvent[]): { changed: Set<string>; failure: RingmanError | undefined } {
    const { maxObjects } = this.#settings
    const objects = this.#objects
    const changed = new Set<string>()
    let failure: RingmanError | undefined
    for (const { type, object, version } of events) {
      if (type === 'BOOKMARK') {
        this.#counts.bookmarks += 1
      } else {
        const parsed = this.#options.parse(object)
        if (parsed === undefined) {
          failure = this.#malformed()
          break
        }
        const { name } = parsed
        if (type !== 'DELETED' && this.#wants(parsed)) {
          objects.set(name, parsed)
          changed.add(name)
        } else if (objects.delete(name)) changed.add(name)
        this.#counts.changes += 1
      }
      this.#version = version
    }
    if (failure === undefined && objects.size > maxObjects) {
      return { changed: new Set(), failure: tooMany(this.#options.selection, maxObjects) }
    }
    return { changed, failure }
  }

  #wants(object: T): boolean {
    return this.#options.wants?.(object) ?? true
  }

  #malformed(): RingmanError {
    const what = resourceOf(this.#options.selection.kind)
    return apiError('malformed', `one of the ${what} is not what Kubernetes calls so`)
  }

  #succeed(): void {
    this.#renewed = false
    this.#current = true
    if (this.#failuresInARow === 0) return
    if (this.#warnings.reset()) {
      this.#options.logger.info(
        { event: 'kubernetes.reached', failures: this.#failuresInARow },
        'Followed the Kubernetes API again',
      )
    }
    this.#failuresInARow = 0
    this.#lastKind = undefined
    this.#problem = undefined
  }

  /** @returns How long to wait before the next try, in milliseconds. */
  #fail(error: RingmanError): number {
    const kind = apiErrorKindOf(error)
    const { random } = this.#options
    const { backoffMinMs, backoffMaxMs } = this.#settings
    if (kind === 'unauthorized' || kind === 'credentials') {
      this.#options.client.transport.renewCredentials()
      // A token that has just been replaced: the new one is tried at once, but only once.
      if (kind === 'unauthorized' && !this.#renewed) {
        this.#renewed = true
        return 0
      }
    }
    this.#failuresInARow += 1
    this.#counts.failures += 1
    this.#problem = error.message
    if (!RESUMABLE.includes(kind) || this.#failuresInARow > RESUMES_IN_A_ROW) this.#version = undefined
    this.#logFailure(error, kind)
    this.#options.onFailure?.(error)
    // Routine: the server forgets old versions, and some send no bookmarks. The list at once will tell; only a second
    // one in a row is a sign of trouble.
    const isNew = this.#lastKind !== kind
    this.#lastKind = kind
    if (isNew && (kind === 'expired' || kind === 'stalled')) return 0
    this.#current = false
    const backoffMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(20, this.#failuresInARow - 1))
    const askedMs = Math.min(RETRY_AFTER_LIMIT_MS, retryAfterMsOf(error))
    return Math.max(backoffMs * (0.5 + 0.5 * random()), askedMs * (1 + 0.2 * random()))
  }

  #logFailure(error: RingmanError, kind: ApiErrorKind | undefined): void {
    const failures = this.#failuresInARow
    const fields = { event: 'kubernetes.failed', reason: kind, err: error, failures }
    const isRoutine = failures === 1 && ROUTINE.includes(kind)
    if (
      isRoutine ||
      !this.#warnings.warn(fields, 'Failed to follow the Kubernetes API; it is tried again', kind)
    ) {
      this.#options.logger.debug(fields, 'Failed to follow the Kubernetes API')
    }
  }
}

function tooMany({ kind }: PartialSelection, maxObjects: number): RingmanError {
  return apiError('too-large', `there are more than ${maxObjects} ${resourceOf(kind)} in the selection`)
}
