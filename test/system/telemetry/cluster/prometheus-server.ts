import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { eventually } from '../../../support/eventually.ts'
import { freePort } from '../../../support/free-port.ts'
import { NativeProcess } from '../../../support/native-process.ts'
import { promtool } from '../alerts/promtool.ts'

/** One series of an answer: its labels, and its values as pairs of seconds since the epoch and a number. */
export interface QueriedSeries {
  readonly labels: Readonly<Record<string, string>>
  readonly values: readonly (readonly [seconds: number, value: number])[]
}

/** Something to scrape, with the labels that a service monitor's relabeling would give it. */
export interface ScrapeTarget {
  readonly address: string
  readonly labels: Readonly<Record<string, string>>
}

/** Lists of targets by the job that scrapes them. */
export type ScrapeTargets = Readonly<Record<string, readonly ScrapeTarget[]>>

const JOBS = ['ringman', 'kube-state-metrics'] as const

/** A real Prometheus that scrapes and evaluates every second. */
export class PrometheusServer implements AsyncDisposable {
  readonly #process: NativeProcess
  readonly #folder: string
  readonly #url: string

  private constructor(process: NativeProcess, folder: string, url: string) {
    this.#process = process
    this.#folder = folder
    this.#url = url
  }

  /**
   * Starts it on a free port, with its data in a temporary folder. Resolves when it is ready.
   *
   * @param rules - A rule file.
   * @param lookBackSeconds - For how long a sample stands for its series: 5 minutes, in the scale of the rules.
   */
  static async start(rules: string, lookBackSeconds: number): Promise<PrometheusServer> {
    // It comes with the server, and says what to install where neither is there.
    promtool('--version')
    const folder = mkdtempSync(join(tmpdir(), 'ringman-prometheus-'))
    writeFileSync(join(folder, 'rules.yaml'), rules)
    writeFileSync(
      join(folder, 'prometheus.yaml'),
      stringify({
        global: { scrape_interval: '1s', scrape_timeout: '900ms', evaluation_interval: '1s' },
        rule_files: ['rules.yaml'],
        scrape_configs: JOBS.map((job) => ({
          job_name: job,
          honor_labels: job === 'kube-state-metrics',
          file_sd_configs: [{ files: [`${job}.json`], refresh_interval: '1s' }],
        })),
      }),
    )
    const port = await freePort()
    const process = new NativeProcess('prometheus', [
      `--config.file=${join(folder, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      `--query.lookback-delta=${lookBackSeconds}s`,
      '--log.level=warn',
    ])
    const url = `http://127.0.0.1:${port}`
    const server = new PrometheusServer(process, folder, url)
    try {
      await eventually('prometheus is ready', async () => (await fetch(`${url}/-/ready`)).ok, {
        facts: () => process.output,
      })
      return server
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
  }

  /** What it has written to its log: warnings and errors. */
  get log(): string {
    return this.#process.output
  }

  /** Changes what is scraped. */
  setTargets(targets: ScrapeTargets): void {
    for (const job of JOBS) {
      const path = join(this.#folder, `${job}.json`)
      const groups = (targets[job] ?? []).map(({ address, labels }) => ({ targets: [address], labels }))
      writeFileSync(`${path}.new`, JSON.stringify(groups))
      renameSync(`${path}.new`, path)
    }
  }

  /** Evaluates an expression now, or at a moment. */
  async query(expr: string, atSeconds?: number): Promise<QueriedSeries[]> {
    const time: Record<string, string> = atSeconds === undefined ? {} : { time: String(atSeconds) }
    const { result } = await this.#ask('query', { query: expr, ...time })
    return result.map(({ metric, value }) => ({
      labels: metric,
      values: value === undefined ? [] : [numbers(value)],
    }))
  }

  /** Evaluates an expression at each step of a range. */
  async queryRange(
    expr: string,
    range: { readonly fromSeconds: number; readonly toSeconds: number; readonly stepSeconds: number },
  ): Promise<QueriedSeries[]> {
    const { result } = await this.#ask('query_range', {
      query: expr,
      start: String(range.fromSeconds),
      end: String(range.toSeconds),
      step: String(range.stepSeconds),
    })
    return result.map(({ metric, values = [] }) => ({ labels: metric, values: values.map(numbers) }))
  }

  /** The names of the rules that could not be evaluated, with the errors. */
  async ruleErrors(): Promise<string[]> {
    const response = await fetch(`${this.#url}/api/v1/rules`)
    const { data } = (await response.json()) as {
      data: { groups: { rules: { name: string; lastError?: string }[] }[] }
    }
    return data.groups
      .flatMap(({ rules }) => rules)
      .flatMap(({ name, lastError = '' }) => (lastError === '' ? [] : [`${name}: ${lastError}`]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #ask(path: string, parameters: Readonly<Record<string, string>>) {
    const response = await fetch(`${this.#url}/api/v1/${path}`, {
      method: 'POST',
      body: new URLSearchParams(parameters),
    })
    const answer = (await response.json()) as PrometheusAnswer
    if (answer.status !== 'success') throw new Error(`${answer.error}: ${parameters['query']}`)
    return answer.data
  }
}

type RawSample = readonly [seconds: number, value: string]

type PrometheusAnswer =
  | {
      readonly status: 'success'
      readonly data: {
        readonly result: readonly {
          readonly metric: Readonly<Record<string, string>>
          readonly value?: RawSample
          readonly values?: readonly RawSample[]
        }[]
      }
    }
  | { readonly status: 'error'; readonly error: string }

/** `NaN` and `+Inf` stay what they are. */
function numbers([seconds, value]: RawSample): readonly [number, number] {
  return [seconds, value === '+Inf' ? Infinity : value === '-Inf' ? -Infinity : Number(value)]
}
