/** Counts from 0, by the names of a list or of a record, in their order. */
export function zeros<Name extends string>(
  names: readonly Name[] | Readonly<Record<Name, unknown>>,
): Record<Name, number> {
  const list = Array.isArray(names) ? (names as readonly Name[]) : Object.keys(names)
  return Object.fromEntries(list.map((name) => [name, 0])) as Record<Name, number>
}
