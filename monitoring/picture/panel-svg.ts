import { formatValue } from './format-value.ts'
import { colorNamed, PAGE, seriesColor } from './palette.ts'
import type { NamedSeries, PanelStyle, Recording } from './recording.ts'
import { element, label, short } from './svg.ts'
import { drawTimeSeries, type Box } from './time-series-svg.ts'

/** The inside of a panel, by its type. */
export function drawPanel(
  series: readonly NamedSeries[],
  style: PanelStyle,
  recording: Recording,
  box: Box,
): string {
  switch (style.type) {
    case 'stat':
      return drawStat(series, style, box)
    case 'timeseries':
      return drawTimeSeries(series, style, recording, box)
    case 'bargauge':
      return drawBarGauge(series, style, box)
    case 'heatmap':
      return drawHeatmap(series, style, recording, box)
    case 'state-timeline':
      return drawStateTimeline(series, style, recording, box)
    case 'table':
      return drawTable(series, box)
    default:
      throw new Error(`there is no drawing for panels of type ${style.type}`)
  }
}

function lastOf(series: NamedSeries | undefined): number | undefined {
  return series?.points.at(-1)?.[1]
}

function drawStat(series: readonly NamedSeries[], style: PanelStyle, box: Box): string {
  const value = lastOf(series[0])
  const word = value === undefined ? undefined : style.words[String(value)]
  const text = value === undefined ? '–' : (word?.text ?? formatValue(value, style.unit, style.decimals))
  const step = style.thresholds.findLast((threshold) => value !== undefined && value >= threshold.value)
  const color = word?.color ?? (style.colorByThreshold ? (step?.color ?? 'green') : 'text')
  return label(text, {
    x: box.x + box.width / 2,
    y: box.y + box.height / 2 + 8,
    size: 34,
    weight: '600',
    fill: colorNamed(color),
    anchor: 'middle',
  })
}

function drawBarGauge(series: readonly NamedSeries[], style: PanelStyle, box: Box): string {
  const entries = series
    .map((each) => ({ name: each.name, value: lastOf(each) ?? 0 }))
    .toSorted((a, b) => b.value - a.value)
  const most = Math.max(...entries.map(({ value }) => value))
  const row = Math.min(28, (box.height - 8) / entries.length)
  const nameWidth = 84
  return entries
    .map(({ name, value }, index) => {
      const y = box.y + 4 + index * row
      const width = Math.max(1, (value / most) * (box.width - nameWidth - 68))
      return [
        label(name, { x: box.x + 8, y: y + row / 2 + 3, width: nameWidth - 8 }),
        element('rect', { x: box.x + nameWidth, y: y + 3, width, height: row - 7, fill: seriesColor(index) }),
        label(formatValue(value, style.unit, style.decimals), {
          x: box.x + nameWidth + width + 6,
          y: y + row / 2 + 3,
          fill: PAGE.text,
        }),
      ].join('')
    })
    .join('')
}

/** Buckets from the lowest at the bottom; the series are cumulative, as Prometheus has them. */
function drawHeatmap(
  series: readonly NamedSeries[],
  style: PanelStyle,
  recording: Recording,
  box: Box,
): string {
  const buckets = series
    .map((each) => ({
      le: Number(each.labels['le'] === '+Inf' ? Infinity : each.labels['le']),
      at: new Map(each.points),
    }))
    .toSorted((a, b) => a.le - b.le)
  const counts = buckets.map(({ at }, index) => {
    const below = buckets[index - 1]?.at
    return new Map(
      [...at].map(([seconds, value]) => [seconds, Math.max(0, value - (below?.get(seconds) ?? 0))]),
    )
  })
  const most = Math.max(1, ...counts.flatMap((count) => [...count.values()]))
  const plot = { x: box.x + 52, y: box.y + 4, width: box.width - 60, height: box.height - 22 }
  const row = plot.height / buckets.length
  const scale = plot.width / (recording.toSeconds - recording.fromSeconds)
  const parts: string[] = []
  counts.forEach((count, index) => {
    const y = plot.y + plot.height - (index + 1) * row
    const { le } = buckets[index] ?? { le: 0 }
    const text = le === Infinity ? '+Inf' : formatValue(le, style.unit)
    if (index % 2 === 0) parts.push(label(text, { x: plot.x - 5, y: y + 3, size: 9, anchor: 'end' }))
    // One path for each shade keeps the picture small.
    const shades = new Map<number, string>()
    for (const [seconds, value] of count) {
      if (value < 0.5) continue
      const shade = Math.max(1, Math.round(Math.sqrt(value / most) * 8))
      const x = plot.x + (seconds - recording.fromSeconds) * scale
      const cell = `M${short(x)} ${short(y)}h${short(recording.stepSeconds * scale * 0.95)}v${short(row - 1)}h-${short(recording.stepSeconds * scale * 0.95)}z`
      shades.set(shade, `${shades.get(shade) ?? ''}${cell}`)
    }
    for (const [shade, path] of shades) {
      parts.push(element('path', { d: path, fill: '#5794f2', 'fill-opacity': shade / 8 }))
    }
  })
  return parts.join('')
}

function drawStateTimeline(
  series: readonly NamedSeries[],
  style: PanelStyle,
  recording: Recording,
  box: Box,
): string {
  const nameWidth = 70
  const plot = {
    x: box.x + nameWidth,
    y: box.y + 4,
    width: box.width - nameWidth - 8,
    height: box.height - 12,
  }
  const row = Math.min(28, plot.height / series.length)
  const scale = plot.width / (recording.toSeconds - recording.fromSeconds)
  return series
    .map(({ name, points }, index) => {
      const y = plot.y + index * row
      const shades = new Map<string, string>()
      for (const [seconds, value] of points) {
        const color = colorNamed(style.words[String(value)]?.color ?? 'text')
        const x = plot.x + (seconds - recording.fromSeconds) * scale
        const cell = `M${short(x)} ${short(y + 2)}h${short(recording.stepSeconds * scale)}v${short(row - 4)}h-${short(recording.stepSeconds * scale)}z`
        shades.set(color, `${shades.get(color) ?? ''}${cell}`)
      }
      const bands = [...shades].map(([color, path]) => element('path', { d: path, fill: color }))
      return `${label(name, { x: box.x + 8, y: y + row / 2 + 3, width: nameWidth - 8 })}${bands.join('')}`
    })
    .join('')
}

/** The columns of the table of pods; the queries are named in the order in which `ring-rows.ts` has them. */
const COLUMNS: readonly (readonly [
  title: string,
  cell: (row: ReadonlyMap<string, NamedSeries>) => string,
])[] = [
  ['Pod', (row) => [...row.values()][0]?.labels['pod'] ?? ''],
  ['Digest', (row) => row.get('A')?.labels['digest'] ?? ''],
  ['Version', (row) => row.get('B')?.labels['version'] ?? ''],
  ['Ready', (row) => (lastOf(row.get('C')) === 1 ? 'yes' : 'no')],
  ['Nodes', (row) => String(lastOf(row.get('D')) ?? '')],
  ['Share', (row) => formatValue(lastOf(row.get('E')) ?? 0, 'percentunit', 1)],
  ['Source', (row) => (lastOf(row.get('F')) === 1 ? 'ok' : 'not ok')],
  ['Last change', (row) => formatValue(lastOf(row.get('G')) ?? 0, 's')],
  ['Up for', (row) => formatValue(lastOf(row.get('H')) ?? 0, 's')],
]

function drawTable(series: readonly NamedSeries[], box: Box): string {
  const rows = new Map<string, Map<string, NamedSeries>>()
  for (const each of series) {
    const pod = each.labels['pod'] ?? ''
    rows.set(pod, (rows.get(pod) ?? new Map<string, NamedSeries>()).set(each.refId, each))
  }
  const width = (box.width - 16) / COLUMNS.length
  const height = 20
  const head = COLUMNS.map(([title], index) =>
    label(title, { x: box.x + 8 + index * width, y: box.y + 12, fill: '#6e9fff', weight: '600' }),
  )
  const lines = [...rows]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, row], index) => {
      const y = box.y + 12 + (index + 1) * height
      const cells = COLUMNS.map(([, cell], column) => {
        const text = cell(row)
        const fill =
          text === 'not ok' || text === 'no'
            ? colorNamed('red')
            : text === 'ok' || text === 'yes'
              ? colorNamed('green')
              : PAGE.text
        return label(text, { x: box.x + 8 + column * width, y, fill, width: width - 6 })
      })
      return `${element('path', { d: `M${short(box.x + 8)} ${short(y - 13)}h${short(box.width - 16)}`, stroke: PAGE.grid })}${cells.join('')}`
    })
  return `${head.join('')}${lines.join('')}`
}
