import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import { TestProcess } from '../support/child-process.ts'

/** A `ringman serve` process under attack: what it holds, and whether it still does its work. */
export class LiveMember implements AsyncDisposable {
  readonly process: TestProcess
  readonly url: string
  readonly httpPort: number
  readonly gossipPort: number

  private constructor(process: TestProcess, url: string, httpPort: number, gossipPort: number) {
    this.process = process
    this.url = url
    this.httpPort = httpPort
    this.gossipPort = gossipPort
  }

  static async start(source: 'memberlist' | 'swim', ...more: string[]): Promise<LiveMember> {
    const member = new TestProcess([
      ...[
        '--expose-gc',
        'src/cli.ts',
        'serve',
        '--source',
        source,
        '--bind',
        '127.0.0.1',
        '--gossip-port',
        '0',
      ],
      ...['--http-host', '127.0.0.1', '--http-port', '0', '--admin-port', '0', '--name', 'target'],
      ...['--log-format', 'json', ...more],
    ])
    const ready = (await member.event('ready')) as unknown as Record<
      'http' | 'gossip',
      { url: string; port: number }
    >
    return new LiveMember(member, ready.http.url, ready.http.port, ready.gossip.port)
  }

  /** Resident memory, in bytes. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'utf8')
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024
  }

  /** The ring as this member answers it: proof that it lives. */
  ring(): Promise<{ readonly digest: string; readonly epoch: number }> {
    return new Promise((resolve, reject) => {
      get(`${this.url}/v1/ring`, { agent: false }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        response.on('end', () => {
          resolve(JSON.parse(text) as { digest: string; epoch: number })
        })
      }).on('error', reject)
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process[Symbol.asyncDispose]()
  }
}

/** A generator of bytes from a seed (mulberry32), so that a failure can be repeated. */
export class ByteChance {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** An integer from 0 to `limit - 1`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * limit)
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let i = 0; i < length; i++) bytes[i] = this.below(256)
    return bytes
  }

  /** One of `items`, of which there must be some. */
  one<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error('nothing to choose from')
    return item
  }

  /** `bytes` with a few of them changed, dropped, doubled or cut off. */
  mutate(bytes: Buffer): Buffer {
    let result = Buffer.from(bytes)
    for (let n = 1 + this.below(4); n > 0 && result.length > 0; n--) {
      const at = this.below(result.length)
      switch (this.below(4)) {
        case 0:
          result[at] = this.below(256)
          break
        case 1:
          result = Buffer.concat([result.subarray(0, at), result.subarray(at + 1)])
          break
        case 2:
          result = Buffer.concat([result.subarray(0, at), this.bytes(1 + this.below(8)), result.subarray(at)])
          break
        default:
          result = result.subarray(0, at)
      }
    }
    return result
  }
}
