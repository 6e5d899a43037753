import { z } from 'zod'
import { RingmanError } from '../errors.ts'
import { isPortName, isLabelSelector, isResourceName } from '../kubernetes/label-selector.ts'
import type { SettingTable } from './setting.ts'
import { boolean, choice, duration, parsed, path, type ValueType } from './value-type.ts'

const SOURCE = { category: 'Kubernetes', sources: ['kubernetes'] } as const
const GOSSIP = { category: 'Kubernetes', sources: ['memberlist', 'swim'] } as const

/** Text that has to be in a form of its own. */
function checked(placeholder: string, allowed: string, accepts: (text: string) => boolean) {
  return parsed<string>(
    placeholder,
    allowed,
    (text) => {
      if (accepts(text)) return text
      throw new RingmanError('CONFIG_INVALID', `"${text.slice(0, 80)}" is not allowed: ${allowed}`)
    },
    (text) => text,
  )
}

const SELECTOR_ALLOWED = 'a label selector, such as app=cache,tier in (a,b),!canary'

const resourceName = checked(
  'NAME',
  'a name of Kubernetes: lower-case letters, digits and -, at most 63',
  isResourceName,
)
const labelSelector = checked('LABELS', SELECTOR_ALLOWED, isLabelSelector)

const portText = parsed<string | number>(
  'PORT',
  "a port's name in the Service, or its number from 1 to 65535",
  (text) => {
    const number = Number(text)
    if (/^[1-9]\d{0,4}$/.test(text) && number <= 65_535) return number
    if (isPortName(text)) return text
    throw new RingmanError(
      'CONFIG_INVALID',
      `"${text.slice(0, 80)}" is no port: a port's name in the Service, or its number from 1 to 65535 is allowed`,
    )
  },
  String,
)

const portChoice: ValueType<string | number> = {
  ...portText,
  // A file may hold a number.
  schema: z.preprocess((value) => (typeof value === 'number' ? String(value) : value), portText.schema),
  encode: (value) => value,
}

/** Members from Kubernetes, and what Kubernetes knows of members that gossip; see `docs/kubernetes-source.md`. */
export const KUBERNETES_SETTINGS = {
  kubernetesService: {
    ...SOURCE,
    type: resourceName,
    help: 'The Service whose serving endpoints are the ring',
  },
  kubernetesSelector: {
    ...SOURCE,
    type: labelSelector,
    help: 'Labels of the EndpointSlices whose serving endpoints are the ring, in place of a Service',
  },
  kubernetesPort: {
    ...SOURCE,
    type: portChoice,
    help: 'The port of the endpoints, by its name in the Service or by its number on the pods; needed when there are several',
  },
  kubernetesIpFamily: {
    ...SOURCE,
    type: choice(['auto', 'ipv4', 'ipv6']),
    default: 'auto',
    help: 'Which addresses of a dual-stack Service count; auto takes IPv4 where there is any',
  },
  holdRestartingMs: {
    ...SOURCE,
    type: duration(0, 3_600_000),
    default: '30s',
    help: 'How long a pod that is there but does not serve keeps its place; 0 for not at all',
  },
  kubernetesNamespace: {
    category: 'Kubernetes',
    sources: ['kubernetes', 'memberlist', 'swim'],
    type: resourceName,
    help: "Namespace of the Service or the pods; this pod's own when not set",
  },
  kubernetesKubeconfig: {
    category: 'Kubernetes',
    sources: ['kubernetes', 'memberlist', 'swim'],
    type: path,
    help: "File by which the API server is reached; this pod's service account when not set",
  },
  kubernetesPodSelector: {
    ...GOSSIP,
    type: labelSelector,
    help: 'Labels of the pods that gossip, for the seed pods:[PORT] and for the check',
  },
  kubernetesCheck: {
    category: 'Kubernetes',
    sources: ['memberlist'],
    type: boolean,
    default: false,
    help: 'Declare a member dead at once when its pod is gone from Kubernetes',
  },
} as const satisfies SettingTable
