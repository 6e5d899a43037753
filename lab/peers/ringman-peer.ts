import { freePort } from '../../test/support/free-port.ts'
import { buildGoProgram } from './go-program.ts'
import { MemberProcess } from './member-process.ts'

/** Settings of a Go ringman peer. */
export interface RingmanPeerSettings {
  readonly name: string
  readonly servicePort: string
  readonly bindAddress?: string
  readonly bindPort?: number
  readonly preset?: 'lan' | 'wan' | 'local'
  /** `default` when left out, as in Go ringman; empty to gossip with stock memberlist. */
  readonly clusterName?: string
  readonly join?: readonly string[]
}

/**
 * A member made of Go ringman's parts: its memberlist fork and its ring library, with its HTTP API. Binds to free
 * ports of 127.0.0.1 unless told otherwise.
 */
export class RingmanPeer implements AsyncDisposable {
  readonly process: MemberProcess

  private constructor(process: MemberProcess) {
    this.process = process
  }

  static async start(settings: RingmanPeerSettings): Promise<RingmanPeer> {
    const command = await buildGoProgram('ringman-peer')
    const bindPort = await freePort()
    const onLoopback = { bindAddress: '127.0.0.1', bindPort, httpAddress: '127.0.0.1:0', ...settings }
    return new RingmanPeer(await MemberProcess.start({ command, args: [], settings: onLoopback }))
  }

  get name(): string {
    return this.process.name
  }

  get gossipAddress(): string {
    return this.process.gossipAddress
  }

  /** `http://host:port`, without `/hashring`. */
  get url(): string {
    return this.process.facts['http'] as string
  }

  async join(...addresses: string[]): Promise<void> {
    await this.process.command('join', { addresses })
  }

  async leave(): Promise<void> {
    await this.process.command('leave')
  }

  /** `GET /hashring/nodes/get`: the ring key of the owner; empty while the ring is empty. */
  async owner(key: string): Promise<string> {
    const response = await fetch(`${this.url}/hashring/nodes/get?key=${encodeURIComponent(key)}`)
    if (!response.ok) throw new Error(`${this.name} answered ${response.status}: ${await response.text()}`)
    const { Node } = (await response.json()) as { Node: string }
    return Node
  }

  untilShown(names: readonly string[], deadlineMs: number): Promise<void> {
    return this.process.untilShown(names, deadlineMs)
  }

  kill(): Promise<void> {
    return this.process.kill()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process.end()
  }
}
