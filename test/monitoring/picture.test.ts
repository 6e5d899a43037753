import type { Panel, RowPanel } from '@grafana/grafana-foundation-sdk/dashboard'
import { expect, test } from 'vitest'
import { renderRingPage } from '../../monitoring/dashboards/ring-page.ts'
import { formatValue } from '../../monitoring/picture/format-value.ts'
import { drawPanel } from '../../monitoring/picture/panel-svg.ts'
import { seriesOf, styleOf, type Recording } from '../../monitoring/picture/recording.ts'
import { element, label } from '../../monitoring/picture/svg.ts'

test.each([
  [0.00023, 's', undefined, '230 µs'],
  [0.0123, 's', undefined, '12.3 ms'],
  [90, 's', undefined, '90 s'],
  [600, 's', undefined, '10 min'],
  [0.358, 'percentunit', 1, '35.8 %'],
  [0.25, 'percentunit', undefined, '25 %'],
  [2048, 'bytes', undefined, '2 KiB'],
  [1500, 'Bps', undefined, '1.5 kB/s'],
  [20, 'reqps', undefined, '20 req/s'],
  [3, 'short', 0, '3'],
] as const)('writes %d in %s with %s decimals as %s', (value, unit, decimals, text) => {
  expect(formatValue(value, unit, decimals)).toBe(text)
})

test('what is written into the picture cannot end an element or an attribute', () => {
  expect(element('a', { b: '"<&', c: 1.25, d: undefined })).toBe('<a b="&quot;&lt;&amp;" c="1.3"/>')
  expect(label('</text><script>', { x: 0, y: 0 })).not.toContain('<script>')
})

const BOX = { x: 0, y: 0, width: 400, height: 200 }

/** A recording in which the query A of this panel has two pods: one all the time, one with a gap. */
function recordingFor(panel: Panel): Recording {
  const at = (seconds: number, value: number) => [seconds, value] as const
  return {
    fromSeconds: 0,
    toSeconds: 10,
    stepSeconds: 1,
    answers: [
      {
        panelId: panel.id ?? 0,
        refId: 'A',
        legend: '{{pod}}',
        series: [
          { labels: { pod: 'whole', le: '0.5' }, values: [0, 1, 2, 3, 4, 5].map((s) => at(s, 1)) },
          { labels: { pod: 'broken', le: '+Inf' }, values: [at(0, 1), at(1, 2), at(8, 3), [9, null]] },
        ],
      },
    ],
  }
}

const isPanel = (panel: Panel | RowPanel): panel is Panel => panel.type !== 'row'
const panels = (renderRingPage().panels ?? []).filter(isPanel)

test.each(panels.map((panel) => [panel.title ?? '', panel] as const))('draws the panel %s', (_, panel) => {
  const recording = recordingFor(panel)
  const svg = drawPanel(seriesOf(recording, panel.id ?? 0), styleOf(panel), recording, BOX)
  expect(svg).toMatch(/^</)
  expect(svg).not.toMatch(/NaN|undefined|Infinity/)
  if (['timeseries', 'bargauge', 'state-timeline'].includes(panel.type)) {
    expect(svg).toContain('>whole<')
    expect(svg).toContain('>broken<')
  }
})

test('a series that ends and begins again is drawn in two pieces', () => {
  const panel = panels.find(({ title }) => title === 'Health score')
  if (panel === undefined) throw new Error('there is no such panel')
  const recording = recordingFor(panel)
  const [whole, broken] = ['whole', 'broken'].map((pod) => {
    const series = seriesOf(recording, panel.id ?? 0).filter(({ name }) => name === pod)
    return drawPanel(series, styleOf(panel), recording, BOX).match(/fill="none"/g)?.length
  })
  expect([whole, broken]).toEqual([1, 2])
})
