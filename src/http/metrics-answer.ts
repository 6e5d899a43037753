import type { IncomingMessage } from 'node:http'
import { getOrMake } from '../get-or-make.ts'
import { makeAnswer, type Answer } from './respond.ts'

/** How metrics are written down. */
export type ExpositionFormat = 'prometheus' | 'openmetrics'

/** Metrics as text. */
export interface MetricsText {
  readonly contentType: string
  readonly body: string
}

/** Where the text of `/metrics` comes from. Who asks while it is being made should get the same object. */
export interface MetricsWriter {
  write(format: ExpositionFormat): Promise<MetricsText>
}

/** Answers `/metrics`: Prometheus's text, or OpenMetrics for those who ask for it by `Accept`. */
export function metricsAnswer(metrics: MetricsWriter): (request: IncomingMessage) => Promise<Answer> {
  const answers = new WeakMap<MetricsText, Answer>()
  /** Of one text there is one answer, however many wait for it, and however slowly they read. */
  return async ({ headers: { accept } }) => {
    const text = await metrics.write(chooseFormat(accept))
    return getOrMake(answers, text, () => {
      const headers = ['Content-Type', text.contentType, 'Cache-Control', 'no-store', 'Vary', 'Accept']
      // Answers are byte text.
      return makeAnswer(200, headers, Buffer.from(text.body, 'utf8').toString('latin1'))
    })
  }
}

/** No Accept header of a scraper is nearly so long. */
const ACCEPT_LIMIT = 1024

/**
 * What an Accept header asks for: OpenMetrics 1.0.0 (or without a version) when it is given at least the weight of
 * the text format and of anything else; Prometheus's text in any other case, so that a browser and `curl` get that.
 */
export function chooseFormat(accept: string | undefined): ExpositionFormat {
  if (accept === undefined || accept.length > ACCEPT_LIMIT) return 'prometheus'
  let openMetrics = 0
  let plain = 0
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const weight = weightOf(parameters)
    if (type === 'application/openmetrics-text') {
      const version = parameters.find((parameter) => parameter.startsWith('version='))?.slice(8)
      if (version === undefined || version === '1.0.0') openMetrics = Math.max(openMetrics, weight)
    } else if (type === 'text/plain' || type === 'text/*') plain = Math.max(plain, weight)
  }
  return openMetrics > 0 && openMetrics >= plain ? 'openmetrics' : 'prometheus'
}

function weightOf(parameters: readonly string[]): number {
  const text = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2)
  const weight = text === undefined ? 1 : Number(text)
  return weight >= 0 && weight <= 1 ? weight : 0
}
