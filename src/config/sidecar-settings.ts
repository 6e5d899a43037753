import type { SettingTable } from './setting.ts'
import { boolean, duration, httpUrl, path, port, word } from './value-type.ts'

const SIDECAR = { category: 'Sidecar', sources: ['sidecar'] } as const

/** Members from Nitro Sidecar; see `docs/sidecar.md`. */
export const SIDECAR_SETTINGS = {
  sidecarUrl: {
    ...SIDECAR,
    type: httpUrl,
    help: "Where Sidecar's state is; without it the ring is empty until Sidecar posts an update",
  },
  sidecarService: {
    ...SIDECAR,
    type: word('NAME', 253),
    help: 'The service whose living instances are the ring',
  },
  sidecarServicePort: {
    ...SIDECAR,
    type: port,
    help: "The ServicePort by which an instance's port is found",
  },
  sidecarWatch: {
    ...SIDECAR,
    type: boolean,
    default: false,
    help: "Follow Sidecar's stream of states; needs the URL",
  },
  sidecarRefetchMs: {
    ...SIDECAR,
    type: duration(0, 24 * 3_600_000),
    default: '30s',
    help: 'Time between two fetches of the state; 0 fetches it only once',
  },
  sidecarHoldDownMs: {
    ...SIDECAR,
    type: duration(0, 3_600_000),
    default: '5s',
    help: 'Least time between two changes of the ring in a burst; 0 applies each at once',
  },
  sidecarTokenFile: {
    ...SIDECAR,
    type: path,
    help: 'File with a token that whoever posts updates must show',
  },
} as const satisfies SettingTable
