/** How urgent an alert is: look at once, look today, know about it. */
export type Severity = 'critical' | 'warning' | 'info'

/** The place of an alert, as Prometheus fills it in. */
export const RELEASE = '{{ $labels.namespace }}/{{ $labels.release }}'

/** One alert. */
export interface AlertRule {
  /** `Ringman` and what is wrong, in the present tense. The runbook has the same name in kebab-case. */
  readonly alert: string
  readonly severity: Severity
  /** How long the expression must hold, as Prometheus writes it: `30s`, `2m`. */
  readonly for: string
  /** It gives the labels `namespace` and `release`, and `pod` where one pod is meant. */
  readonly expr: string
  /** One line with the place, for a list of alerts. */
  readonly summary: string
  /** What was found, with the value, and what it means for whoever uses the ring. */
  readonly description: string
}

/** Alerts that are evaluated together. */
export interface AlertGroup {
  readonly name: string
  readonly rules: readonly AlertRule[]
}

/** The file name of an alert's runbook, without folder: `RingmanSourceStale` has `ringman-source-stale.md`. */
export function runbookFile(alert: string): string {
  return `${alert.replace(/(?<=[a-z\d])(?=[A-Z])/g, '-').toLowerCase()}.md`
}
