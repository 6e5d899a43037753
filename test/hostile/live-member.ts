import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import { GOSSIP_PORT, HTTP_PORTS, TestProcess } from '../support/child-process.ts'

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
      '--expose-gc',
      'src/cli.ts',
      'serve',
      '--source',
      source,
      ...GOSSIP_PORT,
      ...HTTP_PORTS,
      '--name',
      'target',
      '--log-format',
      'json',
      ...more,
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
