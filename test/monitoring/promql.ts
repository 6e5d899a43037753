/** How a selector compares a label with its value. */
export type MatchOperator = '=' | '!=' | '=~' | '!~'

/** One comparison of a selector: `state="alive"`. */
export interface LabelMatcher {
  readonly label: string
  readonly operator: MatchOperator
  readonly value: string
}

/** One selector of an expression: `ringman_members{state="alive"}`. */
export interface MetricSelector {
  readonly metric: string
  readonly matchers: readonly LabelMatcher[]
}

/** What an expression asks for. */
export interface ExpressionReading {
  /** In order of appearance; the same selector twice is there twice. */
  readonly selectors: readonly MetricSelector[]
  /** Labels named by `by`, `without`, `on`, `ignoring`, `group_left` and `group_right`, in order of appearance. */
  readonly groupingLabels: readonly string[]
}

const LABEL_LISTS = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right'])
const OPERATOR_WORDS = new Set([
  'and',
  'or',
  'unless',
  'atan2',
  'offset',
  'bool',
  'start',
  'end',
  'inf',
  'nan',
])

type Token =
  | { readonly kind: 'name' | 'text' | 'mark' | 'number'; readonly text: string }
  | { readonly kind: 'end'; readonly text: '' }

/**
 * Reads which metrics and labels a PromQL expression uses, well enough to hold it against a table of metrics.
 * Grafana's variables (`$namespace`, `$__rate_interval`) may stand where numbers, durations or parts of texts stand.
 * It is no check of the grammar: `promtool` does that.
 *
 * @throws {SyntaxError} when a text or a bracket does not end, or a character belongs to no PromQL.
 */
export function readExpression(expression: string): ExpressionReading {
  const tokens = tokenize(expression)
  const selectors: MetricSelector[] = []
  const groupingLabels: string[] = []
  let at = 0
  const peek = (ahead = 0): Token => tokens[at + ahead] ?? { kind: 'end', text: '' }
  const take = (): Token => {
    const token = peek()
    at += 1
    return token
  }
  const expectMark = (mark: string): void => {
    const token = take()
    if (token.kind !== 'mark' || token.text !== mark) {
      throw new SyntaxError(`"${token.text}" stands where "${mark}" must, in: ${expression}`)
    }
  }
  const takeList = (close: string, takeItem: () => void): void => {
    while (peek().text !== close || peek().kind !== 'mark') {
      if (peek().kind === 'end') throw new SyntaxError(`"${close}" is missing in: ${expression}`)
      takeItem()
      if (peek().kind === 'mark' && peek().text === ',') take()
    }
    expectMark(close)
  }
  const takeMatcher = (matchers: LabelMatcher[]): void => {
    const label = take()
    const operator = take()
    const value = take()
    if (label.kind !== 'name' || !isMatchOperator(operator.text) || value.kind !== 'text') {
      throw new SyntaxError(`a matcher is not well formed in: ${expression}`)
    }
    matchers.push({ label: label.text, operator: operator.text, value: value.text })
  }

  while (peek().kind !== 'end') {
    const token = take()
    if (token.kind !== 'name') continue
    const word = token.text.toLowerCase()
    if (LABEL_LISTS.has(word) && peek().text === '(') {
      take()
      takeList(')', () => groupingLabels.push(take().text))
      continue
    }
    if (OPERATOR_WORDS.has(word) || LABEL_LISTS.has(word)) continue
    // A function or an aggregation is followed by its arguments, or by its labels and then its arguments.
    if (
      peek().text === '(' ||
      (LABEL_LISTS.has(peek().text) && peek(1).text === '(' && isAggregation(word))
    ) {
      continue
    }
    const matchers: LabelMatcher[] = []
    if (peek().kind === 'mark' && peek().text === '{') {
      take()
      takeList('}', () => {
        takeMatcher(matchers)
      })
    }
    selectors.push({ metric: token.text, matchers })
  }
  return { selectors, groupingLabels }
}

const AGGREGATIONS = new Set(
  'sum min max avg group stddev stdvar count count_values bottomk topk quantile'.split(' '),
)

function isAggregation(word: string): boolean {
  return AGGREGATIONS.has(word)
}

function isMatchOperator(text: string): text is MatchOperator {
  return text === '=' || text === '!=' || text === '=~' || text === '!~'
}

/** Each kind of token, anchored where the last one ended. */
const TOKENS: readonly (readonly [kind: Token['kind'] | 'space', pattern: RegExp])[] = [
  ['space', /\s+|#[^\n]*/y],
  ['text', /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`/y],
  ['name', /[A-Za-z_][A-Za-z0-9_:]*/y],
  ['number', /\$\{?\w+\}?|0x[\da-f]+|\d[\d.]*(?:e[+-]?\d+)?[a-z\d]*/iy],
  ['mark', /=~|!~|!=|==|<=|>=|[-+*/%^=<>(){}[\],:@]/y],
]

function tokenize(expression: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < expression.length) {
    const found = matchAt(expression, at)
    if (found === undefined) {
      throw new SyntaxError(`"${expression.slice(at, at + 20)}" is no PromQL, in: ${expression}`)
    }
    at += found.length
    if (found.kind === 'space' || found.kind === 'end') continue
    tokens.push({
      kind: found.kind,
      text: found.kind === 'text' ? found.text.slice(1, -1).replace(/\\(.)/g, '$1') : found.text,
    })
  }
  return tokens
}

function matchAt(expression: string, at: number) {
  for (const [kind, pattern] of TOKENS) {
    pattern.lastIndex = at
    const [text] = pattern.exec(expression) ?? []
    if (text !== undefined) return { kind, text, length: text.length }
  }
  return undefined
}
