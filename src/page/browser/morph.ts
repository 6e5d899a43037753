import type { Markup } from '../view/html.ts'

/** Only what the templates made becomes elements: everything else is refused by the policy of the document. */
const policy = (
  globalThis as typeof globalThis & {
    readonly trustedTypes?: {
      createPolicy(
        name: string,
        rules: { createHTML(text: string): string },
      ): { createHTML(text: string): string }
    }
  }
).trustedTypes?.createPolicy('ringman', { createHTML: (text) => text })

/** Makes an element what the markup of another says, and touches only what differs: focus, selection and input stay. */
export function render(element: Element, markup: Markup): void {
  const made = contentOf(markup).firstElementChild
  if (made !== null) morph(element, made)
}

/** The same for what is inside of an element. */
export function renderInside(element: Element, markup: Markup): void {
  morphChildren(element, contentOf(markup))
}

function contentOf({ text }: Markup): DocumentFragment {
  const template = document.createElement('template')
  template.innerHTML = policy?.createHTML(text) ?? text
  return template.content
}

function morph(old: Element, made: Element): void {
  if (old.isEqualNode(made)) return
  for (const { name } of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name)
  for (const { name, value } of made.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  morphChildren(old, made)
}

function keyOf(node: Node): string | undefined {
  return node instanceof Element ? (node.getAttribute('data-key') ?? undefined) : undefined
}

function morphChildren(old: Element, made: ParentNode & Node): void {
  const keyed = new Map<string, Element>()
  for (const child of old.children) {
    const key = keyOf(child)
    if (key !== undefined) keyed.set(key, child)
  }
  let at: ChildNode | null = old.firstChild
  for (const child of [...made.childNodes]) {
    const key = keyOf(child)
    const known = key === undefined ? undefined : keyed.get(key)
    if (known !== undefined) {
      if (known === at) at = at.nextSibling
      else old.insertBefore(known, at)
      morph(known, child as Element)
    } else if (
      at !== null &&
      key === undefined &&
      keyOf(at) === undefined &&
      at.nodeName === child.nodeName
    ) {
      if (at instanceof Element) morph(at, child as Element)
      else if (at.nodeValue !== child.nodeValue) at.nodeValue = child.nodeValue
      at = at.nextSibling
    } else {
      old.insertBefore(child, at)
    }
  }
  while (at !== null) {
    const next: ChildNode | null = at.nextSibling
    at.remove()
    at = next
  }
}
