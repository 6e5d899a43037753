import { formatValue } from './format-value.ts'
import { colorNamed, PAGE, seriesColor } from './palette.ts'
import type { NamedSeries, PanelStyle, Recording } from './recording.ts'
import { element, label, short } from './svg.ts'

/** A rectangle of the picture, in pixels. */
export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

interface Scales {
  readonly plot: Box
  readonly x: (seconds: number) => number
  readonly y: (value: number) => number
}

const AXIS_WIDTH = 52
const LEGEND_LINE = 13

/** Lines, stacked areas or bars, with axes and legend. */
export function drawTimeSeries(
  series: readonly NamedSeries[],
  style: PanelStyle,
  recording: Recording,
  box: Box,
): string {
  const legend = drawLegend(series, style, box)
  const plot = {
    x: box.x + AXIS_WIDTH,
    y: box.y + 4,
    width: box.width - AXIS_WIDTH - 8,
    height: box.height - 20 - legend.height,
  }
  const layers = style.stacked ? stack(series) : series.map(({ points }) => ({ points, below: undefined }))
  const values = layers.flatMap(({ points }) => points.map(([, value]) => value))
  const low = style.min ?? Math.min(0, ...values)
  const high = niceMax(Math.max(style.softMax ?? 0, style.max ?? 0, low + 1e-9, ...values), low)
  const scales: Scales = {
    plot,
    x: (seconds) =>
      plot.x +
      ((seconds - recording.fromSeconds) / (recording.toSeconds - recording.fromSeconds)) * plot.width,
    y: (value) => plot.y + plot.height - ((Math.min(value, high) - low) / (high - low)) * plot.height,
  }
  const drawn = layers.map(({ points, below }, index) => {
    const { name } = series[index] as NamedSeries
    const color = colorOf(name, index, style)
    if (style.bars) return drawBars(points, below, scales, recording.stepSeconds, color)
    const runs = unbrokenRuns(points, recording.stepSeconds)
    return runs
      .map((run) => {
        const path = pathOf(run, scales, style.steps)
        const line = element('path', {
          d: path,
          fill: 'none',
          stroke: color,
          'stroke-width': style.stacked ? 1 : 1.5,
          'stroke-dasharray': style.fixed[name]?.dashed === true ? '5 4' : undefined,
        })
        if (below === undefined) return line
        const floor = run.map(([seconds]) => [seconds, below.get(seconds) ?? 0] as const).toReversed()
        const area = `${path}L${pathOf(floor, scales, style.steps, true).slice(1)}Z`
        return `${element('path', { d: area, fill: color, 'fill-opacity': 0.6 })}${line}`
      })
      .join('')
  })
  return `${drawAxes(scales, style, recording, low, high)}${drawn.join('')}${legend.svg}`
}

function colorOf(name: string, index: number, style: PanelStyle): string {
  const fixed = style.fixed[name]?.color
  return fixed === undefined ? seriesColor(index) : colorNamed(fixed)
}

/** Each layer on the sum of those below it. */
function stack(series: readonly NamedSeries[]) {
  const sums = new Map<number, number>()
  return series.map(({ points }) => {
    const below = new Map(points.map(([seconds]) => [seconds, sums.get(seconds) ?? 0]))
    const stacked = points.map(([seconds, value]) => [seconds, value + (below.get(seconds) ?? 0)] as const)
    for (const [seconds, value] of stacked) sums.set(seconds, value)
    return { points: stacked, below }
  })
}

type Points = NamedSeries['points']

/** Parts without a gap: a series that ends and begins again is not drawn in between. */
function unbrokenRuns(points: Points, stepSeconds: number): Points[] {
  const runs: (readonly [number, number])[][] = []
  let lastSeconds = -Infinity
  for (const point of points) {
    if (point[0] - lastSeconds > stepSeconds * 1.5) runs.push([])
    runs.at(-1)?.push(point)
    lastSeconds = point[0]
  }
  return runs
}

function pathOf(points: Points, { x, y }: Scales, steps: boolean, backwards = false): string {
  let path = ''
  let last = ''
  points.forEach(([seconds, value], index) => {
    const [px, py] = [short(x(seconds)), short(y(value))]
    const before = points[index - 1]
    const after = points[index + 1]
    // What lies on a straight level line adds nothing.
    if (before !== undefined && after !== undefined && before[1] === value && after[1] === value) return
    if (path === '') path = `M${px} ${py}`
    else if (steps) path += backwards ? `V${py}H${px}` : `H${px}V${py}`
    else path += `L${px} ${py}`
    last = px
  })
  return last === '' ? '' : path
}

function drawBars(
  points: Points,
  below: ReadonlyMap<number, number> | undefined,
  { x, y, plot }: Scales,
  stepSeconds: number,
  color: string,
): string {
  const width = Math.max(1, x(stepSeconds) - x(0) - 0.5)
  const path = points
    .map(([seconds, value]) => {
      const floor = below?.get(seconds) ?? 0
      if (value <= floor) return ''
      const left = Math.max(plot.x, x(seconds) - width / 2)
      return `M${short(left)} ${short(y(floor))}V${short(y(value))}h${short(width)}V${short(y(floor))}z`
    })
    .join('')
  return path === '' ? '' : element('path', { d: path, fill: color, 'fill-opacity': 0.85 })
}

function drawAxes(
  { plot, x, y }: Scales,
  style: PanelStyle,
  recording: Recording,
  low: number,
  high: number,
): string {
  const lines: string[] = []
  const ticks = 4
  for (let i = 0; i <= ticks; i++) {
    const value = low + ((high - low) * i) / ticks
    const at = y(value)
    lines.push(
      element('path', { d: `M${short(plot.x)} ${short(at)}h${short(plot.width)}`, stroke: PAGE.grid }),
    )
    const decimals = style.unit === 'short' && high - low < 4 ? 2 : undefined
    lines.push(
      label(formatValue(value, style.unit, decimals), { x: plot.x - 5, y: at + 3, size: 9, anchor: 'end' }),
    )
  }
  const duration = recording.toSeconds - recording.fromSeconds
  for (let at = 0; at <= duration; at += 30) {
    const text = `${Math.floor(at / 60)}:${String(at % 60).padStart(2, '0')}`
    lines.push(
      label(text, {
        x: x(recording.fromSeconds + at),
        y: plot.y + plot.height + 12,
        size: 9,
        anchor: 'middle',
      }),
    )
  }
  if (style.thresholdLines) {
    for (const { value, color } of style.thresholds.filter((threshold) => threshold.value < high)) {
      lines.push(
        element('path', {
          d: `M${short(plot.x)} ${short(y(value))}h${short(plot.width)}`,
          stroke: colorNamed(color),
          'stroke-dasharray': '8 6',
        }),
      )
    }
  }
  return lines.join('')
}

function drawLegend(series: readonly NamedSeries[], style: PanelStyle, box: Box) {
  const parts: string[] = []
  let x = box.x + 8
  let line = 0
  const entries = series.map(({ name }, index) => ({
    name,
    color: colorOf(name, index, style),
    width: 20 + name.length * 5.6,
  }))
  const lines = Math.min(2, Math.ceil(entries.reduce((sum, { width }) => sum + width, 0) / (box.width - 16)))
  const top = box.y + box.height - lines * LEGEND_LINE
  for (const { name, color, width } of entries) {
    if (x + width > box.x + box.width - 8) {
      line += 1
      x = box.x + 8
    }
    if (line >= lines) break
    const y = top + line * LEGEND_LINE + 9
    parts.push(element('rect', { x, y: y - 4, width: 9, height: 3, fill: color }))
    parts.push(label(name, { x: x + 13, y, size: 9 }))
    x += width
  }
  return { svg: parts.join(''), height: lines * LEGEND_LINE }
}

/** The next round number above, so that four steps of the axis are round as well. */
function niceMax(high: number, low: number): number {
  const span = high - low
  const power = 10 ** Math.floor(Math.log10(span))
  const factor = [1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10].find((each) => each * power >= span * 0.999) ?? 10
  return low + factor * power
}
