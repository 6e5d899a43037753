import { readFile } from 'node:fs/promises'
import { GOSSIP_PORT, serve, type TestProcess } from '../../test/support/child-process.ts'

/** Sources that can be measured side by side: those whose members find each other by gossip. */
export const GOSSIP_SOURCES = ['memberlist', 'swim'] as const
export type GossipSource = (typeof GOSSIP_SOURCES)[number]

/** How long anything may take before the measurement fails, in milliseconds. */
const PATIENCE_MS = 60_000
/** Ticks of `/proc/PID/stat` in a second. */
const TICKS_PER_S = 100

/** One `ringman serve`, and what is on its ring as its log tells. */
export class ServeMember {
  readonly ringKey: string
  readonly process: TestProcess
  readonly spawnedAtMs = performance.now()
  /** When it first had itself on its ring. */
  ringAtMs: number | undefined
  gossipAddress = ''
  /** Ring keys. */
  readonly nodes = new Set<string>()
  /** How often a ring key was taken off this ring. */
  readonly removals = new Map<string, number>()
  #linesRead = 0

  constructor(source: GossipSource, servicePort: number, seeds: readonly string[]) {
    this.ringKey = `127.0.0.1:${servicePort}`
    this.process = serve([
      '--source',
      source,
      '--name',
      `m${servicePort}`,
      '--service-port',
      String(servicePort),
      ...GOSSIP_PORT,
      ...(seeds.length === 0 ? [] : ['--seeds', seeds.join(',')]),
    ])
  }

  /** Reads the log lines that have come since the last look. */
  look(): void {
    for (; this.#linesRead < this.process.outLines.length; this.#linesRead++) {
      const fields = JSON.parse(this.process.outLines[this.#linesRead] ?? '') as Record<string, unknown>
      if (fields['event'] === 'ready') {
        const { host, port } = fields['gossip'] as { host: string; port: number }
        this.gossipAddress = `${host}:${port}`
      }
      if (fields['event'] !== 'ring.changed') continue
      for (const key of fields['added'] as string[]) this.nodes.add(key)
      for (const key of fields['removed'] as string[]) {
        this.nodes.delete(key)
        this.removals.set(key, (this.removals.get(key) ?? 0) + 1)
      }
      if (this.nodes.has(this.ringKey)) this.ringAtMs ??= performance.now()
    }
  }

  /** Resolves with the time when `holds`, which is asked again after each line of the log. */
  async until(what: string, holds: () => boolean): Promise<number> {
    const deadlineMs = performance.now() + PATIENCE_MS
    for (;;) {
      this.look()
      if (holds()) return performance.now()
      if (performance.now() > deadlineMs)
        throw new Error(`${this.ringKey}: not in time: ${what}\n${this.process.out}`)
      const lines = this.#linesRead
      await this.process
        .until('the next line of its log', () =>
          this.process.outLines.length > lines || performance.now() > deadlineMs ? true : undefined,
        )
        .catch(() => undefined) // it may be silent for longer than a test's patience
    }
  }

  /** What it has used so far. */
  async usage(): Promise<{ readonly cpuMs: number; readonly residentBytes: number }> {
    const [stat, status] = await Promise.all(
      ['stat', 'status'].map((file) => readFile(`/proc/${this.process.pid}/${file}`, 'utf8')),
    )
    const fields = (stat ?? '').slice((stat ?? '').lastIndexOf(')') + 2).split(' ')
    const kilobytes = Number(/^VmRSS:\s+(\d+) kB/m.exec(status ?? '')?.[1])
    return {
      cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_S,
      residentBytes: kilobytes * 1024,
    }
  }

  async kill(): Promise<void> {
    this.process.signal('SIGKILL')
    await this.process.ended
  }
}

/** Members of one source that know each other. Each newcomer has a new name, address and service port. */
export class ServeCluster implements AsyncDisposable {
  readonly source: GossipSource
  members: ServeMember[] = []
  #nextServicePort = 8001

  constructor(source: GossipSource) {
    this.source = source
  }

  /**
   * Adds a member that joins through the first two.
   *
   * @returns Milliseconds until every ring has every member: from the start of its process, and from the moment when
   *   its own ring was there.
   */
  async add(): Promise<{ readonly fromSpawnMs: number; readonly fromRingMs: number }> {
    const seeds = this.members.slice(0, 2).map(({ gossipAddress }) => gossipAddress)
    const member = new ServeMember(this.source, this.#nextServicePort++, seeds)
    this.members.push(member)
    const doneMs = await this.untilComplete()
    await member.until('ready', () => member.gossipAddress !== '')
    return {
      fromSpawnMs: doneMs - member.spawnedAtMs,
      fromRingMs: Math.max(0, doneMs - (member.ringAtMs ?? doneMs)),
    }
  }

  /** Waits until every ring has every member, and none else; resolves with the time. */
  async untilComplete(): Promise<number> {
    const keys = this.members.map(({ ringKey }) => ringKey)
    const times = await Promise.all(
      this.members.map((member) =>
        member.until(
          `${keys.length} nodes on the ring`,
          () => member.nodes.size === keys.length && keys.every((key) => member.nodes.has(key)),
        ),
      ),
    )
    return Math.max(...times)
  }

  /** Takes the newest member away by a signal. @returns Milliseconds until it was off all the others' rings. */
  async removeLast(signal: 'SIGKILL' | 'SIGTERM'): Promise<number> {
    const victim = this.members.pop()
    if (victim === undefined) throw new Error('there is no member')
    const startedMs = performance.now()
    victim.process.signal(signal)
    const doneMs = await this.untilComplete()
    await victim.process.ended
    return doneMs - startedMs
  }

  /** How often living members were taken off others' rings so far. */
  get wrongRemovals(): number {
    const living = new Set(this.members.map(({ ringKey }) => ringKey))
    let count = 0
    for (const member of this.members) {
      member.look()
      for (const [key, times] of member.removals) if (living.has(key)) count += times
    }
    return count
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()))
  }
}
