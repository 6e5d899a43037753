/**
 * One of our members as a program of its own, driven like Go's by the member protocol (`support/member-protocol.ts`):
 * for what can be done to a process only, such as SIGSTOP and SIGKILL.
 *
 * node test/interop/memberlist/member-program.ts '{"name":"r1","bindAddress":"127.0.0.1","bindPort":0,"preset":"lan","meta":""}'
 */
import { createInterface } from 'node:readline'
import { systemClock, systemRandom } from '../../../src/clock.ts'
import { silentLogger } from '../../../src/logger.ts'
import { MemberlistNode } from '../../../src/membership/memberlist/memberlist-node.ts'
import type { JoinFinishedEffect, MemberView } from '../../../src/membership/memberlist/protocol/effects.ts'
import type { Endpoint } from '../../../src/membership/memberlist/protocol/endpoint.ts'
import { parseSeed } from '../../../src/seeds/seed.ts'
import type { MemberSettings, ShownMember } from '../support/member-protocol.ts'

/** A line that comes in; which fields it has depends on `do`. */
interface Command {
  readonly id: number
  readonly do: string
  readonly addresses?: readonly string[]
  readonly meta?: string
  readonly to?: string
  readonly text?: string
}

const settings = JSON.parse(process.argv[2] ?? '') as MemberSettings
const joins: ((result: JoinFinishedEffect) => void)[] = []

function say(type: string, fields: object): void {
  process.stdout.write(`${JSON.stringify({ type, atMs: Date.now(), ...fields })}\n`)
}

function shown({ name, endpoint, meta, state }: MemberView): ShownMember {
  return { name, address: endpoint.address, port: endpoint.port, meta: new TextDecoder().decode(meta), state }
}

const tell = (type: 'join' | 'leave' | 'update') => (member: MemberView) => {
  say(type, { member: shown(member) })
}

const node = new MemberlistNode(
  {
    name: settings.name,
    bindHost: settings.bindAddress,
    gossipPort: settings.bindPort,
    preset: settings.preset,
    meta: new TextEncoder().encode(settings.meta),
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    delegate: {
      joined: tell('join'),
      left: tell('leave'),
      updated: tell('update'),
      notifyMessage: (payload) => {
        say('message', { fields: { text: new TextDecoder().decode(payload) } })
      },
    },
  },
  {
    onJoinFinished: (result) => {
      for (const settle of joins.splice(0)) settle(result)
    },
  },
)

async function join(addresses: readonly string[]): Promise<{ joined: number }> {
  const endpoints = addresses.map((address): Endpoint => {
    const seed = parseSeed(address)
    if (seed.kind !== 'address' || seed.port === undefined) throw new Error(`no host:port: ${address}`)
    return { address: seed.address, port: seed.port }
  })
  const finished = new Promise<JoinFinishedEffect>((resolve) => joins.push(resolve))
  node.join(endpoints)
  const { reached, failed } = await finished
  if (reached.length === 0) throw new Error(`nobody was reached: ${JSON.stringify(failed)}`)
  return { joined: reached.length }
}

function carryOut(command: Command): unknown {
  switch (command.do) {
    case 'join':
      return join(command.addresses ?? [])
    case 'leave':
      return node.leave()
    case 'members':
      return {
        members: node
          .members()
          .filter(({ state }) => state === 'alive' || state === 'suspect')
          .map(shown),
      }
    case 'update-meta':
      node.updateMetadata(new TextEncoder().encode(command.meta ?? ''))
      return {}
    case 'send': {
      const to = node.member(command.to ?? '')
      if (to === undefined) throw new Error(`no member is named "${command.to ?? ''}"`)
      return node.send(to.endpoint, new TextEncoder().encode(command.text ?? ''))
    }
    case 'health':
      return { score: node.healthScore }
    case 'quit':
      process.exit(0)
    // falls through: the line above does not return
    default:
      throw new Error(`unknown command "${command.do}"`)
  }
}

async function answer(text: string): Promise<void> {
  const command = JSON.parse(text) as Command
  try {
    say('answer', { id: command.id, result: await carryOut(command) })
  } catch (error) {
    say('answer', { id: command.id, error: error instanceof Error ? error.message : String(error) })
  }
}

await node.start(new AbortController().signal)
if (settings.join !== undefined && settings.join.length > 0) await join(settings.join)
// Go's library tells an application of its own joining as well.
const self = node.member(settings.name)
if (self !== undefined) say('join', { member: shown(self) })
say('ready', {
  fields: {
    name: settings.name,
    address: node.endpoint?.address,
    port: node.endpoint?.port,
    pid: process.pid,
  },
})
node.done.catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(1)
})
for await (const line of createInterface({ input: process.stdin })) await answer(line)
process.exit(0)
