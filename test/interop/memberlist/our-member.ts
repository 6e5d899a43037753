import { createHash } from 'node:crypto'
import { systemClock } from '../../../src/clock.ts'
import type { Member } from '../../../src/membership/member.ts'
import {
  MemberlistSource,
  type MemberlistSourceOptions,
} from '../../../src/membership/memberlist/memberlist-source.ts'
import type { StreamAnswer } from '../../../src/membership/memberlist/stream-client.ts'
import { formatHostPort } from '../../../src/addresses.ts'
import { parseSeed, type Seed } from '../../../src/seeds/seed.ts'
import { freePort } from '../../support/free-port.ts'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { eventually } from './eventually.ts'
import type { Shown } from './mixed-member.ts'
import { LOOPBACK } from '../../support/loopback.ts'

/** Settings of one of our members; what is left out is as in the source itself. */
export type OurSettings = Partial<Omit<MemberlistSourceOptions, 'name' | 'seeds' | 'metadata'>> & {
  readonly name: string
  /** `host:port` addresses to join through, or seeds. */
  readonly join?: readonly (string | Seed)[]
  readonly servicePort?: number
  /** What it hands over in push/pull. */
  readonly userState?: Uint8Array
}

/** Our memberlist source in this process, on a free port of 127.0.0.1 unless told otherwise. */
export class OurMember implements AsyncDisposable {
  readonly source: MemberlistSource
  readonly logger = new RecordingLogger()
  /** User messages heard, oldest first. */
  readonly messages: string[] = []
  /** User states heard in push/pull, oldest first. */
  readonly states: { readonly sizeBytes: number; readonly sha256: string; readonly join: boolean }[] = []
  /** How others changed, oldest first, as `NAME STATE`. */
  readonly history: string[] = []

  private constructor({ join = [], servicePort = 8000, userState, ...options }: OurSettings) {
    this.source = new MemberlistSource({
      ...LOOPBACK,
      metadata: { servicePort: String(servicePort) },
      seeds: join.map((seed) => (typeof seed === 'string' ? parseSeed(seed) : seed)),
      clock: systemClock,
      logger: this.logger,
      ...options,
      delegate: {
        notifyMessage: (payload) => {
          this.messages.push(new TextDecoder().decode(payload))
        },
        mergeRemoteState: (state, joining) => {
          this.states.push({
            sizeBytes: state.length,
            sha256: createHash('sha256').update(state).digest('hex'),
            join: joining,
          })
        },
        ...(userState === undefined ? {} : { localState: () => userState }),
      },
    })
  }

  static async start(settings: OurSettings): Promise<OurMember> {
    const member = await OurMember.create(settings)
    await member.source.start(new AbortController().signal)
    return member
  }

  /** A member whose source somebody else starts. */
  static async create(settings: OurSettings): Promise<OurMember> {
    const member = new OurMember({ gossipPort: await freePort(), ...settings })
    let known = new Map<string, string>()
    member.source.subscribe((members) => {
      for (const { name, state } of members) {
        if (name !== member.name && known.get(name) !== state) member.history.push(`${name} ${state}`)
      }
      known = new Map(members.map(({ name, state }) => [name, state]))
    })
    return member
  }

  get name(): string {
    return this.source.selfName
  }

  get gossipAddress(): string {
    const { gossipAddress } = this.source
    if (gossipAddress === undefined) throw new Error(`${this.name} is not started`)
    return formatHostPort({ address: gossipAddress.host, port: gossipAddress.port })
  }

  /** The members that count, alive or suspect, by name. */
  shown(): Promise<Shown[]> {
    return Promise.resolve(
      this.source.members
        .filter(({ state }) => state === 'alive' || state === 'suspect')
        .map(({ name, address, port, meta }) => ({
          name,
          address,
          port,
          meta: new TextDecoder().decode(meta),
        })),
    )
  }

  get(name: string): Member | undefined {
    return this.source.members.find((member) => member.name === name)
  }

  /** How often others were seen to enter this state. */
  timesSeen(state: 'suspect' | 'dead' | 'left', name?: string): number {
    return this.history.filter((line) =>
      name === undefined ? line.endsWith(` ${state}`) : line === `${name} ${state}`,
    ).length
  }

  /** Everything that was dropped, by reason, without the zeros. */
  get drops(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.source.node.drops).filter(([, count]) => count > 0))
  }

  /** Waits until a member is in this state here. */
  untilState(name: string, state: Member['state'] | undefined, deadlineMs: number): Promise<void> {
    return this.until(`${name} is ${state ?? 'forgotten'}`, () => this.get(name)?.state === state, deadlineMs)
  }

  until(what: string, holds: () => boolean, deadlineMs: number): Promise<void> {
    return eventually(`${this.name}: ${what}`, holds, deadlineMs, () => this.facts())
  }

  /** Waits until exactly these members count here. */
  untilShown(names: readonly string[], deadlineMs: number): Promise<void> {
    const expected = names.toSorted().join(' ')
    const shown = () =>
      this.source.members
        .filter(({ state }) => state === 'alive' || state === 'suspect')
        .map(({ name }) => name)
        .sort()
        .join(' ')
    return this.until(`showing ${expected}`, () => shown() === expected, deadlineMs)
  }

  updateMeta(meta: string): Promise<void> {
    this.source.node.updateMetadata(new TextEncoder().encode(meta))
    return Promise.resolve()
  }

  /** Sends a user message to one member over TCP: again where time was up, since a busy machine may stand still for a second. */
  async send(to: string, text: string): Promise<StreamAnswer> {
    const member = this.get(to)
    if (member === undefined) throw new Error(`${this.name} knows no ${to}`)
    const { address, port } = member
    for (let left = 5; ; left--) {
      const answer = await this.source.node.send({ address, port }, new TextEncoder().encode(text))
      if (answer.outcome === 'sent') return answer
      const isLate = answer.outcome === 'failed' && answer.reason.startsWith('no answer within')
      if (!isLate || left === 0)
        throw new Error(`${this.name} cannot send to ${to}: ${JSON.stringify(answer)}`)
    }
  }

  /** Sends a user message to everybody, along with gossip over UDP. */
  broadcast(text: string): Promise<'sent' | 'replaced' | 'dropped'> {
    return this.source.node.broadcast(new TextEncoder().encode(text))
  }

  leave(): Promise<void> {
    return this.source.leave()
  }

  /** Closes the sockets without a word, as the end of the process would. Idempotent. */
  kill(): Promise<void> {
    return this.source.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.source.stop()
  }

  /** What helps to understand a failure. */
  facts(): string {
    const members = this.source.members.map(
      ({ name, address, port, state }) => `${name} ${state} ${address}:${port}`,
    )
    const log = this.logger.lines
      .slice(-15)
      .map(({ level, message, fields }) => `${level} ${message} ${JSON.stringify(fields)}`)
    return [
      `${this.name} shows: ${members.join(', ')}`,
      `history: ${this.history.join(', ')}`,
      `drops: ${JSON.stringify(this.drops)}, refusals: ${JSON.stringify(this.source.node.counters?.refused)}`,
      ...log,
    ].join('\n')
  }
}
