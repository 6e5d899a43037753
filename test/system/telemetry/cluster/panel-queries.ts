import type { Dashboard, Panel, RowPanel } from '@grafana/grafana-foundation-sdk/dashboard'
import type { PrometheusServer, QueriedSeries } from './prometheus-server.ts'

/** A query of a panel with its answer. */
export interface AnsweredQuery {
  readonly panel: string
  readonly refId: string
  readonly expr: string
  readonly series: readonly QueriedSeries[]
}

/** What Grafana would put in the place of its variables. */
export type VariableValues = Readonly<Record<string, string>>

export interface PageRange {
  readonly fromSeconds: number
  readonly toSeconds: number
  readonly stepSeconds: number
}

interface Target {
  readonly refId: string
  readonly expr: string
  readonly instant?: boolean
}

/** Puts values in the place of variables, as Grafana does, longest names first. */
export function fillIn(text: string, values: VariableValues): string {
  const names = Object.keys(values).toSorted((a, b) => b.length - a.length)
  return names.reduce((filled, name) => filled.replaceAll(`$${name}`, values[name] ?? ''), text)
}

/** Asks every query of a page, range or instant as the panel would. */
export async function askPage(
  prometheus: PrometheusServer,
  page: Dashboard,
  values: VariableValues,
  range: PageRange,
): Promise<AnsweredQuery[]> {
  const answers: AnsweredQuery[] = []
  for (const panel of (page.panels ?? []).filter(isPanel)) {
    for (const target of (panel.targets ?? []) as unknown as readonly Target[]) {
      const expr = fillIn(target.expr, values)
      answers.push({
        panel: panel.title ?? '',
        refId: target.refId,
        expr,
        series:
          target.instant === true
            ? await prometheus.query(expr, range.toSeconds)
            : await prometheus.queryRange(expr, range),
      })
    }
  }
  return answers
}

function isPanel(panel: Panel | RowPanel): panel is Panel {
  return panel.type !== 'row'
}
