/**
 * What dashboards and alerts ask alike. `selector` is the inside of the braces: empty for every ring that Prometheus
 * sees, `namespace="…",release="…"` for one of them.
 *
 * Everything is first reduced to one series for each pod: while a pod is replaced, and where two scrape
 * configurations find the same pod, there are two series of it, and a join of them would fail.
 */

const LOOK_UP_ERRORS = 'ring-empty|unavailable|failed'

/** Drops that mean that the sender is configured otherwise, or is a stranger. */
export const MISFIT_REASONS =
  'label-differs|cluster-name-differs|not-encrypted|cannot-decrypt|encrypted-unexpectedly'

/** The digest of each pod: a series for each pod, with the label `digest`. */
export function digestOfPods(selector: string): string {
  return `max by (namespace, release, pod, digest) (${select('ringman_ring_info', selector)})`
}

/**
 * The digests of the pods whose ring has been the same for `window`. A pod that was just started, or whose ring has
 * just changed, is left out. This is what keeps a rolling update silent: Prometheus sees pods one after the other,
 * half a minute apart, so that under steady change they always seem to disagree.
 */
export function settledDigests(window: string): string {
  return [
    `max by (namespace, release, pod, digest) (ringman_ring_info and ringman_ring_info offset ${window})`,
    `unless on (namespace, release, pod)`,
    `(max by (namespace, release, pod) (changes(ringman_ring_epoch[${window}])) > 0)`,
  ].join('\n')
}

/**
 * The rings that are closed in themselves: those held by exactly as many pods as they have nodes. A whole ring is one
 * of them; two are islands. A series for each, with the label `digest`; the value is the number of its pods.
 *
 * @param digests - An expression such as {@link digestOfPods}.
 */
export function closedRings(digests: string, selector = ''): string {
  return [
    `count by (namespace, release, digest) (`,
    indent(digests),
    `)`,
    `== on (namespace, release, digest)`,
    `max by (namespace, release, digest) (`,
    `  max by (namespace, release, pod, digest) (${select('ringman_ring_info', selector)})`,
    `  * on (namespace, release, pod) group_left ()`,
    `  max by (namespace, release, pod) (${select('ringman_ring_nodes', selector)})`,
    `)`,
  ].join('\n')
}

/**
 * The number of ready pods of each release: by kube-state-metrics where it is there, else by the pods' own word.
 * Only pods that Prometheus scrapes count.
 */
export function readyPods(selector = ''): string {
  return [
    `count by (namespace, release) (`,
    `  max by (namespace, release, pod) (${select('ringman_ready', selector)})`,
    `  and on (namespace, pod) (max by (namespace, pod) (kube_pod_status_ready{condition="true"}) == 1)`,
    `)`,
    `or`,
    `sum by (namespace, release) (max by (namespace, release, pod) (${select('ringman_ready', selector)}))`,
  ].join('\n')
}

/** The members that each pod has on its ring, suspects among them. */
export function livingMembers(selector = ''): string {
  const living = select('ringman_members', 'state=~"alive|suspect"', selector)
  return `sum by (namespace, release, pod) (max by (namespace, release, pod, state) (${living}))`
}

/** The part of the look-ups that failed through no fault of the caller, by the labels `by`; from 0 to 1. */
export function lookUpErrorRatio(by: string, window: string, selector = ''): string {
  const errors = select('ringman_lookups_total', `result=~"${LOOK_UP_ERRORS}"`, selector)
  return [
    `sum by (${by}) (rate(${errors}[${window}]))`,
    `/`,
    `sum by (${by}) (rate(${select('ringman_lookups_total', selector)}[${window}]))`,
  ].join('\n')
}

/** A metric with matchers, of which those that are empty are left out. */
export function select(metric: string, ...matchers: readonly string[]): string {
  const inside = matchers.filter((matcher) => matcher !== '').join(',')
  return inside === '' ? metric : `${metric}{${inside}}`
}

/** Moves a text of several lines to the right by one step. */
export function indent(text: string): string {
  return text.replace(/^/gm, '  ')
}
