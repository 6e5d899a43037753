import { stringify } from 'yaml'
import { runbookFile, type AlertGroup } from './alert-rule.ts'

/** Where the runbooks are in the project; whoever publishes them elsewhere sets their URL. */
export const RUNBOOK_FOLDER = 'docs/runbooks/'

/** The rules as the object that a Prometheus rule file, or the `spec` of a PrometheusRule, holds. */
export function renderRules(groups: readonly AlertGroup[]) {
  return {
    groups: groups.map(({ name, rules }) => ({
      name,
      interval: '30s',
      rules: rules.map(({ alert, expr, severity, summary, description, for: duration }) => ({
        alert,
        expr: expr.trim(),
        for: duration,
        labels: { severity },
        annotations: { summary, description, runbook_url: `${RUNBOOK_FOLDER}${runbookFile(alert)}` },
      })),
    })),
  }
}

/** The rules as YAML, with a comment at the top that says where they come from. */
export function renderRulesYaml(groups: readonly AlertGroup[]): string {
  const head = [
    'Alerts about a ringman ring. Rendered from monitoring/rules by `node monitoring/render.ts`: edit there.',
    'docs/monitoring.md says how to use them.',
  ]
  const body = stringify(renderRules(groups), { lineWidth: 0, blockQuote: 'literal' })
  return `${head.map((line) => `# ${line}\n`).join('')}${body}`
}
