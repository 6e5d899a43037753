/** One line with a value. */
export interface ParsedSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  readonly exemplar?: {
    readonly labels: Readonly<Record<string, string>>
    readonly value: number
    readonly timestamp: number
  }
}

/** A metric with its series. For OpenMetrics a counter's name is without `_total`, as its lines have it. */
export interface ParsedMetric {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly samples: ParsedSample[]
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*/
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]Inf|NaN)/

/**
 * Parses what a scrape gives, as strictly as the formats are written: whatever is not in its place is an error, which
 * names the line.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/ and the OpenMetrics specification 1.0.0
 */
export function parseExposition(
  text: string,
  format: 'prometheus' | 'openmetrics',
): Map<string, ParsedMetric> {
  const metrics = new Map<string, ParsedMetric>()
  const seen = new Set<string>()
  let current: ParsedMetric | undefined
  let help: { readonly name: string; readonly text: string } | undefined
  const fail = (line: number, why: string): never => {
    throw new Error(`line ${line}: ${why}: ${lines[line - 1] ?? ''}`)
  }
  if (!text.endsWith('\n')) throw new Error('the text does not end with a line feed')
  const lines = text.slice(0, -1).split('\n')
  if (format === 'openmetrics' && lines.pop() !== '# EOF') throw new Error('the text does not end with # EOF')

  for (const [index, line] of lines.entries()) {
    const number = index + 1
    if (line === '') {
      if (format === 'openmetrics') fail(number, 'an empty line')
      continue
    }
    if (line.startsWith('# HELP ')) {
      const rest = line.slice(7)
      const name = NAME.exec(rest)?.[0] ?? fail(number, 'no name')
      if (rest[name.length] !== ' ') fail(number, 'no help')
      if (metrics.has(name)) fail(number, 'a metric that was there before')
      help = { name, text: unescape(rest.slice(name.length + 1), number, false) }
    } else if (line.startsWith('# TYPE ')) {
      const [name = '', type = '', ...more] = line.slice(7).split(' ')
      if (more.length > 0 || !['counter', 'gauge', 'histogram'].includes(type)) fail(number, 'no type')
      if (help?.name !== name) fail(number, 'a type without help before it')
      current = { name, type, help: help?.text ?? '', samples: [] }
      metrics.set(name, current)
    } else if (line.startsWith('#')) {
      fail(number, 'a comment that is neither help nor type')
    } else {
      const sample = parseSample(line, number)
      if (current === undefined) return fail(number, 'a value without a type')
      if (!namesOf(current, format).includes(sample.name)) fail(number, `not a series of ${current.name}`)
      const labels = Object.entries(sample.labels).map((pair) => JSON.stringify(pair))
      const id = `${sample.name} ${labels.sort().join(' ')}`
      if (seen.has(id)) fail(number, 'a series that was there before')
      seen.add(id)
      if (current.type === 'counter' && !(sample.value >= 0)) fail(number, 'a counter below 0')
      if (sample.exemplar !== undefined && (format !== 'openmetrics' || !sample.name.endsWith('_bucket')))
        fail(number, 'an exemplar where none may be')
      current.samples.push(sample)
    }
  }
  for (const metric of metrics.values()) if (metric.type === 'histogram') checkHistogram(metric)
  return metrics
}

function namesOf({ name, type }: ParsedMetric, format: 'prometheus' | 'openmetrics'): string[] {
  if (type === 'histogram') return [`${name}_bucket`, `${name}_sum`, `${name}_count`]
  return type === 'counter' && format === 'openmetrics' ? [`${name}_total`] : [name]
}

function parseSample(line: string, number: number): ParsedSample {
  const name = NAME.exec(line)?.[0]
  if (name === undefined) throw new Error(`line ${number}: no name: ${line}`)
  const { labels, end } = parseLabels(line, name.length, number)
  const value = parseNumber(line, end, number)
  if (value.end === line.length) return { name, labels, value: value.value }
  const mark = ' # '
  if (!line.startsWith(mark, value.end)) throw new Error(`line ${number}: more than a value: ${line}`)
  const exemplar = parseLabels(line, value.end + mark.length, number)
  const seen = parseNumber(line, exemplar.end, number)
  const timestamp = parseNumber(line, seen.end, number)
  if (timestamp.end !== line.length) throw new Error(`line ${number}: more than an exemplar: ${line}`)
  return {
    name,
    labels,
    value: value.value,
    exemplar: { labels: exemplar.labels, value: seen.value, timestamp: timestamp.value },
  }
}

function parseNumber(line: string, at: number, number: number): { value: number; end: number } {
  const text = line[at] === ' ' ? NUMBER.exec(line.slice(at + 1))?.[0] : undefined
  if (text === undefined) throw new Error(`line ${number}: no value at ${at}: ${line}`)
  return { value: Number(text.replace('Inf', 'Infinity')), end: at + 1 + text.length }
}

function parseLabels(
  line: string,
  start: number,
  number: number,
): { labels: Record<string, string>; end: number } {
  const labels: Record<string, string> = {}
  if (line[start] !== '{') return { labels, end: start }
  let at = start + 1
  while (line[at] !== '}') {
    const name = LABEL_NAME.exec(line.slice(at))?.[0]
    if (name === undefined || line.slice(at + name.length, at + name.length + 2) !== '="')
      throw new Error(`line ${number}: no label at ${at}: ${line}`)
    if (name in labels) throw new Error(`line ${number}: the label ${name} twice`)
    let end = at + name.length + 2
    const begin = end
    while (line[end] !== '"') {
      if (end >= line.length) throw new Error(`line ${number}: a label without an end`)
      end += line[end] === '\\' ? 2 : 1
    }
    labels[name] = unescape(line.slice(begin, end), number, true)
    at = end + 1
    if (line[at] === ',') at++
    else if (line[at] !== '}') throw new Error(`line ${number}: no comma at ${at}: ${line}`)
  }
  return { labels, end: at + 1 }
}

function unescape(text: string, number: number, quotes: boolean): string {
  return text.replaceAll(/\\(.?)/gs, (_, escaped: string) => {
    if (escaped === '\\') return '\\'
    if (escaped === 'n') return '\n'
    if (quotes && escaped === '"') return '"'
    throw new Error(`line ${number}: an unknown escape`)
  })
}

function checkHistogram({ name, samples }: ParsedMetric): void {
  const groups = new Map<string, ParsedSample[]>()
  for (const sample of samples) {
    const { le: _, ...others } = sample.labels
    const key = JSON.stringify(others)
    groups.set(key, [...(groups.get(key) ?? []), sample])
  }
  for (const [key, group] of groups) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`)
    const bounds = buckets.map(({ labels }) => (labels['le'] === '+Inf' ? Infinity : Number(labels['le'])))
    const of = (suffix: string) => group.filter((sample) => sample.name === `${name}_${suffix}`)
    const [count] = of('count')
    const problem =
      of('sum').length !== 1 || of('count').length !== 1
        ? 'not one sum and one count'
        : bounds.at(-1) !== Infinity
          ? 'no last bucket'
          : bounds.some((bound, i) => !(bound > (bounds[i - 1] ?? -Infinity)))
            ? 'bounds not ascending'
            : buckets.some(({ value }, i) => value < (buckets[i - 1]?.value ?? 0))
              ? 'counts not cumulative'
              : buckets.at(-1)?.value === count?.value
                ? undefined
                : 'the last bucket is not the count'
    if (problem !== undefined) throw new Error(`${name} ${key}: ${problem}`)
  }
}
