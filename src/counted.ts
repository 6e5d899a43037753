/** `1 node`, `5 nodes`. @param several - The noun of several. */
export function counted(count: number, noun: string, several = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : several}`
}
