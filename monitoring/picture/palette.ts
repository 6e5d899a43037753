/** Grafana's names of colours, as they look on a dark page. */
const NAMED: Readonly<Record<string, string>> = {
  green: '#73bf69',
  red: '#f2495c',
  orange: '#ff9830',
  yellow: '#fade2a',
  blue: '#5794f2',
  purple: '#b877d9',
  text: '#ccccdc',
}

/** Colours of series without one of their own, in order. */
const SERIES = [
  '#7eb26d',
  '#eab839',
  '#6ed0e0',
  '#ef843c',
  '#e24d42',
  '#1f78c1',
  '#ba43a9',
  '#705da0',
  '#508642',
  '#cca300',
]

/** Colours of the page itself. */
export const PAGE = {
  back: '#111217',
  panel: '#181b1f',
  edge: '#2c3235',
  grid: '#25282d',
  text: '#ccccdc',
  faint: '#8e949e',
}

/** A colour by Grafana's name of it. */
export function colorNamed(name: string): string {
  return NAMED[name] ?? name
}

/** The colour of a series without one of its own. */
export function seriesColor(index: number): string {
  return SERIES[index % SERIES.length] ?? '#ccccdc'
}
