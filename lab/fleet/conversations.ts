import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import type { Fleet } from './fleet.ts'
import type { Answer } from './load.ts'

export interface ConversationOptions {
  readonly fleet: Fleet
  readonly rooms: readonly string[]
  /** In each room. */
  readonly clients: number
  /** Between the answer to one message and the next message of a client, in milliseconds. */
  readonly pauseMs: number
}

/** What a client hears first: what was said in the room. Then comes each message. */
interface Welcome {
  readonly openAt: string
  /** When the talk began. */
  readonly since: number
  readonly messages: readonly Message[]
}

interface Message {
  readonly number: number
  readonly text: string
  readonly at: number
}

/** What was heard of a talk: each room has one, unless it is lost with the instance that died. */
interface Talk {
  readonly room: string
  readonly numbers: Map<number, string>
  readonly texts: Set<string>
}

/** How long a client tries to say one thing, wherever its room is, in milliseconds. */
const PATIENCE_MS = 30_000

/** How long it waits at one instance to be let in, or to hear what it said, in milliseconds. */
const WAIT_MS = 5000

/** Between two attempts to connect, in milliseconds. */
const RETRY_MS = 50

/**
 * Clients that talk in the rooms of `examples/rooms.ts`: each says one thing after the other, and counts on hearing it. When its
 * connection ends it connects again, to the next instance, and says what was not heard once more.
 */
export class Conversations {
  /** Who was heard from, as answers of the owner of a room. */
  readonly answers: Answer[] = []
  /** Messages that nobody heard in time, or that were heard twice, and numbers that were given twice. */
  readonly failures: string[] = []
  /** Connections that ended, or were not taken, and were made again. */
  reconnected = 0
  readonly #options: ConversationOptions
  readonly #talks = new Map<string, Map<number, Talk>>()
  readonly #over = new AbortController()
  readonly #running: Promise<unknown>
  #turn = 0

  constructor(options: ConversationOptions) {
    this.#options = options
    const { rooms, clients } = options
    this.#running = Promise.all(
      rooms.flatMap((room) => Array.from({ length: clients }, (_, n) => this.#talk(room, `${room}-${n}`))),
    )
  }

  /** Resolves when as many more messages were heard. */
  async more(count: number): Promise<void> {
    const end = this.answers.length + count
    while (this.answers.length < end && !this.#over.signal.aborted) await sleep(20)
  }

  /** For each room when its talk began, and began again where it was lost. */
  get beginnings(): Record<string, readonly number[]> {
    return Object.fromEntries([...this.#talks].map(([room, talks]) => [room, [...talks.keys()]]))
  }

  /** Numbers that were given to nothing that was heard. */
  get gaps(): string[] {
    return [...this.#talks].flatMap(([room, talks]) =>
      [...talks.values()].flatMap(({ numbers }) =>
        Array.from({ length: Math.max(...numbers.keys()) }, (_, n) => n + 1)
          .filter((number) => !numbers.has(number))
          .map((number) => `${room}: ${number}`),
      ),
    )
  }

  async end(): Promise<void> {
    this.#over.abort()
    await this.#running
  }

  async #talk(room: string, name: string): Promise<void> {
    const isOver = () => this.#over.signal.aborted
    let next = 1
    let sinceMs = performance.now()
    while (!isOver()) {
      const { fleet, pauseMs } = this.#options
      const { ringKey } = fleet.rotation[this.#turn++ % fleet.rotation.length] ?? { ringKey: 'nobody' }
      const socket = new WebSocket(`ws://${ringKey}/rooms/${room}`, { handshakeTimeout: WAIT_MS })
      const hearing = new Hearing(socket)
      try {
        const { openAt, since, messages } = (await hearing.next()) as Welcome
        const talk = this.#talkOf(room, since)
        const by = openAt.replace('rooms-', '127.0.0.1:')
        for (const message of messages) this.#note(talk, message)
        while (!isOver()) {
          const text = `${name}:${next}`
          if (!talk.texts.has(text)) {
            socket.send(text)
            for (;;) {
              const message = (await hearing.next()) as Message
              this.#note(talk, message)
              this.answers.push({ key: room, by, isOwner: true, hit: true, atMs: message.at })
              if (message.text === text) break
            }
          }
          next++
          sinceMs = performance.now()
          await sleep(pauseMs)
        }
      } catch (error) {
        this.reconnected++
        if (performance.now() - sinceMs > PATIENCE_MS && !isOver()) {
          this.failures.push(`${name}:${next} was not heard: ${String(error)}`)
          sinceMs = performance.now()
        }
        await sleep(RETRY_MS)
      } finally {
        socket.terminate()
      }
    }
  }

  #talkOf(room: string, since: number): Talk {
    const talks = this.#talks.get(room) ?? new Map<number, Talk>()
    this.#talks.set(room, talks)
    const talk = talks.get(since) ?? { room, numbers: new Map(), texts: new Set() }
    talks.set(since, talk)
    return talk
  }

  /** Every number is given once, and everything is said once. */
  #note({ room, numbers, texts }: Talk, { number, text }: Message): void {
    const before = numbers.get(number)
    if (before === text) return
    if (before !== undefined) this.failures.push(`${room}: number ${number} is ${before} and ${text}`)
    else if (texts.has(text)) this.failures.push(`${room}: ${text} was said twice`)
    numbers.set(number, text)
    texts.add(text)
  }
}

/** What comes over a WebSocket, one message after the other. */
class Hearing {
  readonly #socket: WebSocket
  readonly #heard: string[] = []
  #wake = () => {}

  constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data) => {
      this.#heard.push((data as Buffer).toString())
      this.#wake()
    })
    socket.on('close', () => {
      this.#wake()
    })
    socket.on('error', () => {})
  }

  /** @throws when the connection ends, or nothing comes for too long. */
  async next(): Promise<unknown> {
    if (this.#heard.length === 0 && this.#socket.readyState < WebSocket.CLOSING) {
      await new Promise<void>((resolve) => {
        const cancel = setTimeout(resolve, WAIT_MS)
        this.#wake = () => {
          clearTimeout(cancel)
          resolve()
        }
      })
    }
    const heard = this.#heard.shift()
    if (heard === undefined) throw new Error('it ended, or nothing was heard')
    return JSON.parse(heard)
  }
}
