/**
 * `node monitoring/picture/draw.ts RECORDING PICTURE.svg [ROWS]`: draws the page of a ring from the answers that a real
 * Prometheus gave to the queries of its panels. docs/monitoring.md says how to record them.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import type { Panel, RowPanel } from '@grafana/grafana-foundation-sdk/dashboard'
import { renderRingPage } from '../dashboards/ring-page.ts'
import { PAGE } from './palette.ts'
import { drawPanel } from './panel-svg.ts'
import { seriesOf, styleOf, type Recording } from './recording.ts'
import { element, label } from './svg.ts'

/** Pixels of one column and of one row of Grafana's grid. */
const COLUMN = 50
const ROW = 27
const GAP = 6
const TITLE = 20

function isPanel(panel: Panel | RowPanel): panel is Panel {
  return panel.type !== 'row'
}

/** The picture of a page as SVG; `rowCount` takes only so many of its questions, from the top. */
function drawPage(recording: Recording, rowCount: number): string {
  const page = renderRingPage()
  const all = page.panels ?? []
  const headings = all.filter((panel) => !isPanel(panel))
  const end = headings[rowCount]?.gridPos?.y ?? Infinity
  const shown = all.filter((panel) => (panel.gridPos?.y ?? 0) < end)
  const rows = Math.max(...shown.map(({ gridPos }) => (gridPos?.y ?? 0) + (gridPos?.h ?? 0)))
  const [width, height] = [24 * COLUMN + GAP, rows * ROW + GAP]
  const parts = shown.map((panel) => {
    const { x = 0, y = 0, w = 0, h = 0 } = panel.gridPos ?? {}
    if (!isPanel(panel)) {
      const title = (panel.title ?? '').replace(/ \(.*/, '')
      return label(title, { x: GAP + 4, y: y * ROW + 20, size: 14, weight: '600', fill: PAGE.text })
    }
    const box = { x: x * COLUMN + GAP, y: y * ROW + GAP, width: w * COLUMN - GAP, height: h * ROW - GAP }
    const inside = { ...box, y: box.y + TITLE, height: box.height - TITLE - 4 }
    return [
      element('rect', { ...box, rx: 3, fill: PAGE.panel, stroke: PAGE.edge }),
      label(panel.title ?? '', { x: box.x + 8, y: box.y + 15, size: 11, weight: '600', fill: PAGE.text }),
      drawPanel(seriesOf(recording, panel.id ?? 0), styleOf(panel), recording, inside),
    ].join('')
  })
  return element(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${width} ${height}`,
      'font-family': 'Inter, Helvetica, Arial, sans-serif',
    },
    `\n${[element('rect', { width, height, fill: PAGE.back }), ...parts].join('\n')}\n`,
  )
}

const [recordingPath, picturePath, rowCount = '6'] = process.argv.slice(2)
if (recordingPath === undefined || picturePath === undefined) {
  process.stderr.write('usage: node monitoring/picture/draw.ts RECORDING PICTURE.svg [ROWS]\n')
  process.exitCode = 2
} else {
  const recording = JSON.parse(readFileSync(recordingPath, 'utf8')) as Recording
  const svg = `${drawPage(recording, Number(rowCount))}\n`
  writeFileSync(picturePath, svg)
  process.stdout.write(`${picturePath} (${Math.round(svg.length / 1024)} KiB)\n`)
}
