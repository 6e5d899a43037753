import { stringify } from 'yaml'
import type { AlertGroup, AlertRule, Duration, DurationWriter } from './alert-rule.ts'
import { runbookFile } from './alert-rule.ts'

/** How the rules are written. */
export interface RuleRendering {
  /**
   * Every duration of the rules is multiplied by this: `for`, the windows of the expressions, the interval of
   * evaluation. 1 for production. A test with a short scrape interval takes a smaller one: what is scraped every
   * second instead of every 30 seconds wants 1/30. Thresholds are counts and ratios and stay as they are.
   */
  readonly timeScale?: number
  /** What precedes a runbook's file name in `runbook_url`. */
  readonly runbookBaseUrl?: string
}

/** Where the runbooks are in the project; whoever publishes them elsewhere sets their URL. */
export const RUNBOOK_FOLDER = 'docs/runbooks/'

/** How often the rules are evaluated. */
const EVALUATION_INTERVAL: Duration = '30s'

/** The rules as the object that a Prometheus rule file, or the `spec` of a PrometheusRule, holds. */
export function renderRules(groups: readonly AlertGroup[], rendering: RuleRendering = {}) {
  const { timeScale = 1, runbookBaseUrl = RUNBOOK_FOLDER } = rendering
  const write: DurationWriter = {
    text: (duration) => formatMs(scaledMs(duration, timeScale)),
    seconds: (duration) => String(scaledMs(duration, timeScale) / 1_000),
  }
  return {
    groups: groups.map(({ name, rules }) => ({
      name,
      interval: write.text(EVALUATION_INTERVAL),
      rules: rules.map((rule) => renderRule(rule, write, runbookBaseUrl)),
    })),
  }
}

function renderRule(rule: AlertRule, write: DurationWriter, runbookBaseUrl: string) {
  return {
    alert: rule.alert,
    expr: rule.expr(write).trim(),
    for: write.text(rule.for),
    labels: { severity: rule.severity },
    annotations: {
      summary: rule.summary,
      description: rule.description,
      runbook_url: `${runbookBaseUrl}${runbookFile(rule.alert)}`,
    },
  }
}

/** The rules as YAML, with a comment at the top that says where they come from. */
export function renderRulesYaml(groups: readonly AlertGroup[], rendering: RuleRendering = {}): string {
  const head = [
    'Alerts about a ringman ring. Rendered from monitoring/rules by `node monitoring/render.ts`: edit there.',
    'docs/monitoring.md says how to use them.',
  ]
  const body = stringify(renderRules(groups, rendering), { lineWidth: 0, blockQuote: 'literal' })
  return `${head.map((line) => `# ${line}\n`).join('')}${body}`
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000 } as const

/** In whole milliseconds, and at least one. */
function scaledMs(duration: Duration, scale: number): number {
  const unit = duration.at(-1) as keyof typeof UNIT_MS
  return Math.max(1, Math.round(Number(duration.slice(0, -1)) * UNIT_MS[unit] * scale))
}

/** In the largest unit that leaves a whole number. */
function formatMs(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    if (ms % UNIT_MS[unit] === 0) return `${ms / UNIT_MS[unit]}${unit}`
  }
  return `${ms}ms`
}
