import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheFolder } from '../../support/cache-folder.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/free-port.ts'
import { cached, goSourceFingerprint, runGo } from '../../support/go-module.ts'
import { NativeProcess } from '../../support/native-process.ts'
import { decodeJsonSpans, type ReceivedSpan } from '../../support/otlp-spans.ts'

const SOURCE = join(import.meta.dirname, 'collector')

/** A first build fetches and compiles every dependency. */
const BUILD_DEADLINE_MS = 1_500_000

/**
 * The path of an OpenTelemetry Collector, built from its Go modules the first time.
 *
 * @throws {Error} that says what to install when there is no Go, or what the compiler said.
 */
export async function buildCollector(): Promise<string> {
  const path = join(cacheFolder(), `otel-collector-${await goSourceFingerprint(SOURCE)}`)
  return cached(path, async (executable) => {
    await runGo(SOURCE, ['build', '-ldflags=-s -w', '-o', executable, '.'], BUILD_DEADLINE_MS)
  })
}

/** An OpenTelemetry Collector that takes OTLP over HTTP on a loopback port and writes what it gets to a file. */
export class Collector implements AsyncDisposable {
  /** What `OTEL_EXPORTER_OTLP_ENDPOINT` is to be. */
  readonly url: string
  readonly #process: NativeProcess
  readonly #directory: string

  private constructor(url: string, process: NativeProcess, directory: string) {
    this.url = url
    this.#process = process
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
    const process = new NativeProcess(executable, ['--config', join(directory, 'config.yaml')])
    const collector = new Collector(`http://127.0.0.1:${port}`, process, directory)
    const listens = async () => {
      const answer = await fetch(`${collector.url}/v1/traces`, { method: 'POST' })
      await answer.body?.cancel()
      return true
    }
    try {
      await eventually('the collector listens', listens, { facts: () => process.output })
      return collector
    } catch (error) {
      await collector[Symbol.asyncDispose]()
      throw error
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
  span(what: string, fits: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> {
    return eventually(what, async () => (await this.spans()).find(fits), {
      facts: async () => (await this.spans()).map(({ name }) => name).join(', '),
    })
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }
}
