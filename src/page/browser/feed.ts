import type { PageData } from '../view/data.ts'

/** What is read of a ring. */
export type Answers = Pick<PageData, 'ring' | 'members' | 'changes' | 'agreement' | 'rings'>

/** How the page hears of changes. */
export type Connection = 'live' | 'polling' | 'lost'

/** Milliseconds between two looks at the members, of which the stream of rings does not tell. */
const MEMBERS_MS = 5000
/** The same where there are many. */
const MANY_MEMBERS_MS = 15_000
const MANY_MEMBERS = 200
/** Milliseconds between two looks at whether the members agree. */
const AGREEMENT_MS = 10_000
/** Milliseconds until a stream that was refused is asked for again. */
const REOPEN_MS = 3000
/** Milliseconds that changes gather. */
const GATHER_MS = 200

/** Asks the port that served the page, below `root`. */
export async function ask<T>(url: string): Promise<T> {
  const response = await fetch(url, { headers: { accept: 'application/json' }, cache: 'no-store' })
  const answer = (await response.json()) as T & { readonly detail?: string }
  if (!response.ok) throw new Error(answer.detail ?? `status ${response.status}`)
  return answer
}

interface FeedOptions {
  readonly wantsRings: boolean
  /** Called with everything after each change, once everything is known. */
  readonly changed: (answers: Answers) => void
  readonly connected: (connection: Connection) => void
}

/** Follows a ring: its events, and what they do not tell, for as long as somebody looks at the page. */
export class Feed {
  readonly #root: string
  readonly #options: FeedOptions
  readonly #answers: Partial<Answers> = {}
  #stream: EventSource | undefined
  #timer = 0
  #membersAt = 0
  #agreementAt = 0
  #busy = false

  /** @param root - Where the routes of the ring are, such as `v1`. */
  constructor(root: string, options: FeedOptions) {
    this.#root = root
    this.#options = options
  }

  start(): void {
    this.#open()
    this.#look(0)
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#look(0)
    })
  }

  /** Looks again soon, as after an action. */
  hurry(): void {
    this.#membersAt = 0
    this.#look(GATHER_MS)
  }

  #open(): void {
    const stream = new EventSource(`${this.#root}/ring/watch`)
    this.#stream = stream
    stream.addEventListener('ring', ({ data }: MessageEvent<string>) => {
      Object.assign(this.#answers, { ring: JSON.parse(data) as Answers['ring'] })
      this.#options.connected('live')
      this.hurry()
    })
    stream.addEventListener('error', () => {
      this.#look(0)
      // Otherwise the browser opens it again by itself.
      if (stream.readyState === EventSource.CLOSED) setTimeout(() => this.#open(), REOPEN_MS)
    })
  }

  /** Asks for what is due, after so many milliseconds. */
  #look(delayMs: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#askWhatIsDue(), delayMs)
  }

  async #askWhatIsDue(): Promise<void> {
    if (document.hidden || this.#busy) return
    this.#busy = true
    const isOpen = this.#stream?.readyState === EventSource.OPEN
    const nowMs = Date.now()
    const every = (this.#answers.members?.members.length ?? 0) > MANY_MEMBERS ? MANY_MEMBERS_MS : MEMBERS_MS
    try {
      if (nowMs - this.#membersAt >= every - GATHER_MS || !isOpen) {
        const [members, changes, ring, rings] = await Promise.all([
          ask<Answers['members']>(`${this.#root}/members`),
          ask<Answers['changes']>(`${this.#root}/changes`),
          isOpen ? undefined : ask<Answers['ring']>(`${this.#root}/ring`),
          this.#options.wantsRings ? ask<NonNullable<Answers['rings']>>('v1/rings') : undefined,
        ])
        Object.assign(this.#answers, { members, changes, rings, ...(ring === undefined ? {} : { ring }) })
        this.#membersAt = nowMs
        this.#options.connected(this.#stream?.readyState === EventSource.OPEN ? 'live' : 'polling')
        this.#tell()
      }
      if (nowMs - this.#agreementAt >= AGREEMENT_MS) {
        this.#agreementAt = nowMs
        Object.assign(this.#answers, {
          agreement: await ask<NonNullable<Answers['agreement']>>(`${this.#root}/agreement`),
        })
        this.#tell()
      }
    } catch {
      this.#options.connected('lost')
    } finally {
      this.#busy = false
      this.#look(every)
    }
  }

  #tell(): void {
    const { ring, members, changes, agreement, rings } = this.#answers
    if (ring !== undefined && members !== undefined && changes !== undefined) {
      this.#options.changed({ ring, members, changes, agreement, rings })
    }
  }
}
