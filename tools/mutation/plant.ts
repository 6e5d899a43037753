import { parseSync } from 'vite'
import { childrenOf, type Mutant, type Node } from './mutants.ts'

/** A mutant with the number by which it is switched on. */
export interface Planted extends Mutant {
  readonly id: number
  /** The number of the first mutant at the same place: what is noted where a test comes by. */
  readonly place: number
}

/** Text to be put around a part of the source. */
interface Wrap {
  readonly start: number
  readonly end: number
  readonly open: string
  readonly close: string
}

/**
 * A file with all its mutants in it, each behind a switch: `isPlanted(from, to)` says whether one of these numbers is on.
 * Each loop counts its rounds by `countRound`, so that one that would go on forever ends with an error.
 *
 * @param firstId - The number of the first mutant.
 * @param counter - What counts the rounds of loops.
 */
export function plantAll(
  source: string,
  mutants: readonly Mutant[],
  firstId: number,
  counter = 'countRound',
): { readonly text: string; readonly planted: Planted[] } {
  const program = parse(source)
  const places = new Map<Node, Mutant[]>()
  const wraps: Wrap[] = []
  const planted: Planted[] = []
  const inside = (mutant: Mutant, node: Node) => node.start <= mutant.start && mutant.end <= node.end

  /** Finds for each mutant the smallest part of the source that can be there twice. */
  const settle = (node: Node, candidates: readonly Mutant[], canBeTwice: boolean): readonly Mutant[] => {
    let rest = candidates
    for (const [child, ok] of partsOf(node)) {
      const within = rest.filter((mutant) => inside(mutant, child))
      if (within.length === 0) continue
      const left = settle(child, within, ok)
      rest = rest.filter((mutant) => !within.includes(mutant) || left.includes(mutant))
    }
    const own = rest.filter((mutant) =>
      isStatement(node) ? isWhole(mutant, node) : canBeTwice && mutant.replacement !== ';',
    )
    if (own.length > 0) places.set(node, [...own])
    return rest.filter((mutant) => !own.includes(mutant))
  }
  const homeless = settle(program, mutants, false)
  if (homeless.length > 0) throw new Error(`no place for ${homeless[0]!.file}: ${homeless[0]!.change}`)

  let id = firstId
  const visit = (node: Node): void => {
    const own = places.get(node) ?? []
    const place = id
    for (const mutant of own) planted.push({ ...mutant, id: id++, place })
    const { start, end } = node
    if (own.length > 0 && isStatement(node)) {
      wraps.push({ start, end, open: `{if(!isPlanted(${place},${place}))`, close: '}' })
    } else if (node.type === 'ExpressionStatement') {
      // Sources have no semicolons: a parenthesis at the beginning would be taken for a call of what stands before.
      wraps.push({ start, end, open: '{', close: '}' })
    } else if (own.length > 0) {
      const changed = own.map(
        (mutant) =>
          `(${source.slice(start, mutant.start)}${mutant.replacement}${source.slice(mutant.end, end)})`,
      )
      // The last one is on where the others are not.
      const choice = changed.map((text, i) =>
        i === changed.length - 1 ? text : `isPlanted(${place + i},${place + i})?${text}:`,
      )
      wraps.push({ start, end, open: `(isPlanted(${place},${id - 1})?${choice.join('')}:(`, close: '))' })
    }
    if ('body' in node && /^(For|While|DoWhile)/.test(node.type)) {
      const body = node.body as Node
      wraps.push({ start, end, open: `{let rounds${start}=0;`, close: '}' })
      wraps.push({ start: body.start, end: body.end, open: `{${counter}(++rounds${start});`, close: '}' })
    }
    for (const child of childrenOf(node)) visit(child)
  }
  visit(program)
  const text = `const {isPlanted,${counter}}=globalThis.mutation;` + wrapped(source, wraps)
  parse(text)
  return { text, planted }
}

/** A file of the tests, where each loop counts its rounds, too. */
export function plantCounters(source: string): string {
  return plantAll(source, [], 0, 'countRoundOfTest').text
}

function parse(source: string): Node {
  const { program, errors } = parseSync('mutated.ts', source)
  if (errors.length > 0) throw new Error(errors[0]!.codeframe ?? errors[0]!.message)
  return program
}

/** Puts the texts around their parts; of two around the same part, the earlier one is outside. */
function wrapped(source: string, wraps: readonly Wrap[]): string {
  const inserts = wraps.flatMap(({ start, end, open, close }, order) => [
    // At one place, what ends there comes first, the inner before the outer; then what begins, the outer first.
    { at: start, text: open, rank: [1, -end, order] },
    { at: end, text: close, rank: [0, -start, -order] },
  ])
  inserts.sort(
    (a, b) => a.at - b.at || a.rank[0]! - b.rank[0]! || a.rank[1]! - b.rank[1]! || a.rank[2]! - b.rank[2]!,
  )
  let text = ''
  let from = 0
  for (const insert of inserts) {
    text += source.slice(from, insert.at) + insert.text
    from = insert.at
  }
  return text + source.slice(from)
}

/** Whether a mutant leaves out a whole statement or empties a whole block. */
function isWhole(mutant: Mutant, node: Node): boolean {
  return mutant.start === node.start && mutant.end === node.end && [';', '{}'].includes(mutant.replacement)
}

function isStatement({ type }: Node): boolean {
  return ['ExpressionStatement', 'BlockStatement', 'BreakStatement', 'ContinueStatement'].includes(type)
}

const EXPRESSION =
  /^(?!Arrow|Function|Class).*Expression$|^(ArrowFunctionExpression|FunctionExpression|Literal|TemplateLiteral|Identifier)$/

/** The parts of a node, each with whether it is an expression that can be there twice, one or the other evaluated. */
function partsOf(node: Node): [Node, boolean][] {
  const isLinkOfChain = chains.has(node)
  return childrenOf(node).map((child) => {
    const is = (key: string) => (node as unknown as Record<string, unknown>)[key] === child
    const isLink = is('callee') || (is('object') && node.type === 'MemberExpression')
    // An optional chain goes on or ends as one, and a method needs what it is called on.
    if (node.type === 'ChainExpression' || (isLinkOfChain && (isLink || is('expression')))) chains.add(child)
    const isTarget =
      is('left') &&
      ['AssignmentExpression', 'AssignmentPattern', 'ForInStatement', 'ForOfStatement'].includes(node.type)
    const isFixed =
      isTarget ||
      is('callee') ||
      (is('key') && !('computed' in node && node.computed)) ||
      is('id') ||
      is('label') ||
      is('param') ||
      (is('property') && !('computed' in node && node.computed)) ||
      (is('argument') && ['UpdateExpression', 'RestElement'].includes(node.type)) ||
      (node.type.endsWith('Pattern') && !is('right')) ||
      node.type === 'TaggedTemplateExpression'
    return [child, EXPRESSION.test(child.type) && !isFixed && !chains.has(child)]
  })
}

/** The links of optional chains that were met. */
const chains = new WeakSet<Node>()
