import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort } from '../../support/free-port.ts'

const standInFolder = join(import.meta.dirname, 'stand-in')

/** A Sidecar that runs, told about services by a static list. */
export interface RunningSidecar {
  /** Where its state is. */
  readonly url: string
  /** What it wrote last, for a failure's message. */
  lastLines(): string
  kill(): Promise<void>
}

/** A Sidecar to run: the stand-in, built here, or a real one given by `RINGMAN_SIDECAR_BINARY`. */
export class SidecarProgram {
  readonly real: boolean
  readonly #folder = mkdtempSync(join(tmpdir(), 'ringman-sidecar-'))
  readonly #binary: string

  /** @throws {Error} when the stand-in is needed and Go is missing or cannot build it. */
  constructor() {
    const given = process.env['RINGMAN_SIDECAR_BINARY']
    this.real = given !== undefined
    this.#binary = given ?? join(this.#folder, 'stand-in')
    if (given !== undefined) return
    const built = spawnSync('go', ['build', '-o', this.#binary, '.'], {
      cwd: standInFolder,
      encoding: 'utf8',
    })
    if (built.error !== undefined)
      throw new Error('Go is needed to build the Sidecar stand-in', { cause: built.error })
    if (built.status !== 0) throw new Error(`the Sidecar stand-in could not be built:\n${built.stderr}`)
  }

  /** What the stand-in makes of a recorded body. */
  reencode(kind: 'state' | 'event', recorded: Uint8Array): Buffer {
    return spawnSync(this.#binary, ['-reencode', kind], { input: recorded }).stdout
  }

  /**
   * Starts it.
   *
   * @param targets - Sidecar's list of static services.
   * @param listeners - Where it posts its changes.
   */
  async start(targets: readonly unknown[], listeners: readonly string[]): Promise<RunningSidecar> {
    const list = join(this.#folder, 'static.json')
    writeFileSync(list, JSON.stringify(targets))
    const child = spawn(
      this.#binary,
      this.real ? ['--discover', 'static', '--advertise-ip', '127.0.0.1'] : [],
      {
        cwd: this.#folder,
        env: {
          PATH: process.env['PATH'],
          STATIC_CONFIG_FILE: list,
          LISTENERS_URLS: listeners.join(','),
          HAPROXY_DISABLE: 'true',
          ENVOY_USE_GRPC_API: 'false',
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    const lines: string[] = []
    const listening = Promise.withResolvers<string>()
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        if (lines.length > 200) lines.shift()
        const address = /^listening on (\S+)$/.exec(line)?.[1]
        if (address !== undefined) listening.resolve(`http://${address}/api/state.json`)
      })
    }
    child.once('error', listening.reject)
    child.once('exit', () => {
      listening.reject(new Error(`Sidecar ended:\n${lines.join('\n')}`))
    })
    const lastLines = () => lines.join('\n')
    const kill = () => end(child)
    if (!this.real) return { url: await listening.promise, lastLines, kill }
    // A real Sidecar has one port, and says nothing when it listens.
    const url = 'http://127.0.0.1:7777/api/state.json'
    listening.promise.catch(() => {})
    for (let tries = 0; ; tries++) {
      try {
        await fetch(url)
        return { url, lastLines, kill }
      } catch (error) {
        if (tries > 100) throw new Error(`Sidecar does not answer:\n${lastLines()}`, { cause: error })
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }

  /** Removes what it built. */
  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** A service for Sidecar to check: an HTTP server that can be stopped and started on its port. */
export class CheckedService {
  #server: Server | undefined
  #port = 0

  get port(): number {
    return this.#port
  }

  /** Its entry in Sidecar's list. */
  target(name: string, servicePort: number): unknown {
    return {
      Service: {
        Name: name,
        Image: 'ringman/test:1',
        Ports: [{ Type: 'tcp', Port: this.#port, ServicePort: servicePort, IP: '127.0.0.1' }],
        ProxyMode: 'http',
      },
      Check: { Type: 'HttpGet', Args: `http://127.0.0.1:${this.#port}/` },
    }
  }

  async start(): Promise<void> {
    if (this.#port === 0) this.#port = await freePort()
    const server = createServer((_, response) => response.end('alive'))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    this.#server = server
  }

  async stop(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}
