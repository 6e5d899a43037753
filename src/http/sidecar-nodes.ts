/**
 * The node list of `GET /hashring/nodes` as the Go library's SidecarRing writes it: an object with a key for each
 * node, sorted by its bytes, and `null` before any state came.
 *
 * @param ringKeys - Distinct, in any order; undefined before any state.
 */
export function sidecarNodesJson(ringKeys: readonly string[] | undefined): string {
  if (ringKeys === undefined) return 'null'
  const sorted = ringKeys
    .map((ringKey) => ({ ringKey, bytes: Buffer.from(ringKey, 'utf8') }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
  if (sorted.length === 0) return '{}'
  return `{\n${sorted.map(({ ringKey }) => `  ${goJson(ringKey)}: {}`).join(',\n')}\n}`
}

/** JSON as Go writes it: safe to put into HTML. For values without control characters. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => String.raw`\u` + character.charCodeAt(0).toString(16).padStart(4, '0'),
  )
}
