import { html, type Markup } from './html.ts'

/** A duration as people say it, one unit: `12 s`, `3 min`, `5 h`, `12 days`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h`
  return `${Math.floor(hours / 24)} days`
}

/** How long something has lasted. The script of the page keeps it up to date. */
export function since(sinceMs: number, nowMs: number): Markup {
  const date = new Date(sinceMs)
  const iso = Number.isNaN(date.getTime()) ? '' : date.toISOString()
  return html`<time datetime="${iso}" title="${iso}" data-since="${sinceMs}"
    >${durationText(nowMs - sinceMs)}</time
  >`
}

/** A fraction of the circle: `12.3 %`. */
export function shareText(share: number): string {
  const percent = share * 100
  return `${percent === 0 || percent >= 10 ? percent.toFixed(1) : percent.toPrecision(2)} %`
}

/** The first few of a list, and how many more there are. */
export function someOf(names: readonly string[], most = 3): string {
  const shown = names.slice(0, most).join(', ')
  return names.length > most ? `${shown} and ${names.length - most} more` : shown
}

const collator = new Intl.Collator('en', { numeric: true })

/** The order in which people look for names: `pod-2` before `pod-10`. */
export function byName(a: string, b: string): number {
  return collator.compare(a, b)
}
