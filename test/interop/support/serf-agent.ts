import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { promisify } from 'node:util'
import { freePort } from '../../support/free-port.ts'

const run = promisify(execFile)

const READY_DEADLINE_MS = 60_000
const COMMAND_DEADLINE_MS = 60_000
/** Between two looks at the members; each look starts a process. */
const LOOK_INTERVAL_MS = 100
/** How much of the agent's output is kept for a failure's message, in characters. */
const OUTPUT_LIMIT = 8192
const INSTALL = 'the serf peer needs the agent of Debian: apt-get install serf'

/** Settings of a serf agent. */
export interface SerfSettings {
  readonly name: string
  readonly preset?: 'lan' | 'wan' | 'local'
  /** Its metadata, as serf encodes it. */
  readonly tags?: Readonly<Record<string, string>>
  /** Base64 of 16, 24 or 32 bytes. */
  readonly key?: string
}

/** A member as `serf members -format json` shows it. */
export interface SerfMember {
  readonly name: string
  /** `host:port` of its gossip. */
  readonly addr: string
  readonly tags: Readonly<Record<string, string>>
  readonly status: 'alive' | 'leaving' | 'left' | 'failed' | 'none'
}

/**
 * An agent of HashiCorp serf on a loopback address of its own. It accepts only members whose delegate protocol is
 * 2 to 5. The kernel kills it when this process dies.
 */
export class SerfAgent implements AsyncDisposable {
  readonly name: string
  readonly gossipAddress: string
  readonly #rpcAddress: string
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #output = ''

  private constructor(settings: SerfSettings, gossipPort: number, rpcPort: number) {
    // The whole of 127.0.0.0/8 is ours to bind.
    const host = `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`
    this.name = settings.name
    this.gossipAddress = `${host}:${gossipPort}`
    this.#rpcAddress = `${host}:${rpcPort}`
    this.#child = spawn(
      'setpriv',
      [
        '--pdeathsig',
        'KILL',
        'serf',
        'agent',
        '-log-level=debug',
        `-node=${settings.name}`,
        `-bind=${this.gossipAddress}`,
        `-rpc-addr=${this.#rpcAddress}`,
        `-profile=${settings.preset ?? 'lan'}`,
        ...Object.entries(settings.tags ?? {}).flatMap(([key, value]) => ['-tag', `${key}=${value}`]),
        ...(settings.key === undefined ? [] : [`-encrypt=${settings.key}`]),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_LIMIT)
      })
    }
    this.#ended = new Promise((resolve) => {
      this.#child.on('error', () => {
        resolve()
      })
      this.#child.on('close', () => {
        resolve()
      })
    })
  }

  /** @throws {Error} that says what to install when there is no serf, or what the agent said. */
  static async start(settings: SerfSettings): Promise<SerfAgent> {
    try {
      await run('serf', ['version'])
    } catch (error) {
      throw new Error(INSTALL, { cause: error })
    }
    const agent = new SerfAgent(settings, await freePort(), await freePort())
    try {
      await agent.#untilRunning()
    } catch (error) {
      await agent.end()
      throw error
    }
    return agent
  }

  /** Joins through `host:port` addresses; rejects when none accepts. */
  async join(...addresses: string[]): Promise<void> {
    await this.#command('join', ...addresses)
  }

  /** Every member that it remembers, in any status, by name. */
  async members(): Promise<SerfMember[]> {
    const { members } = JSON.parse(await this.#command('members', '-format', 'json')) as {
      members: SerfMember[]
    }
    return members.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Waits until exactly these members are alive. */
  async untilAlive(names: readonly string[], deadlineMs: number): Promise<void> {
    await this.untilMembers(`alive: ${names.join(', ')}`, deadlineMs, (members) => {
      const alive = members.filter(({ status }) => status === 'alive').map(({ name }) => name)
      return alive.length === names.length && names.every((name) => alive.includes(name))
    })
  }

  /** Waits until `holds` for its members; looks again every 100 ms. */
  async untilMembers(
    what: string,
    deadlineMs: number,
    holds: (members: readonly SerfMember[]) => boolean,
  ): Promise<void> {
    const deadline = performance.now() + deadlineMs
    let members = await this.members()
    while (!holds(members)) {
      if (performance.now() > deadline) {
        throw this.#explain(`not within ${deadlineMs} ms: ${what}; it shows ${JSON.stringify(members)}`)
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS))
      members = await this.members()
    }
  }

  /** Tells the others that it goes, and ends. */
  async leave(): Promise<void> {
    await this.#command('leave')
    await this.#ended
  }

  /** Kills the agent as a crash would. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  /** Ends the agent without a word to the others. Idempotent. */
  async end(): Promise<void> {
    await this.kill()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end()
  }

  async #untilRunning(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(this.#explain(`not running within ${READY_DEADLINE_MS} ms`))
      }, READY_DEADLINE_MS)
      const look = () => {
        if (!this.#output.includes('Serf agent running')) return
        clearTimeout(timer)
        this.#child.stdout?.off('data', look)
        resolve()
      }
      this.#child.stdout?.on('data', look)
      void this.#ended.then(() => {
        clearTimeout(timer)
        reject(this.#explain('ended before it was running'))
      })
    })
  }

  async #command(command: string, ...args: string[]): Promise<string> {
    try {
      const { stdout } = await run('serf', [command, `-rpc-addr=${this.#rpcAddress}`, ...args], {
        timeout: COMMAND_DEADLINE_MS,
      })
      return stdout
    } catch (error) {
      const { stdout, stderr } = error as { stdout?: string; stderr?: string }
      throw this.#explain(`serf ${command} failed: ${stdout ?? ''}${stderr ?? ''}`, error)
    }
  }

  #explain(what: string, cause?: unknown): Error {
    return new Error(`${this.name}: ${what}\nThe end of its output:\n${this.#output}`, { cause })
  }
}
