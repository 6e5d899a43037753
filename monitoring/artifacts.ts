import { renderPodPage } from './dashboards/pod-page.ts'
import { renderRingPage } from './dashboards/ring-page.ts'
import { ALERT_GROUPS } from './rules/alert-groups.ts'
import { renderRulesYaml } from './rules/render-rules.ts'

/** The folder in which the chart has what is rendered here. */
export const CHART_FILES = 'helm/ringman/files'

/** Everything that is rendered: the path in {@link CHART_FILES} and the text of each file. */
export function renderArtifacts(): ReadonlyMap<string, string> {
  const json = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`
  return new Map([
    ['dashboards/ringman.json', json(renderRingPage())],
    ['dashboards/ringman-pod.json', json(renderPodPage())],
    ['rules.yaml', renderRulesYaml(ALERT_GROUPS)],
  ])
}
