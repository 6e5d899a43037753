/** An element as text. Attributes with `undefined` are left out; numbers are rounded to a tenth. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>>,
  content = '',
): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(
      ([attribute, value]) =>
        ` ${attribute}="${typeof value === 'number' ? short(value) : escape(value ?? '')}"`,
    )
    .join('')
  return content === '' ? `<${name}${written}/>` : `<${name}${written}>${content}</${name}>`
}

/** Text at a place; `width` cuts it off with dots, by the mean width of its letters. */
export function label(
  text: string,
  place: {
    readonly x: number
    readonly y: number
    readonly size?: number
    readonly fill?: string
    readonly anchor?: 'middle' | 'end'
    readonly weight?: string
    readonly width?: number
  },
): string {
  const { x, y, size = 10, fill = '#9fa7b3', anchor, weight, width } = place
  const room = width === undefined ? Infinity : Math.floor(width / (size * 0.55))
  const shown = text.length > room ? `${text.slice(0, Math.max(1, room - 1))}…` : text
  return element(
    'text',
    { x, y, 'font-size': size, fill, 'text-anchor': anchor, 'font-weight': weight },
    escape(shown),
  )
}

/** A number with at most one digit after the point. */
export function short(value: number): string {
  return Number(value.toFixed(1)).toString()
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
