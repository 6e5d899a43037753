/** Text that is HTML already: only {@link html} makes it. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** What can stand in a template: text is escaped, lists are joined, and nothing is left out as nothing. */
export type Value = Markup | string | number | undefined | null | false | readonly Value[]

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function textOf(value: Value): string {
  if (value === undefined || value === null || value === false) return ''
  if (value instanceof Markup) return value.text
  if (typeof value === 'object') return value.map(textOf).join('')
  return String(value).replace(/[&<>"']/g, (character) => ESCAPES[character]!)
}

/** A template of HTML: everything in `${}` is text or markup of this function. Values of attributes stand in quotes. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Markup {
  let text = ''
  for (const [at, part] of unindent(parts).entries()) text += part + textOf(values[at])
  return new Markup(text)
}

/** Templates without their indentation, which would make up a third of a page. */
const unindented = new WeakMap<TemplateStringsArray, readonly string[]>()

function unindent(parts: TemplateStringsArray): readonly string[] {
  let known = unindented.get(parts)
  if (known === undefined) {
    known = parts.map((part) => part.replace(/\n\s*/g, '\n'))
    unindented.set(parts, known)
  }
  return known
}
