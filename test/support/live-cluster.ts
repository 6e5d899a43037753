import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { systemClock, systemRandom, type Clock } from '../../src/clock.ts'
import { composeProcess, type ProcessAddresses, type RingProcess } from '../../src/compose/ring-process.ts'
import { loadServeConfig } from '../../src/config/load.ts'
import { generateKey } from '../../src/membership/memberlist/keyring.ts'
import type { DnsResolver } from '../../src/seeds/dns-resolver.ts'
import { freePort } from './free-port.ts'
import { RecordingLogger } from './recording-logger.ts'

/** A member of a {@link LiveCluster}. */
export interface LiveMember {
  readonly name: string
  readonly process: RingProcess
  readonly addresses: ProcessAddresses
  readonly logger: RecordingLogger
}

/** Members in this process that gossip over loopback, each with its look-up and its admin port. */
export class LiveCluster implements AsyncDisposable {
  readonly members: LiveMember[] = []
  readonly folder = mkdtempSync(join(tmpdir(), 'ringman-live-'))
  readonly keyringFile = join(this.folder, 'keyring')
  readonly tokenFile = join(this.folder, 'token')
  readonly token = 'open-sesame'

  constructor() {
    writeFileSync(this.keyringFile, `${generateKey()}\n`)
    writeFileSync(this.tokenFile, `${this.token}\n`)
  }

  /** @param settings - As flags have them, over what such members have in common. */
  async add(
    name: string,
    settings: Readonly<Record<string, string | undefined>> = {},
    clock: Clock = systemClock,
    dns?: DnsResolver,
  ): Promise<LiveMember> {
    const logger = new RecordingLogger()
    const [first] = this.members
    const given: Record<string, string | undefined> = {
      name,
      httpHost: '127.0.0.1',
      httpPort: String(await freePort()),
      adminPort: String(await freePort()),
      bind: '127.0.0.1',
      gossipPort: String(await freePort()),
      servicePort: String(8000 + this.members.length),
      preset: 'local',
      pushPullIntervalMs: '1s',
      keyringFile: this.keyringFile,
      tokenFile: this.tokenFile,
      seeds: first?.addresses.gossip === undefined ? '' : `127.0.0.1:${first.addresses.gossip.port}`,
      ...settings,
    }
    const values = Object.fromEntries(
      Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined),
    )
    const config = loadServeConfig({ values, unknown: [] }, {}).values
    const process = composeProcess(config, {
      clock,
      random: systemRandom,
      logger,
      ...(dns === undefined ? {} : { dns }),
    })
    const addresses = await process.start()
    const member = { name, process, addresses, logger }
    this.members.push(member)
    return member
  }

  /** Adds members, and waits until all agree on one ring. */
  async addAll<const Names extends readonly string[]>(...names: Names) {
    const added: LiveMember[] = []
    for (const name of names) added.push(await this.add(name))
    await this.agreeOn(this.members.length)
    return added as unknown as { readonly [At in keyof Names]: LiveMember }
  }

  /**
   * Waits until all members, or those named, have rings of so many nodes with one digest, and have been asked whether they are
   * ready, as probes and `serve` do: a later change does not make one unready that has seen enough members.
   */
  async agreeOn(nodes: number, members: readonly LiveMember[] = this.members): Promise<void> {
    await vi.waitFor(
      async () => {
        const rings = members.map(({ process }) => process.service.manager.snapshot.ring)
        const seen = rings.map(({ size, digest }) => `${size} ${digest}`)
        if (new Set(seen).size !== 1 || rings[0]?.size !== nodes) {
          throw new Error(`the rings are ${seen.join(', ')}`)
        }
        for (const { name, process } of members) {
          const { checks } = await process.readiness.evaluate()
          const enough = checks.find((check) => check.name === 'members')
          if (enough?.ok === false) throw new Error(`${name} says: ${enough.message}`)
        }
      },
      { timeout: 60_000, interval: 20 },
    )
  }

  /** Has the admin port of a member act, with the token unless another is given. */
  async act(
    { addresses }: LiveMember,
    action: string,
    body: object = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    const response = await fetch(`${addresses.admin.url}/v1/admin/${action}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${this.token}`,
        'content-type': 'application/json',
        ...headers,
      },
      body: JSON.stringify(body),
    })
    return { status: response.status, json: (await response.json()) as Record<string, unknown> }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map(({ process }) => process.close(0)))
    rmSync(this.folder, { recursive: true })
  }
}
