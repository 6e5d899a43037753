import { LABEL_NAME } from '../kubernetes-names.ts'

const NAME = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
/** Characters of a whole selector; the API takes longer ones, but URLs have an end. */
const SELECTOR_LIMIT = 2000

/**
 * Whether a text is a label selector as the API takes it: requirements with commas between, each `key`, `!key`,
 * `key=value`, `key==value`, `key!=value`, `key in (a,b)` or `key notin (a,b)`.
 *
 * @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
 */
export function isLabelSelector(text: string): boolean {
  if (text.length > SELECTOR_LIMIT) return false
  // Commas within parentheses belong to a set of values.
  return text.split(/,(?![^()]*\))/).every(isRequirement)
}

function isRequirement(text: string): boolean {
  const part = text.trim()
  const set = /^(\S+)\s+(?:in|notin)\s*\(([^()]*)\)$/.exec(part)
  if (set !== null) {
    const values = (set[2] ?? '').split(',').map((value) => value.trim())
    return isKey(set[1] ?? '') && values.every(isValue)
  }
  const equality = /^([^=!\s]+)\s*(?:==?|!=)\s*(\S*)$/.exec(part)
  if (equality !== null) return isKey(equality[1] ?? '') && isValue(equality[2] ?? '')
  return isKey(part.startsWith('!') ? part.slice(1).trim() : part)
}

/** `name`, or `prefix/name` with a DNS name as the prefix. */
function isKey(text: string): boolean {
  const [first = '', second, ...more] = text.split('/')
  if (more.length > 0) return false
  if (second === undefined) return NAME.test(first)
  return first.length <= 253 && first.split('.').every((label) => LABEL_NAME.test(label)) && NAME.test(second)
}

function isValue(text: string): boolean {
  return text === '' || NAME.test(text)
}
