import { execFile } from 'node:child_process'
import { changeScript, setupScript, TABLE, type Traffic } from './traffic-rules.ts'

/** Every namespace of a lab is named `ringman-lab-PID-SERIAL-HOST`, so that what a crash left can be found. */
const PREFIX = 'ringman-lab'
/** The router as every host sees it; link-local, so it is no host's address. */
const GATEWAY = '169.254.1.1'
const HOST_LIMIT = 1000
const COMMAND_DEADLINE_MS = 30_000

/** How many packets and bytes hosts have sent since the lab was opened, lost ones included. */
export interface TrafficCounters {
  readonly udpPackets: number
  readonly udpBytes: number
  readonly tcpPackets: number
  readonly tcpBytes: number
}

/** A host of the lab: a network namespace with one address. */
export interface LabHost {
  readonly namespace: string
  readonly address: string
}

let serial = 0

/**
 * Hosts on a network of their own: each is a network namespace, joined to the others by a router namespace that
 * drops what it is told to. Nothing in it reaches the machine's own network. Needs root, `ip` and `nft`.
 */
export class NetworkLab implements AsyncDisposable {
  readonly hosts: readonly LabHost[]
  readonly #router: string
  #closed = false

  private constructor(prefix: string, hostCount: number) {
    this.#router = `${prefix}-router`
    this.hosts = Array.from({ length: hostCount }, (_, i) => ({
      namespace: `${prefix}-${i + 1}`,
      address: `10.210.${(i + 1) >> 8}.${(i + 1) & 255}`,
    }))
  }

  /**
   * Removes what crashed runs have left, and makes a lab.
   *
   * @param hostCount - 1 to 1000.
   * @throws {Error} that says what is missing: root, or a Debian package.
   */
  static async open(hostCount: number): Promise<NetworkLab> {
    if (!(hostCount >= 1 && hostCount <= HOST_LIMIT)) {
      throw new Error(`a lab has 1 to ${HOST_LIMIT} hosts, not ${hostCount}`)
    }
    if (process.getuid?.() !== 0) throw new Error('a network of namespaces needs root')
    await need('ip', ['-V'], 'iproute2')
    await need('nft', ['-v'], 'nftables')
    await need('setpriv', ['--version'], 'util-linux')
    await removeLeftovers()
    const lab = new NetworkLab(`${PREFIX}-${process.pid}-${++serial}`, hostCount)
    try {
      await lab.#build()
    } catch (error) {
      await lab.close()
      throw error
    }
    return lab
  }

  /**
   * What runs a command on a host: put it before the command line. The process is the command itself, so that
   * signals reach it, and the kernel kills it when this process dies, even one that is stopped.
   */
  commandPrefix(host: LabHost): readonly [string, ...string[]] {
    return ['setpriv', '--pdeathsig', 'KILL', 'ip', 'netns', 'exec', host.namespace]
  }

  /** Changes what the network does, for all hosts in one moment. */
  async setTraffic(traffic: Traffic): Promise<void> {
    await run('ip', ['netns', 'exec', this.#router, 'nft', '-f', '-'], changeScript(traffic))
  }

  async counters(): Promise<TrafficCounters> {
    const text = await run('ip', [
      'netns',
      'exec',
      this.#router,
      'nft',
      '-j',
      'list',
      'counters',
      'table',
      ...TABLE.split(' '),
    ])
    const { nftables } = JSON.parse(text) as {
      nftables: { counter?: { name: string; packets: number; bytes: number } }[]
    }
    const named = new Map(nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter]] : [])))
    const udp = named.get('udp_sent')
    const tcp = named.get('tcp_sent')
    if (udp === undefined || tcp === undefined) throw new Error(`the router has no counters: ${text}`)
    return {
      udpPackets: udp.packets,
      udpBytes: udp.bytes,
      tcpPackets: tcp.packets,
      tcpBytes: tcp.bytes,
    }
  }

  /** Kills what still runs on the hosts and removes them. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const own = new Set([this.#router, ...this.hosts.map(({ namespace }) => namespace)])
    for (const namespace of await listNamespaces()) {
      if (own.has(namespace)) await removeNamespace(namespace)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #build(): Promise<void> {
    const router = this.#router
    const hosts = this.hosts.map((host, i) => ({ ...host, port: `host${i + 1}` }))
    await batch(undefined, [`netns add ${router}`, ...hosts.map(({ namespace }) => `netns add ${namespace}`)])
    await batch(router, [
      'link set lo up',
      `addr add ${GATEWAY}/32 dev lo`,
      ...hosts.flatMap(({ namespace, address, port }) => [
        `link add ${port} type veth peer name eth0 netns ${namespace}`,
        `link set ${port} up`,
        `route add ${address}/32 dev ${port}`,
      ]),
    ])
    for (const { namespace, address } of hosts) {
      await batch(namespace, [
        'link set lo up',
        `addr add ${address}/32 dev eth0`,
        'link set eth0 up',
        `route add ${GATEWAY} dev eth0 scope link`,
        `route add default via ${GATEWAY} dev eth0`,
      ])
    }
    await run('ip', ['netns', 'exec', router, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1'])
    await run('ip', ['netns', 'exec', router, 'nft', '-f', '-'], setupScript())
  }
}

/** Removes labs whose process is gone. */
async function removeLeftovers(): Promise<void> {
  for (const namespace of await listNamespaces()) {
    const owner = new RegExp(`^${PREFIX}-(\\d+)-`).exec(namespace)?.[1]
    if (owner !== undefined && !isRunning(Number(owner))) await removeNamespace(namespace)
  }
}

async function removeNamespace(namespace: string): Promise<void> {
  for (const pid of (await run('ip', ['netns', 'pids', namespace])).split('\n')) {
    if (pid === '') continue
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // It has ended in the meantime.
    }
  }
  await run('ip', ['netns', 'del', namespace])
}

async function listNamespaces(): Promise<string[]> {
  const text = await run('ip', ['netns', 'list'])
  return text
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((name) => name.startsWith(`${PREFIX}-`))
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false // no such process
  }
}

/** Runs `ip` commands in a namespace, or outside of any, up to the first that fails. */
async function batch(namespace: string | undefined, commands: readonly string[]): Promise<void> {
  const where = namespace === undefined ? [] : ['-n', namespace]
  await run('ip', [...where, '-batch', '-'], `${commands.join('\n')}\n`)
}

async function need(command: string, args: readonly string[], debianPackage: string): Promise<void> {
  try {
    await run(command, args)
  } catch (error) {
    throw new Error(`a network of namespaces needs \`${command}\`: apt-get install ${debianPackage}`, {
      cause: error,
    })
  }
}

function run(command: string, args: readonly string[], input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, { timeout: COMMAND_DEADLINE_MS }, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout)
      } else {
        reject(new Error(`${command} ${args.join(' ')}: ${stderr}`, { cause: error }))
      }
    })
    child.stdin?.on('error', () => {
      // It ended without reading its input; the callback above tells why.
    })
    child.stdin?.end(input)
  })
}
