/**
 * The known name that an unknown one was most likely meant to be: the same but for case, separators and a unit at its end, or
 * within two slips of the finger (one, for a name of up to five letters).
 */
function nearest(unknown: string, known: Iterable<string>): string | undefined {
  const given = normalise(unknown)
  let best: string | undefined
  let bestDistance = given.length <= 5 ? 2 : 3
  for (const name of known) {
    const distance = Math.min(
      editDistance(given, normalise(name)),
      editDistance(given, normalise(name.replace(/(Ms|Bytes)$/, ''))),
    )
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** What is wrong with the names of `given` that are not known, each with the one that was most likely meant. */
export function unknownNames(what: string, given: object, known: readonly string[]): string[] {
  const unknown = Object.keys(given).filter((name) => !known.includes(name))
  return unknown.map((name) => `${what} ${name}: ${unknownMessage(what, name, known)}`)
}

/** The phrase about an unknown name. */
export function unknownMessage(what: string, unknown: string, known: Iterable<string>): string {
  const suggestion = nearest(unknown, known)
  return suggestion === undefined
    ? `there is no such ${what}`
    : `there is no such ${what}; did you mean ${suggestion}?`
}

function normalise(name: string): string {
  return name.slice(0, 64).replaceAll(/[-_]/g, '').toLowerCase()
}

/** Optimal string alignment distance: insert, delete, replace, swap neighbours. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1)
      row.push(least)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}
