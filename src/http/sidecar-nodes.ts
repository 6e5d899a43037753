import { goJsonString, toByteText } from './go-json.ts'

/**
 * The node list of `GET /hashring/nodes` as the Go library's SidecarRing writes it: an object with a key for each
 * node, sorted by its bytes, and `null` before any state came.
 *
 * @param ringKeys - Distinct, in any order; undefined before any state.
 * @returns Byte text, as `go-json.ts` explains it.
 */
export function sidecarNodesJson(ringKeys: readonly string[] | undefined): string {
  if (ringKeys === undefined) return 'null'
  if (ringKeys.length === 0) return '{}'
  // Byte text sorts as its bytes do, and so as Go sorts the keys of a map.
  const sorted = ringKeys.map(toByteText).sort(byCode)
  return `{\n${sorted.map((bytes) => `  ${goJsonString(bytes)}: {}`).join(',\n')}\n}`
}

function byCode(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
