import { healthIn, type SourceHealth } from '../condition.ts'

/** What the health of a Sidecar source depends on. */
export interface SidecarHealthFacts {
  readonly fetches: 'never' | 'once' | 'again and again'
  /** Age in milliseconds from which what was confirmed counts as out of date, where it is fetched again. */
  readonly staleAfterMs: number
  /** Milliseconds since Sidecar last said what it knows; undefined when it never did. */
  readonly sinceConfirmedMs: number | undefined
  readonly stream: 'none' | 'open' | 'lost'
  readonly detail: Readonly<Record<string, number>>
}

/** Says whether the members can be trusted: without fetches and stream, silence means that nothing changed. */
export function sidecarHealth(facts: SidecarHealthFacts): SourceHealth {
  const { fetches, stream, sinceConfirmedMs } = facts
  const detail: Record<string, string | number | boolean> = { ...facts.detail, stream }
  if (sinceConfirmedMs === undefined) {
    const message =
      fetches === 'never' ? 'Sidecar has posted no update yet' : "Sidecar's state has not been fetched yet"
    return healthIn('waiting', message, detail)
  }
  const seconds = Math.round(sinceConfirmedMs / 1000)
  detail['secondsSinceConfirmed'] = seconds
  if (fetches === 'again and again' && sinceConfirmedMs > facts.staleAfterMs) {
    return healthIn(
      'stale',
      `Sidecar has said nothing for ${seconds} s: the members may be out of date`,
      detail,
    )
  }
  if (fetches === 'once' && stream === 'lost') {
    return healthIn('stale', "Sidecar's stream is lost and its state is not fetched again", detail)
  }
  return healthIn('well', `Sidecar said what it knows ${seconds} s ago`, detail)
}
