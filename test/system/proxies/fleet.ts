import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { ringman, TestProcess } from '../../support/child-process.ts'
import { freePort } from '../../support/free-port.ts'
import { a, TinyDnsServer } from '../../support/tiny-dns-server.ts'

/** The places of keys that the recipes speak of. */
export const ROUTE_KEY = 'header:x-key,cookie:session,path:/rooms/{key}'

/** The headless Service of the application. */
export const PODS = 'application-pods.default.svc.cluster.local'

/** A pod of the tests: an application and a member of the ring beside it, at a loopback address of its own. */
interface Pod {
  readonly host: string
  readonly application: TestProcess
  readonly member: TestProcess
}

/** An owner and the two nodes after it, as hosts. */
export type Owners = readonly string[]

/** Looks again until it is so, and tells the last reason why it was not. */
export async function eventually<T>(check: () => Promise<T>, forMs = 60_000): Promise<T> {
  const until = performance.now() + forMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > until) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

/** Pods that come and go as in Kubernetes, with the Services and the DNS that proxies know them by. */
export class Fleet implements AsyncDisposable {
  readonly pods = new Map<string, Pod>()
  readonly dns = new TinyDnsServer()
  dnsAddress = ''
  /** Of the application on every pod. */
  applicationPort = 0
  /** ringman's Service. */
  readonly lookUps: Service
  /** The application's Service. */
  readonly application: Service
  #gossipPort = 0
  /** Of the look-ups on every pod. */
  httpPort = 0
  #adminPort = 0

  private constructor() {
    this.lookUps = new Service(() => this.#listed.map((host) => ({ host, port: this.httpPort })))
    this.application = new Service(() => this.#listed.map((host) => ({ host, port: this.applicationPort })))
  }

  /** The pods that Services and DNS list. */
  #listed: string[] = []

  static async start(count: number): Promise<Fleet> {
    const fleet = new Fleet()
    fleet.dnsAddress = await fleet.dns.listen()
    fleet.applicationPort = await freePort()
    fleet.#gossipPort = await freePort()
    fleet.httpPort = await freePort()
    fleet.#adminPort = await freePort()
    await fleet.lookUps.listen()
    await fleet.application.listen()
    await Promise.all(Array.from({ length: count }, (_, i) => fleet.add(hostOf(i + 1))))
    await fleet.settled()
    return fleet
  }

  get hosts(): string[] {
    return [...this.pods.keys()].sort()
  }

  /** Starts a pod; Services and DNS list it once both of its processes are ready. */
  async add(host: string): Promise<void> {
    const pod = { host, application: this.#startApplication(host), member: this.#startMember(host) }
    this.pods.set(host, pod)
    await pod.application.event('ready')
    await pod.member.event('ready')
    this.list(host)
  }

  list(host: string): void {
    this.#listed = [...new Set([...this.#listed, host])]
    this.#publish()
  }

  /** Takes a pod off the Services and DNS. */
  unlist(host: string): void {
    this.#listed = this.#listed.filter((one) => one !== host)
    this.#publish()
  }

  /** As Kubernetes ends a pod: it is taken off the lists, its member leaves, then the application ends. */
  async end(host: string): Promise<void> {
    const pod = this.#pod(host)
    this.unlist(host)
    pod.member.signal('SIGTERM')
    await pod.member.ended
    pod.application.signal('SIGTERM')
    await pod.application.ended
    this.pods.delete(host)
  }

  /** Kills both processes; the lists still have the pod. */
  async kill(host: string): Promise<void> {
    const pod = this.#pod(host)
    this.pods.delete(host)
    await Promise.all([pod.member[Symbol.asyncDispose](), pod.application[Symbol.asyncDispose]()])
  }

  /** Kills the application alone: the ring knows nothing of it. */
  async killApplication(host: string): Promise<void> {
    await this.#pod(host).application[Symbol.asyncDispose]()
  }

  async restartApplication(host: string): Promise<void> {
    const application = this.#startApplication(host)
    this.pods.set(host, { ...this.#pod(host), application })
    await application.event('ready')
  }

  signalMembers(signal: NodeJS.Signals): void {
    for (const { member } of this.pods.values()) member.signal(signal)
  }

  /** Resolves when every member has the ring of these pods. */
  async settled(): Promise<void> {
    await eventually(async () => {
      for (const host of this.hosts) {
        const answer = await fetch(`http://${host}:${this.httpPort}/v1/ring`)
        const { nodes } = (await answer.json()) as { nodes: { address: string }[] }
        const known = nodes.map(({ address }) => address).sort()
        if (known.join() !== this.hosts.join()) throw new Error(`${host} knows ${known.join()}`)
      }
    })
  }

  /** The owners of a key, by a member's own answer. */
  async owners(key: string): Promise<Owners> {
    const [host] = this.hosts
    const answer = await fetch(`http://${host}:${this.httpPort}/v1/owners?n=3&key=${encodeURIComponent(key)}`)
    const { owners } = (await answer.json()) as { owners: { address: string }[] }
    return owners.map(({ address }) => address)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.hosts.map((host) => this.kill(host)))
    this.lookUps.close()
    this.application.close()
    this.dns.close()
  }

  #pod(host: string): Pod {
    const pod = this.pods.get(host)
    if (pod === undefined) throw new Error(`there is no pod ${host}`)
    return pod
  }

  #startApplication(host: string): TestProcess {
    return new TestProcess([join(import.meta.dirname, 'application.ts'), host, String(this.applicationPort)])
  }

  #startMember(host: string): TestProcess {
    const settings = {
      source: 'memberlist',
      name: host,
      preset: 'local',
      bind: host,
      advertise: host,
      'gossip-port': this.#gossipPort,
      'service-port': this.applicationPort,
      'http-host': host,
      'http-port': this.httpPort,
      'admin-port': this.#adminPort,
      seeds: [1, 2, 3].map((i) => `${hostOf(i)}:${this.#gossipPort}`).join(','),
      drain: '1s',
      'route-key': ROUTE_KEY,
      'log-format': 'json',
    }
    return ringman([
      'serve',
      ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ])
  }

  #publish(): void {
    const records = this.#listed.map(a)
    this.dns.zone.set(PODS, records)
  }
}

/** The address of the pod with that number, from 1. */
export function hostOf(number: number): string {
  return `127.0.31.${number}`
}

/** A ClusterIP: an address that stays, and passes each connection to the next of the pods that are listed. */
class Service {
  readonly host = '127.0.0.1'
  readonly #targets: () => readonly { readonly host: string; readonly port: number }[]
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  #next = 0

  constructor(targets: () => readonly { readonly host: string; readonly port: number }[]) {
    this.#targets = targets
    this.#server = createServer((near) => {
      this.#pass(near)
    })
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async listen(): Promise<void> {
    this.#server.listen(0, this.host)
    await once(this.#server, 'listening')
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #pass(near: Socket): void {
    const targets = this.#targets()
    const target = targets[this.#next++ % targets.length]
    near.on('error', () => {})
    if (target === undefined) {
      near.resetAndDestroy()
      return
    }
    const far = connect(target)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from)
      from.pipe(to)
      from.on('error', () => {
        to.resetAndDestroy()
      })
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
    }
  }
}
