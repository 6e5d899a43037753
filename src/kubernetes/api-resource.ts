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
  /** {@link ALL_NAMESPACES} for all of them together. */
  readonly namespace: string
  /** Kubernetes' own syntax, such as `app=cache,tier in (a,b)`. @default all */
  readonly labelSelector?: string | undefined
  /** Such as `metadata.name=ring-0`. @default all */
  readonly fieldSelector?: string | undefined
}

/** Instead of a namespace: no namespace can be called so. */
export const ALL_NAMESPACES = '*'

export const ENDPOINT_SLICES: ApiKind = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices' }
export const PODS: ApiKind = { group: '', version: 'v1', plural: 'pods' }

/** A selection whose namespace the configuration may have to tell. */
export type PartialSelection = Omit<ApiSelection, 'namespace'> & { readonly namespace?: string | undefined }

/** The path of the selection's collection, from the root of the API. */
export function pathOf({ kind, namespace }: ApiSelection): string {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`
  return namespace === ALL_NAMESPACES
    ? `${root}/${kind.plural}`
    : `${root}/namespaces/${encodeURIComponent(namespace)}/${kind.plural}`
}

/** The kind as roles and `kubectl auth can-i` know it, such as `endpointslices.discovery.k8s.io`. */
export function resourceOf({ group, plural }: ApiKind): string {
  return group === '' ? plural : `${plural}.${group}`
}

/** The rule that a Role needs to have for requests of this kind, on one line of YAML. */
export function ruleOf({ group, plural }: ApiKind, verbs: readonly string[]): string {
  const list = verbs.map((verb) => `"${verb}"`).join(', ')
  return `{apiGroups: ["${group}"], resources: ["${plural}"], verbs: [${list}]}`
}
