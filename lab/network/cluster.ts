import { MemberProcess } from '../peers/member-process.ts'
import type { MemberSettings } from '../peers/member-protocol.ts'
import type { Contender } from './contender.ts'
import { NetworkLab, type LabHost } from './network-lab.ts'
import { Truth, type Deed, type TimelineEntry } from './timeline.ts'

const GOSSIP_PORT = 7946
/** How many members a new one is given to join. */
const SEED_COUNT = 3

/**
 * Members of one contender, one on each host of a lab, and what is done to them. Members are known by their number,
 * from 1; everything that happens is kept in the timeline.
 */
export class Cluster implements AsyncDisposable {
  readonly timeline: TimelineEntry[] = []
  readonly lab: NetworkLab
  readonly #contender: Contender
  readonly #preset: MemberSettings['preset']
  readonly #truth = new Truth()
  readonly #members = new Map<string, MemberProcess>()
  readonly #observers = new Set<(observer: string) => void>()
  #crashed: MemberProcess | undefined
  #lossFraction = 0
  #islands: readonly (readonly string[])[] = []

  private constructor(lab: NetworkLab, contender: Contender, preset: MemberSettings['preset']) {
    this.lab = lab
    this.#contender = contender
    this.#preset = preset
  }

  /** Makes the hosts; no member runs yet. */
  static async open(
    contender: Contender,
    preset: MemberSettings['preset'],
    hostCount: number,
  ): Promise<Cluster> {
    await contender.prepare()
    return new Cluster(await NetworkLab.open(hostCount), contender, preset)
  }

  /** The members that run, frozen ones included. */
  get running(): readonly MemberProcess[] {
    return [...this.#members.values()]
  }

  /** Starts a member and lets it join some that run; resolves when it is ready. */
  async start(number: number): Promise<void> {
    const name = nameOf(number)
    const host = this.#host(number)
    const seeds = this.running
      .filter((member) => member.isReady)
      .slice(0, SEED_COUNT)
      .map((member) => member.gossipAddress)
    const { command, args, settings } = this.#contender.command({
      name,
      bindAddress: host.address,
      bindPort: GOSSIP_PORT,
      preset: this.#preset,
      // Ours look for suspects together where all say so; Go ignores it.
      meta: '{"ServicePort":"8000","Witness":true}',
      join: seeds,
    })
    const [prefix, ...prefixArgs] = this.lab.commandPrefix(host)
    this.#did({ kind: 'started', member: name })
    const member = MemberProcess.spawn({
      command: prefix,
      args: [...prefixArgs, command, ...args],
      settings,
    })
    this.#members.set(name, member)
    void member.ended.then(() => {
      if (this.#members.get(name) !== member) return
      this.#crashed ??= member
      for (const notify of this.#observers) notify(name)
    })
    member.subscribe((line) => {
      if (line.type !== 'join' && line.type !== 'leave') return
      const { type: change, atMs } = line
      this.timeline.push({ atMs, kind: 'view', observer: name, change, subject: line.member.name })
      for (const notify of this.#observers) notify(name)
    })
    await member.ready()
  }

  /** Kills a member's process; its host goes on answering for it that nobody listens. */
  async kill(number: number): Promise<void> {
    const member = this.#take(number)
    this.#did({ kind: 'killed', member: member.name })
    await member.kill()
  }

  /** Lets a member leave in good order, and end. */
  async leave(number: number): Promise<void> {
    const member = this.#take(number)
    this.#did({ kind: 'left', member: member.name })
    await member.command('leave')
    await member.end()
  }

  /** Stops a member's process for a while; its host goes on taking packets for it. */
  freeze(number: number): void {
    const member = this.#member(number)
    this.#did({ kind: 'frozen', member: member.name })
    member.signal('SIGSTOP')
  }

  thaw(number: number): void {
    const member = this.#member(number)
    this.#did({ kind: 'thawed', member: member.name })
    member.signal('SIGCONT')
  }

  /** Loses each packet with this probability, from 0 to 1. */
  async lose(fraction: number): Promise<void> {
    this.#lossFraction = fraction
    await this.#changeTraffic({ kind: 'loss', fraction })
  }

  /** Cuts a host off: no packet reaches or leaves it, and nobody is told so. */
  async isolate(number: number): Promise<void> {
    const alone = nameOf(number)
    const others = this.running.map(({ name }) => name).filter((name) => name !== alone)
    this.#islands = [[alone], others]
    await this.#changeTraffic({ kind: 'isolated', member: alone })
  }

  /** Splits the network; packets pass within an island only. Every member must be in one. */
  async split(islands: readonly (readonly number[])[]): Promise<void> {
    this.#islands = islands.map((numbers) => numbers.map(nameOf))
    await this.#changeTraffic({ kind: 'split', islands: this.#islands })
  }

  /** Makes the network whole and without loss again. */
  async mend(): Promise<void> {
    this.#lossFraction = 0
    this.#islands = []
    await this.#changeTraffic({ kind: 'mended' })
  }

  /**
   * Waits until every healthy member shows exactly the healthy members that its packets reach.
   *
   * @returns Whether that came to be within the time.
   * @throws {Error} when a member that ought to run has ended.
   */
  settle(withinMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const unsettled = new Set(this.#truth.healthy)
      const finish = (end: () => void) => {
        clearTimeout(timer)
        this.#observers.delete(look)
        end()
      }
      const look = (observer: string) => {
        const crashed = this.#crashed
        if (crashed !== undefined) {
          finish(() => {
            reject(crashed.explain('ended by itself'))
          })
          return
        }
        if (!this.#truth.isHealthy(observer)) return
        if (this.#members.get(observer)?.view.equals(this.#truth.view(observer)) === true) {
          unsettled.delete(observer)
        } else {
          unsettled.add(observer)
        }
        if (unsettled.size === 0) {
          finish(() => {
            resolve(true)
          })
        }
      }
      const timer = setTimeout(() => {
        finish(() => {
          resolve(false)
        })
      }, withinMs)
      this.#observers.add(look)
      for (const observer of this.#truth.healthy) look(observer)
    })
  }

  /** @throws {Error} when a member that ought to run has ended. */
  assertWhole(): void {
    if (this.#crashed !== undefined) throw this.#crashed.explain('ended by itself')
  }

  /** Which healthy members show too few or too many, for a failure's message. */
  describeUnsettled(): string {
    return this.#truth.healthy
      .flatMap((observer) => {
        const shown = [...(this.#members.get(observer)?.view.names ?? [])]
        const ought = this.#truth.view(observer)
        const wrong = [
          ...ought.filter((name) => !shown.includes(name)).map((name) => `lacks ${name}`),
          ...shown.filter((name) => !ought.includes(name)).map((name) => `still shows ${name}`),
        ]
        return wrong.length === 0 ? [] : [`${observer} ${wrong.join(', ')}`]
      })
      .join('; ')
  }

  /** Ends every member and removes the hosts. */
  async close(): Promise<void> {
    const members = this.running
    this.#members.clear()
    await Promise.all(members.map((member) => member.end()))
    await this.lab.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #did(deed: Deed): void {
    this.#truth.apply(deed)
    this.timeline.push({ atMs: Date.now(), ...deed })
  }

  async #changeTraffic(deed: Deed): Promise<void> {
    const islands = this.#islands.map((names) => names.map((name) => this.#host(numberOf(name)).address))
    await this.lab.setTraffic({ lossFraction: this.#lossFraction, islands })
    this.#did(deed)
  }

  #member(number: number): MemberProcess {
    const member = this.#members.get(nameOf(number))
    if (member === undefined) throw new Error(`member ${number} does not run`)
    return member
  }

  #take(number: number): MemberProcess {
    const member = this.#member(number)
    this.#members.delete(member.name)
    return member
  }

  #host(number: number): LabHost {
    const host = this.lab.hosts[number - 1]
    if (host === undefined) throw new Error(`there is no host ${number}, only ${this.lab.hosts.length}`)
    return host
  }
}

/** The name of a member by its number. */
export function nameOf(number: number): string {
  return `m${number}`
}

function numberOf(name: string): number {
  return Number(name.slice(1))
}
