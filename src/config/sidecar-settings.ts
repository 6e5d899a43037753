import { formatDuration } from '../duration.ts'
import { SIDECAR_DEFAULTS } from '../membership/sidecar/sidecar-options.ts'
import { settingsWith } from './setting.ts'
import { boolean, duration, hostName, httpUrl, list, path, port, word } from './value-type.ts'

/** Members from Nitro Sidecar; see `docs/sidecar.md`. */
export const SIDECAR_SETTINGS = {
  ...settingsWith({ category: 'Sidecar', sources: ['sidecar'] })({
    sidecarUrl: {
      type: httpUrl,
      help: "URL of Sidecar's state; without it the ring is empty until Sidecar posts an update",
    },
    sidecarService: { type: word('NAME', 253), help: 'Service whose living instances make the ring' },
    sidecarServicePort: { type: port, help: "ServicePort that selects an instance's port" },
    sidecarWatch: {
      type: boolean,
      default: SIDECAR_DEFAULTS.watch,
      needs: 'sidecarUrl',
      help: "Follow Sidecar's stream of states",
    },
    sidecarRefetchMs: {
      type: duration(0, 24 * 3_600_000),
      default: formatDuration(SIDECAR_DEFAULTS.refetchIntervalMs),
      needs: 'sidecarUrl',
      help: 'Interval between fetches of the state; 0 to fetch it once',
    },
    sidecarHoldDownMs: {
      type: duration(0, 3_600_000),
      default: formatDuration(SIDECAR_DEFAULTS.holdDownMs),
      help: 'Shortest time between ring changes in a burst; 0 to apply each at once',
    },
  }),
  ...settingsWith({ category: 'Who may act', sources: ['sidecar'] })({
    tokenFile: {
      type: path,
      help: "File with the token for whoever has this process act: operators at the admin port, whose actions are off without it, and Sidecar's updates. With it the admin port serves the page and look-ups too, which need no token",
    },
    allowedHosts: {
      type: list(hostName, { max: 100 }),
      default: '',
      help: 'Host names, besides IP addresses and localhost, by which this process may be asked to act',
    },
  }),
} as const
