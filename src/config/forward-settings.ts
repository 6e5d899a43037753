import { isIP } from 'node:net'
import { assertNever } from '../errors.ts'
import { formatKeyPlace, parseKeyPlace, type KeyPlace } from '../http/route-key.ts'
import type { MemberConfig } from './member-settings.ts'
import { formatHostPort } from '../addresses.ts'
import { settingsWith } from './setting.ts'
import { choice, duration, form, list, parsed } from './value-type.ts'

/** A place in a request where its key may be. */
export const keyPlace = parsed<KeyPlace>(
  'PLACE',
  'header:NAME, query:NAME, cookie:NAME or path:/PATTERN with {key} as one of its segments',
  parseKeyPlace,
  formatKeyPlace,
)

const network = form('NETWORK', 'ADDRESS/BITS, such as 10.0.0.0/8 or fd00::/8', (text) => {
  const [, address = '', bits = ''] = /^([\da-fA-F.:]+)\/(\d{1,3})$/.exec(text) ?? []
  const family = isIP(address)
  return family === 0 || Number(bits) > (family === 6 ? 128 : 32) ? undefined : text
})

const forwardSettings = settingsWith({ category: 'Forwarding', needs: 'upstream' })

/** How a member sends requests to the owners of their keys: what `ring.forward()` and `ringman proxy` share. */
export const FORWARD_SETTINGS = forwardSettings({
  forwardNetworks: {
    type: list(network, { max: 100 }),
    help: 'Networks that owners may be in, such as 10.0.0.0/8; needed where whoever gossips without a key could name any address',
  },
  forwardTimeoutMs: {
    type: duration(1, 24 * 3_600_000),
    default: '30s',
    help: 'How long the owner may take to begin its answer',
  },
  forwardWhenBehind: {
    type: choice(['wait', 'serve']),
    default: 'wait',
    help: 'What to do with a request that another member sent here by a newer ring, or one that cannot be compared: wait for the own ring, or serve it at once',
  },
  forwardWaitMs: {
    excludes: ['forwardWhenBehind'],
    type: duration(0, 60_000),
    default: '2s',
    help: 'How long to wait for the own ring; then the request is refused with 421',
  },
})

/** What the library takes: the same without the prefix that the command's settings need. */
export const FORWARD_OPTIONS = {
  ...forwardSettings({
    key: {
      type: list(keyPlace, { min: 1, max: 16 }),
      default: 'header:x-ringman-key',
      help: 'Where the key of a request is: the first of these that has one',
    },
  }),
  networks: FORWARD_SETTINGS.forwardNetworks,
  timeoutMs: FORWARD_SETTINGS.forwardTimeoutMs,
  whenBehind: FORWARD_SETTINGS.forwardWhenBehind,
  waitMs: { ...FORWARD_SETTINGS.forwardWaitMs, excludes: ['whenBehind'] },
} as const

/**
 * Whether requests may be sent to whatever address a member has: nobody who is no member can have named it.
 */
export function trustsAddresses({ source, keyringFile, requireEncryption }: MemberConfig): boolean {
  switch (source) {
    case 'static':
    case 'kubernetes':
      return true
    case 'memberlist':
      return keyringFile !== undefined && requireEncryption
    case 'swim':
    case 'sidecar':
      return false
    default:
      return assertNever(source)
  }
}

/** Where the program behind a proxy listens, as an `http:` URL with its port, or `HOST:PORT`; the value is host and port. */
export const upstreamPlace = form(
  'URL',
  'http://HOST:PORT',
  (text) => {
    const [, port = ''] = /^(?:http:\/\/)?[^/?#@\s]+:(\d{1,5})\/?$/.exec(text) ?? []
    const url = URL.parse(text.startsWith('http://') ? text : `http://${text}`)
    if (url === null || Number(port) < 1) return undefined
    // A number alone is an IP address to a URL.
    if (isIP(url.hostname) !== 0 && !text.includes(url.hostname)) return undefined
    // A URL drops the port 80.
    return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
  },
  ({ host, port }) => `http://${formatHostPort({ address: host, port })}`,
)
