import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readExpression } from './promql.ts'
import { ALERT_GROUPS } from '../../monitoring/artifacts.ts'
import { runbookFile } from '../../monitoring/rules/alert-rule.ts'
import { renderRules, renderRulesYaml, RUNBOOK_FOLDER } from '../../monitoring/rules/render-rules.ts'
import { parse } from 'yaml'
import { shortenRules } from '../support/shortened-rules.ts'
import { SERIES_LABELS, unknownsOf } from './known-metrics.ts'

const rules = renderRules(ALERT_GROUPS).groups.flatMap((group) => group.rules)

const [LOGS = '', LOGS_OF_SWIM = ''] = readFileSync('docs/logs.md', 'utf8').split('The source `swim`')
const eventsIn = (text: string) => [...text.matchAll(/^\| `([^`]+)`/gm)].map(([, event = '']) => event)
const [ofSwim = '', ...ofOthers] = LOGS_OF_SWIM.split('\nThe source')
const EVENTS_OF_SWIM = eventsIn(ofSwim)
const EVENTS = [LOGS, ...ofOthers].flatMap(eventsIn)

describe.each(rules.map((rule) => [rule.alert, rule] as const))('%s', (alert, rule) => {
  test('asks only for metrics and labels that ringman serves', () => {
    expect(unknownsOf(rule.expr)).toEqual([])
  })

  test('has labels to group by and no others: not the address of a pod, which changes when it is replaced', () => {
    const { groupingLabels, selectors } = readExpression(rule.expr)
    expect(groupingLabels).toEqual(expect.arrayContaining(['namespace', 'release']))
    expect(groupingLabels).not.toContain('instance')
    expect(selectors.every(({ metric }) => SERIES_LABELS.has(metric))).toBe(true)
  })

  test('names the place, and says in a sentence what was found', () => {
    const { summary, description } = rule.annotations
    expect(summary).toMatch(/\{\{ \$labels\.namespace \}\}\/\{\{ \$labels\.release \}\}.*\.$/)
    // A value that is 0 by the condition says nothing.
    expect(description.includes('$value')).toBe(!rule.expr.includes('== 0'))
    expect(description).toMatch(/\.$/)
    const used = [...`${summary} ${description}`.matchAll(/\$labels\.(\w+)/g)].map(([, label]) => label)
    const { groupingLabels } = readExpression(rule.expr)
    expect(groupingLabels).toEqual(expect.arrayContaining(used))
  })

  test('has a runbook that says what it means, how to tell causes apart, and what to do', () => {
    const file = resolve(rule.annotations.runbook_url)
    expect(existsSync(file), `${file} is missing`).toBe(true)
    const text = readFileSync(file, 'utf8')
    expect(text.split('\n')[0]).toBe(`# ${alert}`)
    expect([...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title)).toEqual([
      'What it means',
      'Tell the causes apart',
      'What to do',
      'When it is wrong',
    ])
    expect(text).toContain(`\`${rule.labels.severity}\``)
    // What runbooks look for in logs: events that the default source writes, with their levels as words.
    const events = [...text.matchAll(/[`"(|]([a-z]+(?:-[a-z]+)*\.[a-z-]+)(?=[`"|)])/g)].map(
      ([, event = '']) => event,
    )
    for (const event of events.filter((each) => !/^(config|seeds|spec)\.|\.md$/.test(each))) {
      expect(EVENTS, file).toContain(event)
      expect(EVENTS_OF_SWIM, file).not.toContain(event)
    }
    expect(text).not.toMatch(/"level":\d/)
    // It shows no body where the status is 503, as for a pod that is not ready.
    expect(text).not.toContain('get --raw')
    const queries = [...text.matchAll(/```promql\n([\s\S]*?)```/g)].map(([, query = '']) => query)
    expect(queries.flatMap(unknownsOf)).toEqual([])
  })
})

test('there is no runbook without its alert', () => {
  const files = readdirSync(RUNBOOK_FOLDER).toSorted()
  expect(files).toEqual(rules.map(({ alert }) => runbookFile(alert)).toSorted())
})

test('the name of a runbook is the alert in kebab-case', () => {
  expect(runbookFile('RingmanMembersDifferFromReadyPods')).toBe('ringman-members-differ-from-ready-pods.md')
})

test('alerts have names that differ', () => {
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
})

test('docs/monitoring.md lists every alert, its severity and its runbook', () => {
  const text = readFileSync('docs/monitoring.md', 'utf8')
  for (const { alert, labels } of rules) {
    expect(text).toMatch(
      new RegExp(`\\| \\[\`${alert}\`\\]\\(runbooks/${runbookFile(alert)}\\) +\\| ${labels.severity} +\\|`),
    )
  }
})

test('rules that are shortened have every duration shorter, and nothing else', () => {
  const shortened = parse(shortenRules(renderRulesYaml(ALERT_GROUPS), 30)) as ReturnType<typeof renderRules>
  const scaled = shortened.groups
  const [first] = scaled[0]?.rules ?? []
  expect(scaled[0]?.interval).toBe('1s')
  expect(first?.for).toBe('2s')
  expect(first?.expr).toContain('offset 4s')
  const stale = scaled.flatMap((group) => group.rules).find(({ alert }) => alert === 'RingmanSourceStale')
  expect(stale?.expr).toMatch(/> 4$/)
  // What is left when durations are taken out is the same.
  const bare = (text: string) => text.replace(/\[[^\]]*\]|offset \w+|staleness_seconds\) > \d+/g, '')
  const plain = rules.map(({ expr }) => bare(expr))
  expect(scaled.flatMap((group) => group.rules).map(({ expr }) => bare(expr))).toEqual(plain)
})

test('the YAML holds the same as the object', () => {
  expect(parse(renderRulesYaml(ALERT_GROUPS))).toEqual(renderRules(ALERT_GROUPS))
})
