import { parseSync, type ESTree } from 'vite'

export type Node = ESTree.Node

/** One small fault that could be in a file: the text from `start` to `end` replaced. */
export interface Mutant {
  /** Path from the root of the checkout. */
  readonly file: string
  readonly start: number
  readonly end: number
  readonly replacement: string
  /** Line in the file, from 1. */
  readonly line: number
  /** The text of that line, trimmed. */
  readonly code: string
  /** What becomes of what, on one line: `a < b → a <= b`. */
  readonly change: string
}

/** Operators and what they are taken for. */
const OPERATORS = new Map<string, readonly string[]>(
  Object.entries({
    '<': ['<=', '>='],
    '<=': ['<', '>'],
    '>': ['>=', '<='],
    '>=': ['>', '<'],
    '===': ['!=='],
    '!==': ['==='],
    '+': ['-'],
    '-': ['+'],
    '*': ['/'],
    '/': ['*'],
    '%': ['*'],
    '**': ['*'],
    '&': ['|'],
    '|': ['&'],
    '^': ['&'],
    '<<': ['>>>'],
    '>>': ['<<'],
    '>>>': ['<<'],
    '&&': ['||'],
    '||': ['&&'],
    '+=': ['-='],
    '-=': ['+='],
    '*=': ['/='],
    '|=': ['&='],
    '<<=': ['>>>='],
    '>>>=': ['<<='],
    '??=': ['='],
    '++': ['--'],
    '--': ['++'],
  }),
)

const COMPARISONS = new Set(['<', '<=', '>', '>=', '===', '!==', 'in', 'instanceof'])

/** Methods that are called in place of others. */
const METHODS = new Map(
  Object.entries({
    min: 'max',
    max: 'min',
    some: 'every',
    every: 'some',
    startsWith: 'endsWith',
    endsWith: 'startsWith',
  }),
)

/** Methods whose call is left out, so that what they are called on goes through as it is. */
const PASSED_OVER = new Set(['filter', 'sort', 'toSorted', 'reverse', 'trim', 'slice', 'subarray'])

/** Nodes of TypeScript that hold an expression; all others are types, where nothing can go wrong at run time. */
const TYPED_EXPRESSIONS = new Set([
  'TSAsExpression',
  'TSNonNullExpression',
  'TSSatisfiesExpression',
  'TSInstantiationExpression',
])

/**
 * All mutants of a file, in the order of the text.
 *
 * Two things are left alone. Texts for people: a string or template with a space in it is what an error or a log line
 * says. And statements that share a line, which is how unrolled arithmetic is written: thousands of mutants that any one
 * known answer kills, and that would make the score of all others look good.
 */
export function mutantsOf(file: string, source: string): Mutant[] {
  const { program, errors } = parseSync(file, source)
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`)
  const found = new Map<string, Mutant>()
  const text = ({ start, end }: Node) => source.slice(start, end)

  const add = (start: number, end: number, replacement: string) => {
    const original = source.slice(start, end)
    const lineStart = source.lastIndexOf('\n', start) + 1
    const code = source.slice(lineStart, (source + '\n').indexOf('\n', start)).trim()
    const line = source.slice(0, start).split('\n').length
    const change = `${squash(original)} → ${squash(replacement) || 'nothing'}`
    if (original !== replacement)
      found.set(`${start} ${end} ${replacement}`, { file, start, end, replacement, line, code, change })
  }
  const replace = (node: Node, ...replacements: string[]) => {
    for (const replacement of replacements) add(node.start, node.end, replacement)
  }
  /** Replaces what stands first as `token` between two places. */
  const replaceToken = (token: string, from: number, to: number, by: string) => {
    const at = from + source.slice(from, to).indexOf(token)
    add(at, at + token.length, by)
  }
  const swapOperator = (node: Node, operator: string, left: Node, right: Node) => {
    for (const other of OPERATORS.get(operator) ?? []) {
      const between = source.slice(left.end, right.start)
      replace(
        node,
        source.slice(node.start, left.end) +
          between.replace(operator, other) +
          source.slice(right.start, node.end),
      )
    }
  }
  const decide = (test: Node | null, ...outcomes: string[]) => {
    if (test !== null) replace(test, ...outcomes)
  }

  const lineStart = (node: Node | undefined) => node && source.lastIndexOf('\n', node.start)
  const sharesItsLine = (node: Node, parent: Node) => {
    if (parent.type !== 'BlockStatement' || node.type !== 'ExpressionStatement') return false
    const at = parent.body.indexOf(node)
    return [parent.body[at - 1], parent.body[at + 1]].some((other) => lineStart(other) === lineStart(node))
  }

  const visit = (node: Node, parent: Node | undefined): void => {
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- most kinds of node have no mutants
    switch (node.type) {
      case 'BinaryExpression': {
        const { operator, left, right } = node
        if (operator === '+' && (isText(left) || isText(right))) break
        swapOperator(node, operator, left, right)
        // A loop that never ends tells nothing of the tests.
        if (COMPARISONS.has(operator))
          replace(node, ...(isTestOfLoop(node, parent) ? ['false'] : ['true', 'false']))
        break
      }
      case 'LogicalExpression':
        swapOperator(node, node.operator, node.left, node.right)
        if (node.operator === '??') replace(node, text(node.left), text(node.right))
        break
      case 'IfStatement':
      case 'ConditionalExpression':
        decide(node.test, 'true', 'false')
        break
      case 'WhileStatement':
      case 'DoWhileStatement':
      case 'ForStatement':
        decide(node.test, 'false')
        break
      case 'UnaryExpression':
        if (['!', '-', '~'].includes(node.operator)) replace(node, text(node.argument))
        break
      case 'UpdateExpression':
        replace(node, text(node).replace(node.operator, OPERATORS.get(node.operator)![0]!))
        break
      case 'AssignmentExpression':
        swapOperator(node, node.operator, node.left, node.right)
        break
      case 'Literal':
        if (typeof node.value === 'boolean') replace(node, String(!node.value))
        else if (typeof node.value === 'number') replace(node, `(${text(node)} + 1)`)
        else if (typeof node.value === 'string' && !node.value.includes(' '))
          replace(node, node.value === '' ? `'mutant'` : `''`)
        break
      case 'TemplateLiteral':
        replace(node, '``')
        break
      case 'ArrayExpression':
        replace(node, node.elements.length === 0 ? '[undefined]' : '[]')
        break
      case 'ObjectExpression':
        if (node.properties.length > 0) replace(node, '{}')
        break
      case 'BlockStatement':
        if (node.body.length > 0 && !isEndlessWithout(parent)) replace(node, '{}')
        break
      case 'ExpressionStatement':
        if (!isAlone(parent)) replace(node, ';')
        break
      case 'BreakStatement':
      case 'ContinueStatement':
        replace(node, ';')
        break
      case 'ReturnStatement':
        // Alone in its block, it goes with the block.
        if (node.argument === null || node.argument.type === 'Literal' || isAlone(parent)) break
        replace(node.argument, 'undefined')
        break
      case 'ArrowFunctionExpression':
        if (node.body.type !== 'BlockStatement' && node.body.type !== 'Literal')
          replace(node.body, 'undefined')
        break
      case 'MemberExpression':
        if (node.optional) replaceToken('?.', node.object.end, node.property.start, node.computed ? '' : '.')
        break
      case 'CallExpression': {
        if (node.optional) replaceToken('?.', node.callee.end, node.end, '')
        const { callee } = node
        if (callee.type !== 'MemberExpression' || callee.property.type !== 'Identifier') break
        const method = METHODS.get(callee.property.name)
        if (method !== undefined) replace(callee.property, method)
        if (PASSED_OVER.has(callee.property.name)) replace(node, text(callee.object))
        break
      }
    }
    for (const child of childrenOf(node)) if (!sharesItsLine(child, node)) visit(child, node)
  }
  visit(program, undefined)
  return [...found.values()].sort((a, b) => a.start - b.start || a.end - b.end)
}

function isTestOfLoop(node: Node, parent: Node | undefined): boolean {
  return parent !== undefined && 'test' in parent && 'body' in parent && parent.test === node
}

/** Whether a loop ends only by what its body does, so that without it there is nothing to test. */
function isEndlessWithout(loop: Node | undefined): boolean {
  return loop?.type === 'WhileStatement' || (loop?.type === 'ForStatement' && loop.test === null)
}

/** Whether a block holds one statement, so that the empty block is the mutant that leaves it out. */
function isAlone(parent: Node | undefined): boolean {
  return parent?.type === 'BlockStatement' && parent.body.length === 1
}

function isText(node: Node): boolean {
  return node.type === 'TemplateLiteral' || (node.type === 'Literal' && typeof node.value === 'string')
}

/** The nodes in a node that can be mutated: no types, no imports, no names of properties, no texts for people. */
export function childrenOf(node: Node): Node[] {
  if (node.type === 'ImportDeclaration' || node.type === 'ExportAllDeclaration') return []
  return Object.entries(node)
    .filter(([key]) => key !== 'source' && !(key === 'key' && !('computed' in node && node.computed)))
    .flatMap(([, value]: [string, unknown]) => (Array.isArray(value) ? (value as unknown[]) : [value]))
    .filter(
      (value): value is Node =>
        typeof value === 'object' && value !== null && 'type' in value && 'start' in value,
    )
    .filter(({ type }) => !type.startsWith('TS') || TYPED_EXPRESSIONS.has(type))
    .filter(
      (child) =>
        child.type !== 'TemplateLiteral' || !child.quasis.some(({ value }) => value.raw.includes(' ')),
    )
}

/** A text on one line, its middle left out where it is long. */
function squash(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length <= 80 ? line : `${line.slice(0, 50)} … ${line.slice(-20)}`
}
