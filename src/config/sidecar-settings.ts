import { SIDECAR_DEFAULTS } from '../membership/sidecar/sidecar-options.ts'
import type { SettingTable } from './setting.ts'
import { boolean, duration, formatDuration, hostName, httpUrl, list, path, port, word } from './value-type.ts'

const SIDECAR = { category: 'Sidecar', sources: ['sidecar'] } as const
const ACTING = { category: 'Who may act' } as const

/** Members from Nitro Sidecar; see `docs/sidecar.md`. */
export const SIDECAR_SETTINGS = {
  sidecarUrl: {
    ...SIDECAR,
    type: httpUrl,
    help: "URL of Sidecar's state; without it the ring is empty until Sidecar posts an update",
  },
  sidecarService: {
    ...SIDECAR,
    type: word('NAME', 253),
    help: 'Service whose living instances make the ring',
  },
  sidecarServicePort: {
    ...SIDECAR,
    type: port,
    help: "ServicePort that selects an instance's port",
  },
  sidecarWatch: {
    ...SIDECAR,
    type: boolean,
    default: SIDECAR_DEFAULTS.watch,
    help: "Follow Sidecar's stream of states; needs the URL",
  },
  sidecarRefetchMs: {
    ...SIDECAR,
    type: duration(0, 24 * 3_600_000),
    default: formatDuration(SIDECAR_DEFAULTS.refetchIntervalMs),
    help: 'Interval between fetches of the state; 0 to fetch it once',
  },
  sidecarHoldDownMs: {
    ...SIDECAR,
    type: duration(0, 3_600_000),
    default: formatDuration(SIDECAR_DEFAULTS.holdDownMs),
    help: 'Shortest time between ring changes in a burst; 0 to apply each at once',
  },
  tokenFile: {
    ...ACTING,
    sources: ['sidecar'],
    type: path,
    help: "File with the token for whoever has this process act: operators at the admin port, whose actions are off without it, and Sidecar's updates",
  },
  allowedHosts: {
    ...ACTING,
    sources: ['sidecar'],
    type: list(hostName, { max: 100 }),
    default: '',
    help: 'Host names, besides IP addresses and localhost, by which this process may be asked to act',
  },
} as const satisfies SettingTable
