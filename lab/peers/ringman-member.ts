/**
 * A member of ours as a program that speaks the member protocol (`member-protocol.ts`), to be measured beside Go's:
 * `node ringman-member.ts SETTINGS`. The settings are {@link MemberSettings} in JSON, and in `node` further
 * options of the node. It ends when its input ends.
 */
import { createInterface } from 'node:readline'
import { systemClock, systemRandom } from '../../src/clock.ts'
import { silentLogger } from '../../src/logger.ts'
import { decodeMetadata } from '../../src/membership/member.ts'
import { MemberlistNode } from '../../src/membership/memberlist/memberlist-node.ts'
import type { MemberlistNodeOptions } from '../../src/membership/memberlist/node-options.ts'
import type { MemberChangedEffect, MemberView } from '../../src/membership/memberlist/protocol/effects.ts'
import { parseSeed } from '../../src/seeds/seed.ts'
import type { MemberSettings } from './member-protocol.ts'

interface Command {
  readonly id: number
  readonly do: string
  readonly addresses?: readonly string[]
  readonly meta?: string
}

const settings = JSON.parse(process.argv.at(-1) ?? '{}') as MemberSettings & {
  readonly node?: Partial<MemberlistNodeOptions>
}

function print(line: object): void {
  process.stdout.write(`${JSON.stringify({ atMs: Date.now(), ...line })}\n`)
}

const show = ({ name, endpoint, meta, state }: MemberView) => ({
  name,
  address: endpoint.address,
  port: endpoint.port,
  meta: new TextDecoder().decode(meta),
  state,
})

const EVENTS: Readonly<Partial<Record<MemberChangedEffect['change'], 'join' | 'leave' | 'update'>>> = {
  joined: 'join',
  updated: 'update',
  died: 'leave',
  left: 'leave',
}

const node = new MemberlistNode(
  {
    name: settings.name,
    meta: new TextEncoder().encode(settings.meta),
    bindHost: settings.bindAddress,
    gossipPort: settings.bindPort,
    advertise: settings.bindAddress,
    preset: settings.preset,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    isWitness: (meta) => decodeMetadata(meta)?.witness === true,
    ...settings.node,
  },
  {
    onMembers(changes) {
      for (const { change, member } of changes) {
        const type = EVENTS[change]
        if (type !== undefined) print({ type, member: show(member) })
      }
    },
  },
)
node.done.catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`)
  process.exit(1)
})

function endpointsOf(addresses: readonly string[]) {
  return addresses.map((text) => {
    const seed = parseSeed(text)
    if (seed.kind !== 'address') throw new Error(`not an address: ${text}`)
    return { address: seed.address, port: seed.port ?? 7946 }
  })
}

async function carryOut(command: Command): Promise<unknown> {
  switch (command.do) {
    case 'join':
      node.join(endpointsOf(command.addresses ?? []))
      return { joined: command.addresses?.length ?? 0 }
    case 'leave':
      return node.leave()
    case 'members':
      return { members: node.members().map(show) }
    case 'update-meta':
      node.updateMetadata(new TextEncoder().encode(command.meta ?? ''))
      return {}
    case 'counters':
      return node.counters
    default:
      throw new Error(`unknown command "${command.do}"`)
  }
}

await node.start(new AbortController().signal)
if (settings.join !== undefined && settings.join.length > 0) node.join(endpointsOf(settings.join))
print({ type: 'ready', fields: node.endpoint })

for await (const text of createInterface({ input: process.stdin })) {
  const command = JSON.parse(text) as Command
  const answer = await carryOut(command).then(
    (result) => ({ result }),
    (error: unknown) => ({ error: String(error) }),
  )
  print({ type: 'answer', id: command.id, ...answer })
}
process.exit(0)
