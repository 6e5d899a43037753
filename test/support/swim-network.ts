import { isIPv4 } from 'node:net'
import { systemClock, type Random } from '../../src/clock.ts'
import { RingmanError } from '../../src/errors.ts'
import { silentLogger } from '../../src/logger.ts'
import type { GossipSocket, GossipSocketHandlers } from '../../src/membership/swim/gossip-socket.ts'
import type { NodeMember } from '../../src/membership/swim/swim-members.ts'
import { SwimNode } from '../../src/membership/swim/swim-node.ts'
import { SWIM_PRESETS, type SwimSettings } from '../../src/membership/swim/swim-settings.ts'

/** A datagram on its way. */
export interface Datagram {
  readonly bytes: Uint8Array
  readonly from: string
  readonly to: string
}

/** The most that a UDP datagram over IPv4 carries. */
const MAX_DATAGRAM_BYTES = 65_507

/**
 * Sockets in memory, on the timers of the process. Held to what real ones do by `test/contract/gossip-socket.test.ts`.
 */
export class MemoryUdp {
  readonly #carry: (datagram: Datagram, arrive: () => void) => void
  readonly #bound = new Map<string, GossipSocketHandlers>()
  #nextPort = 40_000

  /** @param carry - Lets a datagram arrive, sooner or later or never. */
  constructor(carry: (datagram: Datagram, arrive: () => void) => void) {
    this.#carry = carry
  }

  /** As `OpenGossipSocket` does, at once. */
  bind(bindHost: string, port: number, handlers: GossipSocketHandlers): GossipSocket {
    const own = port === 0 ? this.#nextPort++ : port
    const from = `${bindHost}:${own}`
    if (this.#bound.has(from))
      throw new RingmanError('SOURCE_FAILED', `cannot open the gossip port ${from} (UDP)`)
    this.#bound.set(from, handlers)
    const isOpen = () => this.#bound.get(from) === handlers
    return {
      port: own,
      send: (bytes, to) => {
        if (!isOpen()) return
        const [address = '', toPort = ''] = to.split(':')
        if (!isIPv4(address) || !(Number(toPort) >= 1 && Number(toPort) <= 65_535)) {
          handlers.onSendError(new Error(`send to ${to}`), to)
        } else if (bytes.length > MAX_DATAGRAM_BYTES) {
          // The kernel says so, and the process hears of it later.
          setTimeout(() => {
            if (isOpen()) handlers.onSendError(new Error('send EMSGSIZE'), to)
          })
        } else {
          const datagram = { bytes: Uint8Array.from(bytes), from, to }
          this.#carry(datagram, () => this.#bound.get(to)?.onDatagram(datagram.bytes, from))
        }
      },
      close: () => {
        if (isOpen()) this.#bound.delete(from)
        return Promise.resolve()
      },
    }
  }
}

/**
 * Swim nodes on a network in memory, on the timers of the process: a test fakes these. Datagrams take a
 * millisecond or two, may be lost, and do not pass between two sides of a partition.
 */
export class SwimNetwork {
  readonly nodes = new Map<string, SwimNode>()
  /** What was sent, newest last; bounded by the test's length. */
  readonly sent: Datagram[] = []
  loss = 0
  recording = false
  readonly #random: Random
  readonly #settings: SwimSettings
  readonly #watchers: ((host: string, members: readonly NodeMember[]) => void)[] = []
  readonly #udp = new MemoryUdp((datagram, arrive) => {
    this.#carry(datagram, arrive)
  })
  readonly #sockets = new Map<string, GossipSocket>()
  #sideOf: (host: string) => number = () => 0

  constructor(random: Random, settings: Partial<SwimSettings> = {}) {
    this.#random = random
    this.#settings = { ...SWIM_PRESETS.lan, ...settings }
  }

  /** The addresses `10.0.0.1:7946`, `10.0.0.2:7946`, … */
  static host(n: number): string {
    return `10.0.0.${n}:7946`
  }

  /** Starts node `n`, which contacts `seeds` at once. */
  add(
    n: number,
    seeds: readonly number[] = [],
    options: {
      /** How far this node's wall clock is ahead. */
      readonly wallAheadMs?: number
      readonly servicePort?: string
      /** How long this node has stood still so far. */
      readonly stalledMs?: () => number
    } = {},
  ): SwimNode {
    const { wallAheadMs = 0, servicePort = '8000', stalledMs = () => 0 } = options
    const host = SwimNetwork.host(n)
    void this.#sockets.get(host)?.close()
    const socket = this.#udp.bind(`10.0.0.${n}`, 7946, {
      onDatagram: (bytes, from) => {
        node.receive(bytes, from)
      },
      onSendError: (error) => {
        throw error
      },
      onFailure: (error) => {
        throw error
      },
    })
    this.#sockets.set(host, socket)
    const node: SwimNode = new SwimNode({
      host,
      metadata: { servicePort, name: `m${n}` },
      settings: this.#settings,
      clock: {
        ...systemClock,
        now: () => systemClock.now() + stalledMs(),
        wallNow: () => Date.now() + wallAheadMs,
      },
      random: this.#random,
      logger: silentLogger,
      send: (bytes, to) => {
        socket.send(bytes, to)
      },
      onChange: () => {
        for (const watcher of this.#watchers) watcher(host, node.members())
      },
    })
    this.nodes.set(host, node)
    node.start()
    node.contact(seeds.map((seed) => SwimNetwork.host(seed)))
    return node
  }

  /** Ends node `n` without a word, as SIGKILL does. */
  kill(n: number): void {
    this.nodes.get(SwimNetwork.host(n))?.stop()
    this.nodes.delete(SwimNetwork.host(n))
    void this.#sockets.get(SwimNetwork.host(n))?.close()
  }

  node(n: number): SwimNode {
    const node = this.nodes.get(SwimNetwork.host(n))
    if (node === undefined) throw new Error(`there is no node ${n}`)
    return node
  }

  /** Splits the network: hosts of different sides do not reach each other. Undo with `() => 0`. */
  partition(sideOf: (host: string) => number): void {
    this.#sideOf = sideOf
  }

  /** Calls `watcher` at each change that any node sees. */
  watch(watcher: (host: string, members: readonly NodeMember[]) => void): void {
    this.#watchers.push(watcher)
  }

  /** The state in which node `of` sees node `n`. */
  stateOf(of: number, n: number): NodeMember['state'] | undefined {
    return this.node(of)
      .members()
      .find(({ host }) => host === SwimNetwork.host(n))?.state
  }

  /** Whether every running node sees exactly the running ones alive (or suspect), the given ones apart. */
  agrees(except: readonly number[] = []): boolean {
    const hosts = [...this.nodes.keys()].filter((host) => !except.some((n) => SwimNetwork.host(n) === host))
    return hosts.every((host) => {
      const live = this.nodes
        .get(host)
        ?.members()
        .filter(({ state }) => state === 'alive' || state === 'suspect')
      return live?.length === hosts.length && live.every((member) => hosts.includes(member.host))
    })
  }

  stop(): void {
    for (const node of this.nodes.values()) node.stop()
    this.nodes.clear()
    for (const socket of this.#sockets.values()) void socket.close()
    this.#sockets.clear()
  }

  #carry(datagram: Datagram, arrive: () => void): void {
    if (this.recording) this.sent.push(datagram)
    const { from, to } = datagram
    if (this.#sideOf(from) !== this.#sideOf(to) || this.#random() < this.loss) return
    setTimeout(arrive, 1 + Math.floor(this.#random() * 2))
  }
}
