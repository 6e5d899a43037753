import { resolve } from 'node:path'
import { buildGoProgram, type GoProgram } from '../peers/go-program.ts'
import type { MemberCommand } from '../peers/member-process.ts'
import type { MemberSettings } from '../peers/member-protocol.ts'

/** A member program to measure. It must speak the member protocol of docs/testing.md. */
export interface Contender {
  readonly name: string
  /** Makes the program ready to run, building it where that is needed. */
  prepare(): Promise<void>
  /** What to run for one member; only after `prepare`. */
  command(settings: MemberSettings): MemberCommand
}

const OWN_MEMBER = resolve(import.meta.dirname, '../peers/ringman-member.ts')

/** A member of ours, from source, on the Node.js that runs this. */
export function ours(): Contender {
  return {
    name: 'ours',
    prepare: () => Promise.resolve(),
    command: (settings) => ({ command: process.execPath, args: [OWN_MEMBER], settings }),
  }
}

/** The newest HashiCorp memberlist. */
export function goMemberlist(): Contender {
  return goContender('go', 'memberlist-peer', (settings) => settings)
}

/** The fork of memberlist that Go ringman was shipped with, as of 2017. */
export function goRingman(): Contender {
  return goContender('go-ringman', 'ringman-peer', ({ meta, ...settings }) => {
    const { ServicePort } = JSON.parse(meta) as { ServicePort: string }
    return { ...settings, servicePort: ServicePort, httpAddress: `${settings.bindAddress}:0` }
  })
}

function goContender(
  name: string,
  source: GoProgram,
  translate: (settings: MemberSettings) => MemberCommand['settings'],
): Contender {
  let executable: string | undefined
  return {
    name,
    async prepare() {
      executable = await buildGoProgram(source)
    },
    command(settings) {
      if (executable === undefined) throw new Error('prepare first')
      return { command: executable, args: [], settings: translate(settings) }
    },
  }
}

/**
 * Any program that speaks the member protocol.
 *
 * @param commandLine - Words separated by spaces, without quoting; the settings are added as the last argument.
 */
export function program(name: string, commandLine: string): Contender {
  const [command, ...args] = commandLine.split(' ').filter((word) => word !== '')
  if (command === undefined) throw new Error(`contender ${name} has no command`)
  return {
    name,
    prepare: () => Promise.resolve(),
    command: (settings) => ({ command, args, settings }),
  }
}
