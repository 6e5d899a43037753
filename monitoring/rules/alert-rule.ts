/** How urgent an alert is: look at once, look today, know about it. */
export type Severity = 'critical' | 'warning' | 'info'

/** A duration as Prometheus writes it: `30s`, `2m`. */
export type Duration = `${number}${'s' | 'm' | 'h'}`

/** Writes the durations of a rule. A rendering in another scale writes other ones in their place. */
export interface DurationWriter {
  /** For a range, an offset or `for`: `5m`. */
  readonly text: (duration: Duration) => string
  /** For a comparison with a metric in seconds: `300`. */
  readonly seconds: (duration: Duration) => string
}

/** One alert, before durations are written. */
export interface AlertRule {
  /** `Ringman` and what is wrong, in the present tense. The runbook has the same name in kebab-case. */
  readonly alert: string
  readonly severity: Severity
  /** How long the expression must hold. */
  readonly for: Duration
  /**
   * The expression. All durations in it come from the writer. It gives the labels `namespace` and `release`, and
   * `pod` where one pod is meant.
   */
  readonly expr: (write: DurationWriter) => string
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
