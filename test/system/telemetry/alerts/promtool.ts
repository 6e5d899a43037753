import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { ALERT_GROUPS } from '../../../../monitoring/artifacts.ts'
import type { AlertGroup } from '../../../../monitoring/rules/alert-rule.ts'
import { renderRules, renderRulesYaml } from '../../../../monitoring/rules/render-rules.ts'
import { STEP_SECONDS, type InputSeries } from './sampled-pods.ts'

/** An alert that must fire, with the labels besides `namespace`, `release` and `severity`. */
export interface ExpectedAlert {
  readonly alert: string
  readonly labels?: Readonly<Record<string, string>>
  /** How the value is written in the description. */
  readonly value: string
}

const RULES = renderRules(ALERT_GROUPS).groups.flatMap((group) => group.rules)

/** Runs promtool, which comes with Debian's `prometheus`. Fails with how to get it when it is not there. */
export function promtool(...args: string[]) {
  return promtoolWith('', ...args)
}

/** Runs promtool with a text as its standard input. */
export function promtoolWith(input: string, ...args: string[]) {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { encoding: 'utf8', input })
  if (error !== undefined) {
    throw new Error('promtool is needed: on Debian, apt-get install prometheus', { cause: error })
  }
  return { status, output: `${stdout}${stderr}` }
}

/**
 * Evaluates all rules over the series with `promtool test rules`.
 *
 * @param expected - The alerts that fire at the end. No other may fire at any time.
 * @param groups - Other rules to evaluate in place of the shipped ones.
 * @returns What promtool found wrong; an empty text when all is as expected.
 */
export function testRules(
  series: readonly InputSeries[],
  durationSeconds: number,
  expected: readonly ExpectedAlert[],
  groups: readonly AlertGroup[] = ALERT_GROUPS,
): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringman-rules-'))
  try {
    writeFileSync(join(folder, 'rules.yaml'), renderRulesYaml(groups))
    const names = [...new Set(expected.map(({ alert }) => alert))]
    const document = {
      rule_files: ['rules.yaml'],
      evaluation_interval: '30s',
      tests: [
        {
          interval: `${STEP_SECONDS}s`,
          input_series: series,
          alert_rule_test: names.map((alertname) => ({
            eval_time: `${durationSeconds}s`,
            alertname,
            exp_alerts: expected.filter(({ alert }) => alert === alertname).map((each) => expectation(each)),
          })),
          promql_expr_test: [
            {
              expr: `count by (alertname, pod) (count_over_time(ALERTS{alertstate="firing",alertname!~"${['none', ...names].join('|')}"}[${durationSeconds}s]))`,
              eval_time: `${durationSeconds}s`,
              exp_samples: [],
            },
          ],
        },
      ],
    }
    const file = join(folder, 'test.yaml')
    writeFileSync(file, stringify(document))
    const { status, output } = promtool('test', 'rules', file)
    return status === 0 ? '' : output
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The alert as Prometheus must send it, its texts filled in. */
function expectation({ alert, labels = {}, value }: ExpectedAlert) {
  const rule = RULES.find((each) => each.alert === alert)
  if (rule === undefined) throw new Error(`there is no alert ${alert}`)
  const all: Record<string, string> = {
    namespace: 'rings',
    release: 'blue',
    severity: rule.labels.severity,
    ...labels,
  }
  const filled = (text: string) =>
    text
      .replace(/\{\{ \$labels\.(\w+) \}\}/g, (_, label: string) => all[label] ?? '')
      .replace(/\{\{ \$value[^}]*\}\}/g, value)
  const annotations = Object.entries(rule.annotations).map(([name, text]) => [name, filled(text)])
  return { exp_labels: all, exp_annotations: Object.fromEntries(annotations) as Record<string, string> }
}
