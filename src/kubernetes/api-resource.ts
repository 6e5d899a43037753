/** A kind of object in the API of Kubernetes. */
export interface ApiKind {
  /** `''` for the core group. */
  readonly group: string
  readonly version: string
  /** Plural, lower case, as in paths and in roles. */
  readonly plural: string
}

/** The objects that a list or a watch is about. */
export interface ApiSelection {
  readonly kind: ApiKind
  readonly namespace: string
  /** Kubernetes' own syntax, such as `app=cache,tier in (a,b)`. @default all */
  readonly labelSelector?: string
  /** Such as `metadata.name=ring-0`. @default all */
  readonly fieldSelector?: string
}

export const ENDPOINT_SLICES: ApiKind = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
}
export const PODS: ApiKind = { group: '', version: 'v1', plural: 'pods' }

/** A selection whose namespace the configuration may have to tell. */
export type PartialSelection = Omit<ApiSelection, 'namespace'> & { readonly namespace?: string | undefined }

/** The path of the selection's collection, from the root of the API. */
export function pathOf({ kind, namespace }: ApiSelection): string {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`
  return `${root}/namespaces/${encodeURIComponent(namespace)}/${kind.plural}`
}

/** The kind as roles and `kubectl auth can-i` know it, such as `endpointslices.discovery.k8s.io`. */
export function resourceOf({ group, plural }: ApiKind): string {
  return group === '' ? plural : `${plural}.${group}`
}

/** The rule that a Role needs to have for a list and a watch of this kind, on one line of YAML. */
export function ruleOf({ group, plural }: ApiKind): string {
  return `{apiGroups: ["${group}"], resources: ["${plural}"], verbs: ["list", "watch"]}`
}
