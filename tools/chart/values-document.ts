import { isMap, isScalar, isSeq, parseDocument, stringify, type Node, type Pair, type YAMLMap } from 'yaml'

/** One value of a chart, as its `values.yaml` documents it. */
export interface DocumentedValue {
  /** Dotted path, such as `image.tag`. */
  readonly path: string
  readonly key: string
  /** Sentences, on one line. */
  readonly description: string
  /** What a line `@schema` says of it, or nothing. */
  readonly annotation: Readonly<Record<string, unknown>>
  readonly value: unknown
  /** The default as YAML on one line, for people. */
  readonly shown: string
  /** For maps whose keys are values of their own. */
  readonly children: readonly DocumentedValue[] | undefined
}

/** Values under one heading, in the order of the file. */
export interface ValueSection {
  readonly title: string
  readonly text: string
  readonly values: readonly DocumentedValue[]
}

/**
 * Reads a `values.yaml` in the form that this chart keeps: a heading is a line `## Title`; the comment right above a key
 * describes it; within that a line `# @schema {…}` holds what is allowed, as a JSON schema in YAML. A map with keys that
 * have comments is a group; any other value is a leaf.
 *
 * @throws {Error} for a key without a comment, or a heading that is missing: everything is documented.
 */
export function readValues(text: string): readonly ValueSection[] {
  const document = parseDocument(text)
  const [error] = document.errors
  if (error !== undefined) throw error
  if (!isMap(document.contents)) throw new Error('values.yaml is not a map')
  const lines = text.split('\n')
  const sections: { title: string; text: string; values: DocumentedValue[] }[] = []
  let lineBefore = 0
  for (const pair of document.contents.items as Pair<Node, Node>[]) {
    const line = lineOf(text, pair.key)
    for (let at = lineBefore; at < line; at++) {
      const title = /^## (.+)$/.exec(lines[at] ?? '')?.[1]
      if (title !== undefined) sections.push({ title, text: sectionText(lines, at + 1), values: [] })
    }
    lineBefore = line
    const section = sections.at(-1)
    if (section === undefined) throw new Error('values.yaml begins without a heading (## Title)')
    section.values.push(readValue(text, lines, pair, ''))
  }
  return sections
}

function readValue(
  text: string,
  lines: readonly string[],
  pair: Pair<Node, Node | null>,
  parent: string,
): DocumentedValue {
  const key = String((pair.key as { value?: unknown }).value)
  const path = parent === '' ? key : `${parent}.${key}`
  const node = pair.value
  const comment = commentAbove(lines, lineOf(text, pair.key))
  const isGroup = isMap(node) && comment.length === 0
  const value: unknown = node === null ? null : toJs(node)
  if (!isGroup && comment.length === 0) throw new Error(`values.yaml: ${path} has no comment`)
  const annotations = comment.filter((line) => line.startsWith('@schema '))
  const annotation = Object.assign(
    {},
    ...annotations.map((line) => parseDocument(line.slice('@schema '.length)).toJS() as object),
  ) as Record<string, unknown>
  return {
    path,
    key,
    description: comment.filter((line) => !line.startsWith('@schema ')).join(' '),
    annotation,
    value,
    shown: stringify(value, { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 }).trim(),
    children: isGroup
      ? (node as YAMLMap<Node, Node>).items.map((child) => readValue(text, lines, child, path))
      : undefined,
  }
}

function toJs(node: Node): unknown {
  if (isScalar(node)) return node.value
  if (isMap(node) || isSeq(node)) return node.toJSON() as unknown
  throw new Error('values.yaml has an alias, or a node of an unknown kind')
}

function lineOf(text: string, node: Node): number {
  return text.slice(0, node.range?.[0] ?? 0).split('\n').length - 1
}

/** The lines of the comment that ends right above a line, without their marks. */
function commentAbove(lines: readonly string[], line: number): string[] {
  const found: string[] = []
  for (let at = line - 1; at >= 0; at--) {
    const comment = /^\s*#(?: (.*))?$/.exec(lines[at] ?? '')
    if (comment === null) break
    found.unshift((comment[1] ?? '').trim())
  }
  return found
}

function sectionText(lines: readonly string[], from: number): string {
  const found: string[] = []
  for (let at = from; lines[at]?.startsWith('#') === true; at++)
    found.push((lines[at] ?? '').replace(/^#\s?/, ''))
  return found.join(' ').trim()
}
