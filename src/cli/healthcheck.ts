import { nodeTransport } from '../client/transport.ts'
import { systemRandom } from '../clock.ts'
import type { HealthcheckConfig } from '../config/serve-settings.ts'
import { messageOf, RingmanError } from '../errors.ts'
import { collectBytes } from '../growing-buffer.ts'
import { objectIn } from '../is-object.ts'
import { printable } from '../printable.ts'
import { formatHostPort } from '../addresses.ts'
import type { ExitCode } from './exit-code.ts'
import type { CommandInput } from './terminal.ts'

/** Largest answer that is read, in bytes. */
const ANSWER_LIMIT_BYTES = 64 * 1024

export interface HealthcheckInput extends Omit<CommandInput<HealthcheckConfig>, 'json'> {
  /** Whether to ask if it is ready for look-ups, instead of whether it is alive. */
  readonly ready: boolean
}

/**
 * `ringman healthcheck`: asks the member of this machine how it is, and prints what it says.
 *
 * @returns 0 when the member is alive, or ready; 1 when it says that it is not.
 * @throws {RingmanError} `UNREACHABLE`, `TIMEOUT`, `RESPONSE_INVALID`.
 */
export async function runHealthcheck({ config, terminal, ready }: HealthcheckInput): Promise<ExitCode> {
  const place = formatHostPort({ address: hostToAsk(config.httpHost), port: config.adminPort })
  const base = `http://${place}`
  const url = `${base}${ready ? '/readyz' : '/livez'}`
  const { status, body } = await request(url, config.timeoutMs)
  // The sentence that the admin port says of its health; another program says something else.
  const message = (status === 200 || status === 503) && objectIn(body)?.['message']
  if (typeof message !== 'string') {
    const problem = `what answered at ${url} is not ringman: status ${status}`
    const error = new RingmanError(status === 404 ? 'NOT_FOUND' : 'RESPONSE_INVALID', problem)
    // Containers run this every few seconds, and it is loaded for none of them that is set up well.
    const { lookUpPortError } = await import('./look-up-port.ts')
    throw (
      (await lookUpPortError(error, base, config.timeoutMs)) ?? new RingmanError('RESPONSE_INVALID', problem)
    )
  }
  if (status === 200) {
    terminal.out(`${printable(message)}\n`)
    return 0
  }
  terminal.err(`ringman: ${printable(message)}\n`)
  return 1
}

/** Where something that listens at `host` can be asked on this machine. */
function hostToAsk(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

async function request(url: string, timeoutMs: number) {
  const timeout = AbortSignal.timeout(timeoutMs)
  try {
    const ask = nodeTransport({ random: systemRandom })
    const { status, body } = await ask(url, { headers: {}, alone: true }, timeout)
    const bytes = await collectBytes(body, ANSWER_LIMIT_BYTES, () => new Error('its answer is too long'))
    return { status, body: new TextDecoder().decode(bytes) }
  } catch (error) {
    throw timeout.aborted
      ? new RingmanError('TIMEOUT', `${url} did not answer within ${timeoutMs} ms`, { cause: error })
      : new RingmanError('UNREACHABLE', `cannot reach ${url}: ${messageOf(error)}`, { cause: error })
  }
}
