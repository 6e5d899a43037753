import { MappingType, type Panel } from '@grafana/grafana-foundation-sdk/dashboard'

/** A value at a moment; `null` stands for a number that JSON does not have, such as NaN. */
export type Sample = readonly [seconds: number, value: number | null]

/** The answer to one query of a panel. */
export interface RecordedAnswer {
  readonly panelId: number
  readonly refId: string
  readonly legend: string
  readonly series: readonly {
    readonly labels: Readonly<Record<string, string>>
    readonly values: readonly Sample[]
  }[]
}

/** All answers for one page, over one range of time. `test/system/telemetry/monitoring.test.ts` writes it. */
export interface Recording {
  readonly fromSeconds: number
  readonly toSeconds: number
  readonly stepSeconds: number
  readonly answers: readonly RecordedAnswer[]
}

/** A series under the name that the legend gives it. */
export interface NamedSeries {
  readonly name: string
  readonly refId: string
  readonly labels: Readonly<Record<string, string>>
  readonly points: readonly (readonly [seconds: number, value: number])[]
}

/** What of a panel's configuration is drawn. */
export interface PanelStyle {
  readonly type: string
  readonly title: string
  readonly unit: string
  readonly decimals?: number
  readonly min?: number
  readonly max?: number
  readonly softMax?: number
  readonly stacked: boolean
  readonly bars: boolean
  readonly steps: boolean
  readonly logScale: boolean
  readonly thresholds: readonly { readonly value: number; readonly color: string }[]
  readonly thresholdLines: boolean
  readonly colorByThreshold: boolean
  /** Words for values, with their colours. */
  readonly words: Readonly<Record<string, { readonly text?: string; readonly color?: string }>>
  /** Fixed colours and dashes of series by name. */
  readonly fixed: Readonly<Record<string, { readonly color?: string; readonly dashed?: boolean }>>
}

/** The series of a panel, those without any number left out, sorted by name within each query. */
export function seriesOf(recording: Recording, panelId: number): NamedSeries[] {
  return recording.answers
    .filter((answer) => answer.panelId === panelId)
    .flatMap(({ refId, legend, series }) =>
      series
        .map(({ labels, values }) => ({
          name: legend.replace(/\{\{(\w+)\}\}/g, (_, label: string) => labels[label] ?? ''),
          refId,
          labels,
          points: values.flatMap(([seconds, value]) => (value === null ? [] : [[seconds, value] as const])),
        }))
        .filter(({ points }) => points.length > 0)
        .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    )
}

interface CustomConfig {
  readonly axisSoftMax?: number
  readonly drawStyle?: string
  readonly lineInterpolation?: string
  readonly stacking?: { readonly mode: string }
  readonly scaleDistribution?: { readonly type: string }
  readonly thresholdsStyle?: { readonly mode: string }
}

/** Reads what is drawn from a panel's configuration. */
export function styleOf(panel: Panel): PanelStyle {
  const { defaults, overrides = [] } = panel.fieldConfig ?? { defaults: {} }
  const { unit = 'short', decimals, min, max } = defaults
  const custom = (defaults.custom ?? {}) as CustomConfig
  const fixed: Record<string, { color?: string; dashed?: boolean }> = {}
  for (const { matcher, properties } of overrides) {
    if (matcher.id !== 'byName') continue
    const name = String(matcher.options)
    for (const { id, value } of properties) {
      if (id === 'color') {
        fixed[name] = { ...fixed[name], color: (value as { fixedColor: string }).fixedColor }
      }
      if (id === 'custom.lineStyle') fixed[name] = { ...fixed[name], dashed: true }
    }
  }
  const words: Record<string, { text?: string; color?: string }> = {}
  for (const mapping of defaults.mappings ?? []) {
    if (mapping.type === MappingType.ValueToText) Object.assign(words, mapping.options)
  }
  const options = (panel.options ?? {}) as { readonly colorMode?: string }
  return {
    type: panel.type,
    title: panel.title ?? '',
    unit,
    ...(decimals === undefined ? {} : { decimals }),
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    ...(custom.axisSoftMax === undefined ? {} : { softMax: custom.axisSoftMax }),
    stacked: custom.stacking?.mode === 'normal',
    bars: custom.drawStyle === 'bars',
    steps: custom.lineInterpolation === 'stepAfter',
    logScale: custom.scaleDistribution?.type === 'log',
    thresholds: (defaults.thresholds?.steps ?? []).flatMap(({ value, color }) =>
      value === null ? [] : [{ value, color }],
    ),
    thresholdLines: (custom.thresholdsStyle?.mode ?? 'off') !== 'off',
    colorByThreshold: options.colorMode === 'value',
    words,
    fixed,
  }
}
