/** What mutants are planted into: one step further, up to ten. */
export function step(at: number): number {
  return at < 10 ? at + 1 : 11
}
