import {
  AxisPlacement,
  BarGaugeDisplayMode,
  BarGaugeValueMode,
  BigValueColorMode,
  BigValueGraphMode,
  GraphDrawStyle,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  LineInterpolation,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VisibilityMode,
  VizLegendOptionsBuilder,
  VizOrientation,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common'
import {
  DashboardLinkBuilder,
  DashboardLinkType,
  FieldColorBuilder,
  FieldColorModeId,
  MappingType,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  type Threshold,
  type ValueMapping,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { PanelBuilder as BarGauge } from '@grafana/grafana-foundation-sdk/bargauge'
import {
  HeatmapColorMode,
  HeatmapColorOptionsBuilder,
  PanelBuilder as Heatmap,
  YAxisConfigBuilder,
} from '@grafana/grafana-foundation-sdk/heatmap'
import { PanelBuilder as StateTimeline } from '@grafana/grafana-foundation-sdk/statetimeline'
import { PanelBuilder as Stat } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as TimeSeries } from '@grafana/grafana-foundation-sdk/timeseries'
import { POD_PAGE_UID, RING_IN_URL } from './page.ts'
import { asQuery, DATASOURCE, targetsOf, type PanelQuery } from './queries.ts'

/** What every panel has. */
export interface PanelFrame {
  readonly title: string
  /** How to read the panel: what is normal, and what it means when it is not. */
  readonly description: string
  readonly queries: readonly (PanelQuery | string)[]
  /** Grafana's name of a unit: `s`, `bytes`, `percentunit`, `reqps`. @default short: numbers */
  readonly unit?: string
  readonly decimals?: number
  readonly min?: number
  readonly max?: number
  /** From where on values are shown in another colour; what is below the first is green. */
  readonly thresholds?: readonly (readonly [from: number, color: string])[]
  /** In 24ths of the page. @default 8 */
  readonly width?: number
  /** In rows of the grid. @default 8 */
  readonly height?: number
  /** Whether a click on a series leads to the page of its pod. @default false */
  readonly leadsToPod?: boolean
}

/** A link that leads from a series or row with the label `pod` to the page of that pod. */
export function podLink(pod: string): DashboardLinkBuilder {
  return new DashboardLinkBuilder('Open the page of this pod')
    .type(DashboardLinkType.Link)
    .url(`/d/${POD_PAGE_UID}?${RING_IN_URL}&var-pod=${pod}&\${__url_time_range}`)
}

function framed<Self extends BarGauge | Heatmap | Stat | StateTimeline | TimeSeries>(
  panel: Self,
  frame: PanelFrame,
): Self {
  panel
    .title(frame.title)
    .description(frame.description)
    .datasource(DATASOURCE)
    .targets(targetsOf(frame.queries))
    .unit(frame.unit ?? 'short')
    .thresholds(thresholdsOf(frame.thresholds ?? []))
    .span(frame.width ?? 8)
    .height(frame.height ?? 8)
  if (frame.decimals !== undefined) panel.decimals(frame.decimals)
  if (frame.min !== undefined) panel.min(frame.min)
  if (frame.max !== undefined) panel.max(frame.max)
  if (frame.leadsToPod === true) panel.dataLinks([podLink('${__field.labels.pod}')])
  return panel
}

function thresholdsOf(thresholds: NonNullable<PanelFrame['thresholds']>): ThresholdsConfigBuilder {
  const steps: Threshold[] = [
    { value: null, color: 'green' },
    ...thresholds.map(([value, color]) => ({ value, color })),
  ]
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps)
}

/** One number that says at a glance whether something is well: as it is now, not as it was when it was last known. */
export function stat(frame: PanelFrame & { readonly mappings?: ValueMapping[]; readonly noValue?: string }) {
  const queries = frame.queries.map((query) => ({ kind: 'latest' as const, ...asQuery(query) }))
  const panel = framed(new Stat(), { width: 4, height: 4, ...frame, queries })
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false))
    .colorMode(frame.thresholds === undefined ? BigValueColorMode.None : BigValueColorMode.Value)
    .graphMode(BigValueGraphMode.None)
  if (frame.mappings !== undefined) panel.mappings(frame.mappings)
  if (frame.noValue !== undefined) panel.noValue(frame.noValue)
  return panel
}

/** How a panel of lines draws. */
export interface TimeSeriesStyle {
  /** `stack` fills and adds up; `bars` are for what happened in an interval. @default lines */
  readonly draw?: 'lines' | 'stack' | 'bars' | 'steps'
  /** The table of the last and greatest values beside or below the lines. @default the names alone */
  readonly legend?: 'names' | 'values' | 'none'
  /** Draws the thresholds as lines. @default false */
  readonly showThresholds?: boolean
  /** The axis reaches at least so high, so that noise near zero does not look like a mountain. */
  readonly softMax?: number
  /** Fixed colours of series by their name in the legend. */
  readonly colors?: Readonly<Record<string, string>>
}

/** How a line is drawn that the others are to be compared with. */
export const REFERENCE_LINE = [
  { id: 'custom.lineStyle', value: { fill: 'dash', dash: [10, 10] } },
  { id: 'color', value: { mode: 'fixed', fixedColor: 'text' } },
]

/** For what happened in an interval, counted. */
export const COUNTS = { decimals: 0, draw: 'bars' } as const

/** For the largest share over the mean one. */
export const EVENNESS = {
  decimals: 2,
  min: 1,
  softMax: 2,
  thresholds: [[1.5, 'orange']],
  showThresholds: true,
} as const

/** For how late the event loop runs. */
export const LATENESS = { unit: 's', softMax: 0.02, thresholds: [[0.1, 'red']] } as const

/** For counts that stay until they change. */
export const STEPS = { decimals: 0, draw: 'steps' } as const

/** Lines, stacked areas or bars over time. */
export function timeSeries(frame: PanelFrame & TimeSeriesStyle) {
  const { draw = 'lines', legend = 'names', colors = {} } = frame
  const panel = framed(new TimeSeries(), { min: 0, ...frame })
    .lineWidth(draw === 'stack' ? 1 : 2)
    .fillOpacity(draw === 'stack' ? 60 : draw === 'bars' ? 80 : 0)
    .showPoints(VisibilityMode.Never)
    .drawStyle(draw === 'bars' ? GraphDrawStyle.Bars : GraphDrawStyle.Line)
    .lineInterpolation(
      draw === 'steps' || draw === 'stack' ? LineInterpolation.StepAfter : LineInterpolation.Linear,
    )
    .legend(
      legendBelow(legend === 'values' ? LegendDisplayMode.Table : LegendDisplayMode.List)
        .showLegend(legend !== 'none')
        .calcs(legend === 'values' ? ['lastNotNull', 'max'] : []),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending))
  if (draw === 'stack' || draw === 'bars') {
    panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'))
  }
  if (frame.showThresholds === true) {
    panel.thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed))
  }
  if (frame.softMax !== undefined) panel.axisSoftMax(frame.softMax)
  for (const [name, color] of Object.entries(colors)) {
    panel.overrideByName(name, [{ id: 'color', value: { mode: 'fixed', fixedColor: color } }])
  }
  return panel
}

/** A bar for each series, longest first where the query sorts. */
export function barGauge(frame: PanelFrame) {
  return framed(new BarGauge(), frame)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false))
    .orientation(VizOrientation.Horizontal)
    .displayMode(BarGaugeDisplayMode.Basic)
    .valueMode(BarGaugeValueMode.Text)
    .colorScheme(new FieldColorBuilder().mode(FieldColorModeId.PaletteClassicByName))
}

/** Where the values of a histogram were, over time. */
export function heatmap(frame: PanelFrame & { readonly unit: string }) {
  return framed(new Heatmap(), frame)
    .calculate(false)
    .color(
      new HeatmapColorOptionsBuilder()
        .mode(HeatmapColorMode.Scheme)
        .scheme('Blues')
        .exponent(0.5)
        .steps(64)
        .fill('dark-blue')
        .reverse(false),
    )
    .cellGap(1)
    .yAxis(new YAxisConfigBuilder().unit(frame.unit).axisPlacement(AxisPlacement.Left))
    .hideLegend()
}

/** A band of colour for each series, where each colour is a state. */
export function stateTimeline(frame: PanelFrame & { readonly mappings: ValueMapping[] }) {
  return framed(new StateTimeline(), frame)
    .mappings(frame.mappings)
    .showValue(VisibilityMode.Never)
    .mergeValues(true)
    .rowHeight(0.8)
    .fillOpacity(80)
    .lineWidth(0)
    .legend(legendBelow(LegendDisplayMode.List))
}

function legendBelow(mode: LegendDisplayMode) {
  return new VizLegendOptionsBuilder().showLegend(true).displayMode(mode).placement(LegendPlacement.Bottom)
}

/** Words and colours for values. */
export function wordsFor(
  words: Readonly<Record<string, readonly [text: string, color: string]>>,
): ValueMapping[] {
  return [
    {
      type: MappingType.ValueToText,
      options: Object.fromEntries(
        Object.entries(words).map(([value, [text, color]], index) => [value, { text, color, index }]),
      ),
    },
  ]
}
