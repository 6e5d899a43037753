import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { decodeJsonSpans, type ReceivedSpan } from '../../support/otlp-spans.ts'
import { cacheFolder } from '../../support/cache-folder.ts'
import { freePort } from '../../support/free-port.ts'

const run = promisify(execFile)

const SOURCE = join(import.meta.dirname, 'collector')

/** A first build fetches and compiles every dependency. */
const BUILD_DEADLINE_MS = 1_500_000

/** How long the collector may take to start, and spans to arrive, in milliseconds. */
const PATIENCE_MS = 30_000

/**
 * Builds an OpenTelemetry Collector from its Go modules, unless that was done before.
 *
 * @returns The path of the executable, in the cache folder.
 * @throws {Error} that says what to install when there is no Go, or what the compiler said.
 */
export async function buildCollector(): Promise<string> {
  const hash = createHash('sha256')
  for (const file of ['main.go', 'go.mod', 'go.sum']) hash.update(await readFile(join(SOURCE, file)))
  const directory = join(cacheFolder(), `otel-collector-${hash.digest('hex').slice(0, 16)}`)
  const executable = join(directory, 'collector')
  const built = await access(executable).then(
    () => true,
    () => false,
  )
  if (built) return executable
  await mkdir(directory, { recursive: true })
  // Another process may build the same at this moment: the last one to rename wins, and both are good.
  const building = `${executable}.${process.pid}`
  try {
    await run('go', ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', '-o', building, '.'], {
      cwd: SOURCE,
      timeout: BUILD_DEADLINE_MS,
      maxBuffer: 64 * 1024 * 1024,
    })
  } catch (error) {
    const { code, stderr } = error as { readonly code?: unknown; readonly stderr?: string }
    if (code === 'ENOENT') {
      throw new Error('this suite needs Go 1.26 or newer: apt package golang-go, or https://go.dev/dl/', {
        cause: error,
      })
    }
    throw new Error(`could not build the OpenTelemetry Collector:\n${stderr ?? ''}`, { cause: error })
  }
  await rename(building, executable)
  return executable
}

/** An OpenTelemetry Collector that takes OTLP over HTTP on a loopback port and writes what it gets to a file. */
export class Collector implements AsyncDisposable {
  /** What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be. */
  readonly url: string
  readonly #child: ChildProcess
  readonly #directory: string

  private constructor(url: string, child: ChildProcess, directory: string) {
    this.url = url
    this.#child = child
    this.#directory = directory
  }

  /** @throws {Error} with what it said, when it does not listen in time. */
  static async start(executable: string): Promise<Collector> {
    const directory = await mkdtemp(join(tmpdir(), 'ringman-collector-'))
    const port = await freePort()
    const config = {
      receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
      exporters: { file: { path: join(directory, 'traces.json'), flush_interval: '100ms' } },
      service: {
        pipelines: { traces: { receivers: ['otlp'], exporters: ['file'] } },
      },
    }
    // JSON is YAML.
    await writeFile(join(directory, 'config.yaml'), JSON.stringify(config))
    const child = spawn(executable, ['--config', join(directory, 'config.yaml')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-16_384)
    })
    const collector = new Collector(`http://127.0.0.1:${port}`, child, directory)
    const deadlineMs = performance.now() + PATIENCE_MS
    for (;;) {
      const answer = await fetch(`${collector.url}/v1/traces`, { method: 'POST' }).catch(() => undefined)
      await answer?.body?.cancel()
      if (answer !== undefined) return collector
      if (performance.now() > deadlineMs || child.exitCode !== null) {
        await collector[Symbol.asyncDispose]()
        throw new Error(`the collector does not listen:\n${said}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** What it has written so far. */
  async spans(): Promise<ReceivedSpan[]> {
    const text = await readFile(join(this.#directory, 'traces.json'), 'utf8')
    // The last line may be half written.
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
      .flatMap(decodeJsonSpans)
  }

  /** Resolves with the first span that fits, once it is there. @throws {Error} after a while, naming what came. */
  async span(what: string, fits: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> {
    const deadlineMs = performance.now() + PATIENCE_MS
    for (;;) {
      const spans = await this.spans()
      const found = spans.find(fits)
      if (found !== undefined) return found
      if (performance.now() > deadlineMs) {
        throw new Error(`${what} is not among ${spans.map(({ name }) => name).join(', ')}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL')
      await once(this.#child, 'exit')
    }
    await rm(this.#directory, { recursive: true, force: true })
  }
}
