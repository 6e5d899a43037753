const LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?'
const SUBDOMAIN = '[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?'

/** Names of namespaces, of Services and their ports: DNS labels (RFC 1123), as Kubernetes has them. */
export const LABEL_NAME = new RegExp(`^${LABEL}$`)

/** Names of most other objects, such as Pods and ConfigMaps: DNS subdomains (RFC 1123), as Kubernetes has them. */
export const SUBDOMAIN_NAME = new RegExp(`^${SUBDOMAIN}$`)

/** What a ring of a HashRing resource is called: NAMESPACE/NAME. */
export const RING_NAME = new RegExp(String.raw`^${LABEL}\/${SUBDOMAIN}$`)
