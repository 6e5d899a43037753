import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Environment } from '../config/environment.ts'
import { isObject, objectIn } from '../is-object.ts'
import { shortened } from '../printable.ts'
import type { ReportedChange } from './dev-agreement.ts'

/** Where a member listens, as its `ready` line says. */
export interface DevMemberAddresses {
  readonly url: string
  readonly adminUrl: string
  /** `HOST:PORT`. */
  readonly gossip: string
}

/** How a member's process came to its end. */
export interface DevMemberEnd {
  /** Undefined after a signal. */
  readonly code: number | undefined
  readonly signal: string | undefined
  /** What it said last of a failure. */
  readonly reason: string | undefined
}

export interface DevMemberOptions {
  readonly name: string
  readonly servicePort: number
  readonly env: Environment
  /** What the member tells the cluster. */
  readonly listener: {
    ringChanged(member: DevMember, change: ReportedChange): void
    /** A line of its log, or of its standard error (level `error`), as it came. */
    logged(member: DevMember, level: string, line: string): void
    ended(member: DevMember, end: DevMemberEnd): void
  }
}

/** Longest line of a member that is kept while it has no end, in characters. */
const LINE_LIMIT = 64 * 1024

/**
 * One member of the local cluster: a child process that runs `ringman serve` on loopback ports of its own choice. It is
 * in a process group of its own, so that Ctrl-C reaches only the parent, which then stops it; if the parent dies, the
 * end of the IPC channel ends it.
 */
export class DevMember {
  readonly name: string
  readonly ringKey: string
  readonly #options: DevMemberOptions
  readonly #ready = Promise.withResolvers<DevMemberAddresses>()
  readonly #ended = Promise.withResolvers<DevMemberEnd>()
  /** Settles when the process is over, however that came. */
  readonly ended = this.#ended.promise
  #child: ChildProcess | undefined
  #addresses: DevMemberAddresses | undefined
  #reason: string | undefined

  constructor(options: DevMemberOptions) {
    this.name = options.name
    this.ringKey = `127.0.0.1:${options.servicePort}`
    this.#options = options
    this.#ready.promise.catch(() => {})
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Whether its process runs. */
  get alive(): boolean {
    return this.pid !== undefined
  }

  /** Where it listens; undefined until it is ready. */
  get addresses(): DevMemberAddresses | undefined {
    return this.#addresses
  }

  /**
   * @param flags - Flags of `ringman serve` beside those that every member of a local cluster has.
   * @throws {Error} when its process ends before it is ready.
   */
  start(flags: readonly string[]): Promise<DevMemberAddresses> {
    const { servicePort, env } = this.#options
    const script = process.argv[1] ?? ''
    const own = {
      '--name': this.name,
      '--bind': '127.0.0.1',
      '--gossip-port': '0',
      '--http-host': '127.0.0.1',
      '--http-port': '0',
      '--admin-port': '0',
      '--service-port': String(servicePort),
      '--drain': '0',
      '--log-format': 'json',
    }
    const child = spawn(process.execPath, [script, 'serve', ...Object.entries(own).flat(), ...flags], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      detached: true,
      env: Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('RINGMAN_'))),
    })
    this.#child = child
    eachLine(child.stdout, (line) => this.#readLog(line))
    eachLine(child.stderr, (line) => {
      // A stack trace begins with what happened.
      this.#reason ??= line
      this.#options.listener.logged(this, 'error', line)
    })
    child.once('error', (error) => this.#end({ code: undefined, signal: undefined, reason: error.message }))
    // `close` comes after the last line; `exit` would come before it.
    child.once('close', (code, signal) => {
      this.#end({ code: code ?? undefined, signal: signal ?? undefined, reason: this.#reason })
    })
    return this.#ready.promise
  }

  /** Sends a signal, if the process runs. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#child?.kill(signal)
  }

  #end(end: DevMemberEnd): void {
    if (this.#child === undefined) return
    this.#child = undefined
    this.#ready.reject(new Error(`${this.name} ${describeEnd(end)}`))
    this.#ended.resolve(end)
    this.#options.listener.ended(this, end)
  }

  #readLog(line: string): void {
    const fields = objectIn(line)
    // Not a line of the logger: it is shown as it is.
    if (fields === undefined) {
      this.#options.listener.logged(this, 'error', line)
      return
    }
    const { event, level } = fields
    if (event === 'ready') this.#takeReady(fields)
    else if (event === 'ring.changed')
      this.#options.listener.ringChanged(this, fields as unknown as ReportedChange)
    else if (level === 'fatal') this.#reason = reasonOf(fields)
    // Processes that share one machine wait for each other: that is no warning here.
    this.#options.listener.logged(this, event === 'loop.stalled' ? 'info' : String(level), line)
  }

  #takeReady(fields: Record<string, unknown>): void {
    const { http, admin, gossip } = fields as {
      readonly http: { readonly url: string }
      readonly admin: { readonly url: string }
      readonly gossip: { readonly host: string; readonly port: number }
    }
    this.#addresses = { url: http.url, adminUrl: admin.url, gossip: `${gossip.host}:${gossip.port}` }
    this.#ready.resolve(this.#addresses)
  }
}

/** An end in words, to follow a name. */
export function describeEnd({ code, signal, reason }: DevMemberEnd): string {
  const how = signal === undefined ? `ended with exit code ${code ?? 'none'}` : `was ended by ${signal}`
  return reason === undefined ? how : `${how}: ${reason}`
}

function eachLine(stream: Readable | null, take: (line: string) => void): void {
  if (stream === null) return
  createInterface({ input: stream, crlfDelay: Infinity }).on('line', (line) => {
    take(shortened(line, LINE_LIMIT))
  })
}

function reasonOf({ err, msg }: Record<string, unknown>): string {
  return String((isObject(err) ? err['message'] : undefined) ?? msg)
}
