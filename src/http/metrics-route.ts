import type Koa from 'koa'
import { RingmanError } from '../errors.ts'
import { splitTarget } from './query.ts'
import { makeAnswer, type Answer, type Responder } from './respond.ts'

/** Formats in which metrics can be had. */
type Format = 'prometheus' | 'openmetrics'

/** Metrics as text. */
interface Text {
  readonly contentType: string
  readonly body: string
}

/** Where the text of `/metrics` comes from. Who asks while it is being made should get the same object. */
export interface MetricsWriter {
  write(format: Format): Promise<Text>
}

/** `/metrics` of the admin port: Prometheus's text, or OpenMetrics for those who ask for it by `Accept`. */
export function metricsRoute(metrics: MetricsWriter, responder: Responder): Koa.Middleware {
  const answers = new WeakMap<Text, Answer>()
  /** Of one text there is one answer, however many wait for it, and however slowly they read. */
  const answerOf = (text: Text): Answer => {
    let answer = answers.get(text)
    if (answer === undefined) {
      const headers = ['Content-Type', text.contentType, 'Cache-Control', 'no-store', 'Vary', 'Accept']
      // Answers are byte text.
      answer = makeAnswer(200, headers, Buffer.from(text.body, 'utf8').toString('latin1'))
      answers.set(text, answer)
    }
    return answer
  }
  return async (ctx, next) => {
    if (splitTarget(ctx.req.url ?? '').path !== PATH) return (await next()) as unknown
    ctx['_matchedRoute'] = PATH
    if (ctx.method === 'OPTIONS') {
      responder.send(ctx, { status: 204, headers: ['Allow', ALLOW], body: '' })
    } else if (ctx.method !== 'GET' && ctx.method !== 'HEAD') {
      const error = new RingmanError('METHOD_NOT_ALLOWED', `${PATH} takes ${ALLOW}`)
      responder.sendProblem(ctx, error, ['Allow', ALLOW])
    } else {
      try {
        responder.send(ctx, answerOf(await metrics.write(chooseFormat(ctx.req.headers.accept))))
      } catch (error) {
        responder.sendProblem(ctx, error)
      }
    }
    return undefined
  }
}

const PATH = '/metrics'
const ALLOW = 'GET, HEAD, OPTIONS'
/** No Accept header of a scraper is nearly so long. */
const ACCEPT_LIMIT = 1024

/**
 * What an Accept header asks for: OpenMetrics 1.0.0 (or without a version) when it is given at least the weight of
 * the text format and of anything else; Prometheus's text in any other case, so that a browser and `curl` get that.
 */
export function chooseFormat(accept: string | undefined): Format {
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
