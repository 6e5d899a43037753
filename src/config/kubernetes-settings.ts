import { formatDuration } from '../duration.ts'
import { isPort } from '../is-within.ts'
import { LABEL_NAME } from '../kubernetes-names.ts'
import { isLabelSelector } from '../kubernetes/label-selector.ts'
import { DEFAULT_HOLD_RESTARTING_MS } from '../membership/kubernetes/kubernetes-options.ts'
import { settingsWith, type SettingTable } from './setting.ts'
import {
  boolean,
  choice,
  duration,
  form,
  list,
  matching,
  NotAllowed,
  path,
  type ValueType,
} from './value-type.ts'

const resourceName = matching(
  'NAME',
  'a name of Kubernetes: lower-case letters, digits and -, at most 63',
  LABEL_NAME,
)
const installationName = matching(
  'NAME',
  'lower-case letters, digits, -, . and /, at most 253',
  /^[-a-z0-9./]{1,253}$/,
)
const labelSelector = form('LABELS', 'a label selector, such as app=cache,tier in (a,b),!canary', (text) =>
  isLabelSelector(text) ? text : undefined,
)

const portChoice: ValueType<string | number> = {
  // A file may hold a number.
  read(given) {
    const text = String(given)
    if (isPort(text)) return Number(text)
    if (typeof given === 'string' && LABEL_NAME.test(text) && /[a-z]/.test(text)) return text
    throw new NotAllowed([{ message: portChoice.allowed }])
  },
  placeholder: 'PORT',
  allowed: "a port's name in the Service, or its number from 1 to 65535",
  encode: (value) => value,
}

/** Members from Kubernetes, and what Kubernetes knows of members that gossip; see `docs/kubernetes-source.md`. */
export const KUBERNETES_SETTINGS = {
  ...settingsWith({ category: 'Kubernetes', sources: ['kubernetes'] })({
    kubernetesService: { type: resourceName, help: 'Service whose serving endpoints make the ring' },
    kubernetesSelector: {
      type: labelSelector,
      excludes: ['kubernetesService'],
      help: 'Label selector of EndpointSlices whose serving endpoints make the ring, instead of a Service',
    },
    kubernetesPort: {
      type: portChoice,
      help: 'Port of the endpoints: its name in the Service or its number on the pods; required when there are several',
    },
    kubernetesIpFamily: {
      type: choice(['auto', 'ipv4', 'ipv6']),
      default: 'auto',
      help: 'Address family to use of a dual-stack Service; auto prefers IPv4',
    },
    holdRestartingMs: {
      type: duration(0, 3_600_000),
      default: formatDuration(DEFAULT_HOLD_RESTARTING_MS),
      help: 'How long a pod that exists but does not serve keeps its place; 0 to remove it at once',
    },
  }),
  ...settingsWith({ category: 'Kubernetes', sources: ['kubernetes', 'memberlist', 'swim'] })({
    kubernetesNamespace: {
      type: resourceName,
      help: "Namespace of the Service or the pods (default: this pod's own)",
    },
    kubernetesKubeconfig: {
      type: path,
      help: "Kubeconfig for reaching the API server (default: this pod's service account)",
    },
  }),
  kubernetesPodSelector: {
    category: 'Kubernetes',
    sources: ['memberlist', 'swim'],
    type: labelSelector,
    help: 'Label selector of the pods that gossip, for the seed pods:[PORT] and for --kubernetes-check',
  },
  kubernetesCheck: {
    category: 'Kubernetes',
    sources: ['memberlist'],
    type: boolean,
    default: false,
    help: 'Declare a member dead as soon as Kubernetes has deleted its pod',
  },
} as const satisfies SettingTable

/** Rings of HashRing resources, beside the ring of the members themselves; see `docs/rings.md`. */
export const HASH_RING_SETTINGS = settingsWith({ category: 'HashRings' })({
  hashRings: {
    type: boolean,
    default: false,
    help: 'Make a ring of each HashRing resource, and answer for it under /v1/rings',
  },
  hashRingNamespaces: {
    needs: 'hashRings',
    type: list(resourceName, { max: 100 }),
    default: '',
    help: 'Namespaces whose HashRings make rings (default: all)',
  },
  hashRingPublish: {
    needs: 'hashRings',
    type: boolean,
    default: false,
    help: 'Allow HashRings that have their ring written to a ConfigMap',
  },
  hashRingInstallation: {
    needs: 'hashRings',
    type: installationName,
    default: 'ringman',
    help: 'Name of this installation in the statuses of HashRings; tells apart two that watch the same ones',
  },
})
