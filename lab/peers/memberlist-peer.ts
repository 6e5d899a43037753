import { freePort } from '../../test/support/free-port.ts'
import { buildGoProgram } from './go-program.ts'
import { MemberProcess } from './member-process.ts'
import type { MemberSettings, ShownMember } from './member-protocol.ts'

/** Settings of a memberlist peer; what is left out keeps the preset's value. */
export interface MemberlistPeerSettings extends Partial<MemberSettings> {
  readonly name: string
  readonly label?: string
  /** Base64; the first encrypts. */
  readonly keys?: readonly string[]
  readonly verifyIncoming?: boolean
  readonly verifyOutgoing?: boolean
  readonly compression?: boolean
  /** The size of the state that it hands over in push/pull. */
  readonly userStateBytes?: number
  /** Single values of the preset. */
  readonly timing?: { readonly probeIntervalMs?: number; readonly deadNodeReclaimMs?: number }
}

/** A member of HashiCorp's memberlist, newest release. Binds to a free port of 127.0.0.1 unless told otherwise. */
export class MemberlistPeer implements AsyncDisposable {
  readonly process: MemberProcess

  private constructor(process: MemberProcess) {
    this.process = process
  }

  static async start(settings: MemberlistPeerSettings): Promise<MemberlistPeer> {
    const command = await buildGoProgram('memberlist-peer')
    const bindPort = await freePort()
    return new MemberlistPeer(
      await MemberProcess.start({
        command,
        args: [],
        settings: { bindAddress: '127.0.0.1', bindPort, preset: 'lan', meta: '', ...settings },
      }),
    )
  }

  get name(): string {
    return this.process.name
  }

  get gossipAddress(): string {
    return this.process.gossipAddress
  }

  /** Joins through `host:port` addresses; returns how many answered. */
  async join(...addresses: string[]): Promise<number> {
    const { joined } = (await this.process.command('join', { addresses })) as { joined: number }
    return joined
  }

  /** The members that are listed, by name. */
  async members(): Promise<ShownMember[]> {
    const { members } = (await this.process.command('members')) as { members: ShownMember[] }
    return members.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async leave(): Promise<void> {
    await this.process.command('leave')
  }

  async updateMeta(meta: string): Promise<void> {
    await this.process.command('update-meta', { meta })
  }

  async changeKeyring(action: 'add' | 'use' | 'remove', key: string): Promise<void> {
    await this.process.command('keyring', { action, key })
  }

  /** Sends a user message to a member, over TCP if reliable, else over UDP. */
  async send(to: string, text: string, reliable: boolean): Promise<void> {
    await this.process.command('send', { to, text, reliable })
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
